import { expect } from "chai";
import { createConsul, KvStore } from "../../consul/index.ts";
import { consulKinds, type TestConsul } from "../../test/support/consul.ts";
import { eventually } from "../../test/support/registered.ts";
import { parseHostDocument } from "../documents/index.ts";
import type { Served } from "../model/index.ts";
import { ManualClock } from "./fixtures/clock.ts";
import { StickyKey } from "./sticky-key.ts";

const prefix = "sluice/";
const key = `${prefix}keys/sticky`;
const host = (sticky: object | null): Served => {
  const to = { upstream: "web", ...(sticky === null ? {} : { sticky }) };
  const value = parseHostDocument("hosts/a.test", JSON.stringify({ paths: { "/": to } }));
  return { kind: "host", key: "a.test", value };
};

for (const kind of consulKinds())
  describe(`the key that cookies name servers by, with ${kind.name}`, () => {
    let consul: TestConsul;
    let client: ReturnType<typeof createConsul>;
    let kv: KvStore;
    const started: StickyKey[] = [];

    before(async () => {
      consul = await kind.start();
      client = createConsul({ url: consul.url }, {});
      kv = new KvStore(client);
    });
    afterEach(async () => {
      for (const one of started.splice(0)) one.stop();
      await kv.remove(key);
    });
    after(async () => {
      client?.close();
      await consul?.stop();
    });

    /** One gateway's, with what it has served and warned of. */
    function gateway() {
      const clock = new ManualClock();
      const served: unknown[] = [];
      const warnings: string[] = [];
      const stickyKey = new StickyKey({
        ...{ kv, prefix, clock },
        serve: (changes) => served.push(...changes.map(({ value }) => value)),
        log: { warn: (_fields: object, message: string) => warnings.push(message) },
      });
      started.push(stickyKey);
      return { clock, served, warnings, stickyKey };
    }

    it("is made once somebody needs it, and the same for every gateway", async () => {
      const gateways = [gateway(), gateway(), gateway()];
      for (const { stickyKey } of gateways) {
        stickyKey.changed([host(null), host({ hash: "client" })]);
        stickyKey.changed([host({ cookie: "c" })]);
        stickyKey.changed([host({ cookie: "c" })]);
      }
      await eventually("each has it", async () => {
        const made = (await kv.get(key))?.text;
        expect(made).to.match(/^[\w-]{43}$/);
        for (const { served, warnings } of gateways)
          expect([served, warnings]).to.deep.equal([[made], []]);
      });
    });

    it("is not made where no document needs it", async () => {
      const { stickyKey, served } = gateway();
      stickyKey.changed([host(null), host({ hash: "client" }), { ...host(null), value: null }]);
      stickyKey.begin({ host: new Map() });
      expect(await kv.get(key)).to.equal(null);
      expect(served).to.deep.equal([]);
    });

    it("is the gateway's own, with a warning, as long as the one in Consul cannot be used", async () => {
      await kv.put(key, "short");
      const { stickyKey, served, warnings, clock } = gateway();
      stickyKey.changed([host({ cookie: "c" })]);
      await eventually("it has one of its own", async () => {
        expect(served).to.have.length(1);
        expect(served[0]).to.match(/^[\w-]{43}$/);
        expect(warnings[0]).to.contain("sluice/keys/sticky cannot be used");
      });
      const good = "k".repeat(40);
      await kv.put(key, good);
      await eventually("it has the shared one", async () => {
        clock.advance(30_000);
        expect(served.at(-1)).to.equal(good);
      });
      expect(warnings).to.have.length(1);
    });
  });
