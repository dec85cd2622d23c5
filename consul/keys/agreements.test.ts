/** What the watch of `live/` reads after a change: the hosts that changed, and the folder when nobody says which. */
import { expect } from "chai";
import { bellFolder, formatBell, readBell, ringBell } from "../../gateway/documents/index.ts";
import { consulKinds, type TestConsul } from "../../test/support/consul.ts";
import { ConsulClient } from "../api/client.ts";
import { resolveConsulAddress } from "../api/environment.ts";
import { KvStore } from "../api/kv-writes.ts";
import { systemClock } from "../watching/clock.ts";
import { Agreements } from "./agreements.ts";

const many = 500;

for (const kind of consulKinds())
  describe(`the watch of agreements on ${kind.name}`, function () {
    this.timeout(300_000);
    let consul: TestConsul;
    let client: ConsulClient;
    let kv: KvStore;
    let nowMs: number;
    let agreements: Agreements;
    let index: number | null;

    before(async () => {
      consul = await kind.start();
      client = new ConsulClient(resolveConsulAddress({ url: consul.url }, {}));
      kv = new KvStore(client);
    });
    beforeEach(async () => {
      for (let at = 0; at < many; at += 50) {
        const hosts = Array.from({ length: 50 }, (_, each) => at + each);
        await Promise.all(hosts.map((each) => kv.put(`p/live/h${each}.example`, text("first"))));
      }
      nowMs = 0;
      index = null;
      agreements = new Agreements(client, "p/", { ...systemClock, now: () => nowMs });
    });
    afterEach(async () => {
      for (const key of await kv.keys("p/")) await kv.remove(key);
    });
    after(async () => {
      client?.close();
      await consul?.stop();
    });

    const text = (name: string) => JSON.stringify({ name, padding: "x".repeat(300) });
    /** The next answer: what the hosts have, and how many bytes it took. */
    async function next(waitMs = 10_000) {
      const answer = await agreements.read({ index, waitMs, signal: AbortSignal.timeout(120_000) });
      index = answer.index;
      const named = answer.value.map(({ key, encoded }) => {
        const value = JSON.parse(Buffer.from(encoded ?? "", "base64").toString());
        return [key.slice("p/live/".length), value.name] as const;
      });
      const { bytes, isNews } = answer;
      return { hosts: new Map<string, string>(named), bytes, isNews };
    }
    /** As a gateway writes it. */
    async function agree(host: string, name: string, bell = "a.1") {
      const [key, bellKey] = [`p/live/${host}`, `p/${bellFolder}${bell}`];
      const [before, rung] = await Promise.all([kv.get(key), kv.get(bellKey)]);
      const ringing = ringBell(readBell(bellKey, rung?.text ?? null), host, Date.now());
      const isWritten = await kv.transact([
        { key, text: text(name), cas: before?.modifyIndex ?? 0 },
        { key: bellKey, text: formatBell(ringing), cas: rung?.modifyIndex ?? 0 },
      ]);
      expect(isWritten).to.equal(true);
    }
    const whole = many * 300;

    it("reads the host that a bell names, and not the folder", async () => {
      const first = await next();
      expect(first.hosts.size).to.equal(many);
      expect(first.bytes).to.be.above(whole);
      await agree("h7.example", "second");
      await agree("new.example", "first", "b.1");
      const { hosts, bytes } = await next();
      expect([hosts.get("h7.example"), hosts.get("new.example")]).to.deep.equal([
        "second",
        "first",
      ]);
      expect(hosts.size).to.equal(many + 1);
      expect(bytes).to.be.below(whole / 20);
      for (const name of ["third", "fourth", "fifth"]) await agree("h7.example", name);
      const last = await next();
      expect(last.hosts.get("h7.example")).to.equal("fifth");
      expect(last.bytes).to.be.below(whole / 20);
    });

    it("waits while nothing changes", async () => {
      await next();
      const { hosts, bytes } = await next(100);
      expect(hosts.size).to.equal(many);
      expect(bytes).to.be.below(100);
    });

    it("reads the folder for a change that no bell tells of, as by an older gateway or by hand", async () => {
      await next();
      await agree("h1.example", "second");
      await next();
      await kv.put("p/live/h2.example", text("by hand"));
      expect((await next()).hosts.get("h2.example")).to.equal("by hand");
      await kv.remove("p/live/h3.example");
      expect((await next()).hosts.has("h3.example")).to.equal(false);
      await agree("h4.example", "second");
      const { hosts, bytes } = await next();
      expect(hosts.get("h4.example")).to.equal("second");
      expect(bytes, "and goes on by the bells").to.be.below(whole / 20);
    });

    it("misses no change though it misses bells", async () => {
      await next();
      const hosts = Array.from({ length: 40 }, (_, at) => `h${at}.example`);
      for (const host of hosts) await agree(host, "second");
      const found = (await next()).hosts;
      for (const host of hosts) expect(found.get(host)).to.equal("second");
      // The bell is taken away and another one has its name.
      await kv.remove(`p/${bellFolder}a.1`);
      for (let at = 0; at < 41; at += 1) await agree("h9.example", `again ${at}`);
      await agree("h10.example", "third");
      const last = (await next()).hosts;
      expect([last.get("h9.example"), last.get("h10.example")]).to.deep.equal([
        "again 40",
        "third",
      ]);
    });

    it("is not led astray by what is no bell", async () => {
      await next();
      for (const garbage of ["", "{", "[]", '{"count":1e9,"hosts":["a/../b"],"at":"x"}', "null"]) {
        await kv.put(`p/${bellFolder}a.1`, garbage);
        await kv.put("p/live/h1.example", text(`after ${garbage}`));
        expect((await next()).hosts.get("h1.example")).to.equal(`after ${garbage}`);
      }
      await agree("h2.example", "second");
      expect((await next()).hosts.get("h2.example")).to.equal("second");
      const forged = { count: 900, hosts: ["h3.example", "none.example"], at: Date.now() };
      await kv.put(`p/${bellFolder}forged`, formatBell(forged));
      await agree("h3.example", "second");
      const { hosts } = await next();
      expect([hosts.get("h3.example"), hosts.size]).to.deep.equal(["second", many]);
    });

    it("finds at its time what a bell at the same moment covered up", async () => {
      await next();
      await kv.put("p/live/h1.example", text("by hand"));
      await agree("h2.example", "second");
      await next();
      expect((await next(100)).isNews).to.equal(undefined);
      nowMs += 300_000;
      const { hosts, isNews } = await next(100);
      expect([hosts.get("h1.example"), isNews]).to.deep.equal(["by hand", true]);
      expect((await next(100)).isNews).to.equal(undefined);
    });

    it("shows an empty folder as empty, and all of it when it is back", async () => {
      await next();
      for (const key of await kv.keys("p/live/")) await kv.remove(key);
      for (let size = many; size > 0; ) size = (await next()).hosts.size;
      await agree("h1.example", "back");
      const found = await next();
      expect([...found.hosts]).to.deep.equal([["h1.example", "back"]]);
    });
  });
