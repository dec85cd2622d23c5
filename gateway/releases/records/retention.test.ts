import bunyan from "bunyan";
import { expect } from "chai";
import { createConsul, KvStore } from "../../../consul/index.ts";
import { consulKinds, type TestConsul } from "../../../test/support/consul.ts";
import { formatBell, ringBell } from "../../documents/index.ts";
import { versionOf } from "../../model/index.ts";
import type { Subject } from "./keys.ts";
import { Records } from "./records.ts";
import { Retention, retentionMs } from "./retention.ts";

const dayMs = 86_400_000;
const source = "export default () => deny(403);\n";
const version = versionOf(source);
const log = bunyan.createLogger({ name: "test", streams: [] });
const idle = { now: () => Date.now(), after: () => () => {} };

for (const kind of consulKinds())
  describe(`what is kept of what was removed with ${kind.name}`, function () {
    this.timeout(180_000);
    let consul: TestConsul;
    let client: ReturnType<typeof createConsul>;
    let kv: KvStore;
    let records: Records;

    before(async () => {
      consul = await kind.start();
      client = createConsul({ url: consul.url }, {});
      kv = new KvStore(client);
      records = new Records({
        kv,
        prefix: "sluice/",
        onUnreadable: (message) => expect.fail(message),
      });
    });
    afterEach(async () => {
      for (const key of await kv.keys("sluice/")) await kv.remove(key);
    });
    after(async () => {
      client?.close();
      await consul?.stop();
    });

    const retention = (now = Date.now) => new Retention({ records, clock: { ...idle, now }, log });

    /** As it is left when a script was removed that long ago. */
    async function keep(subject: Subject, ageMs: number) {
      const at = new Date(Date.now() - ageMs).toISOString();
      const entry = { version, at, by: "ada", outcome: "removed", since: at, detail: null };
      const life = { revision: 2, index: 1, live: null, before: null, next: null, takenBack: [] };
      await kv.put(records.keys.history(subject), JSON.stringify({ versions: [entry] }));
      await kv.put(records.keys.version(subject, version), source);
      if (subject.startsWith("scripts/")) {
        await kv.put(
          records.keys.agreement(subject.slice("scripts/".length)),
          JSON.stringify(life),
        );
      }
    }

    it("goes away after its time, and nothing younger or with a source does", async () => {
      await keep("scripts/old.example", retentionMs + dayMs);
      await keep("modules/words/of", retentionMs + dayMs);
      await keep("hosts/old.example", retentionMs + dayMs);
      await keep("upstreams/Old-Pool", retentionMs + dayMs);
      await keep("upstreams/pool", retentionMs + dayMs);
      await kv.put("sluice/upstreams/pool", "{}");
      await keep("scripts/young.example", retentionMs - dayMs);
      await keep("scripts/there.example", retentionMs + dayMs);
      await kv.put("sluice/scripts/there.example", source);
      expect(await retention().sweep()).to.have.members([
        "scripts/old.example",
        "modules/words/of",
        "hosts/old.example",
        "upstreams/Old-Pool",
      ]);
      expect(await kv.keys("sluice/")).to.have.members([
        "sluice/history/scripts/there.example",
        "sluice/history/scripts/young.example",
        "sluice/history/upstreams/pool",
        "sluice/live/there.example",
        "sluice/live/young.example",
        "sluice/scripts/there.example",
        "sluice/upstreams/pool",
        `sluice/versions/scripts/there.example/${version}`,
        `sluice/versions/scripts/young.example/${version}`,
        `sluice/versions/upstreams/pool/${version}`,
      ]);
      expect(await retention().sweep()).to.deep.equal([]);
    });

    it("takes bells away that nobody has rung for an hour, and what is no bell", async () => {
      const ring = (name: string, ageMs: number) =>
        kv.put(
          records.keys.bell(name),
          formatBell(ringBell(null, "a.example", Date.now() - ageMs)),
        );
      await ring("gone.1", 3_700_000);
      await ring("runs.1", 60_000);
      await kv.put(records.keys.bell("none"), "{");
      await retention().sweep();
      expect(await kv.keys("sluice/history/")).to.deep.equal([records.keys.bell("runs.1")]);
    });

    it("stays when somebody notes a new version meanwhile", async () => {
      await keep("scripts/back.example", retentionMs + dayMs);
      const { transact } = kv;
      kv.transact = async (writes) => {
        kv.transact = transact;
        await kv.put(
          records.keys.history("scripts/back.example"),
          JSON.stringify({ versions: [] }),
        );
        return kv.transact(writes);
      };
      const racer = retention();
      expect(await racer.sweep()).to.deep.equal([]);
      expect(await kv.keys("sluice/versions/")).to.have.lengthOf(1);
      expect(await kv.keys("sluice/live/")).to.have.lengthOf(1);
    });
  });
