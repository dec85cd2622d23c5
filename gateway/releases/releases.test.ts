/** Scripts on their way into service on two gateways with one Consul; the clock is the test's. */
import { expect } from "chai";
import { consulKinds } from "../../test/support/consul.ts";
import { eventually } from "../../test/support/registered.ts";
import { parseHostDocument, readBell } from "../documents/index.ts";
import { emptyTables, versionOf } from "../model/index.ts";
import { failures, live, prefix, ReleaseScene, rule } from "./fixtures/release-scene.ts";

for (const kind of consulKinds())
  describe(`scripts on their way into service with ${kind.name}`, function () {
    this.timeout(180_000);
    const scene = new ReleaseScene(kind);

    it("a gateway that may not write remembers by itself what served before", async () => {
      const host = scene.newHost();
      const refuse = async () => {
        throw new Error("403 (Permission denied)");
      };
      const mayNotWrite = scene.recordsWith({ put: refuse, transact: refuse });
      const node = scene.newNode("a", undefined, mayNotWrite);
      for (const name of ["one", "two"]) {
        await scene.put(host, rule(name));
        await node.look(host);
        scene.clock.advance(60_000);
        await node.settled();
        expect(live(node, host)).to.equal(rule(name));
      }
      node.reports = failures(host, rule("two"));
      scene.clock.advance(1_000);
      expect(live(node, host)).to.equal(rule("one"));
      scene.clock.advance(60_000);
      await node.look(host);
      expect(live(node, host), "it stays").to.equal(rule("one"));
      expect(await scene.records.agreement(host)).to.equal(null);
    });

    it("the version before is known though the next one came before Consul had its agreement", async () => {
      const host = scene.newHost();
      const held = Promise.withResolvers<void>();
      scene.atEnd.push(held.resolve);
      let isHeld = false;
      const slow = scene.recordsWith({
        async transact(writes) {
          if (isHeld) await held.promise;
          return scene.records.kv.transact(writes);
        },
      });
      const node = scene.newNode("a", undefined, slow);
      await scene.bring(host, rule("one"), [node]);
      isHeld = true;
      for (const name of ["two", "three"]) {
        await scene.put(host, rule(name));
        await node.look(host);
        expect(live(node, host)).to.equal(rule(name));
      }
      node.reports = failures(host, rule("three"));
      scene.clock.advance(1_000);
      expect(live(node, host)).to.equal(rule("two"));
      held.resolve();
      await eventually("Consul has it too", async () => {
        scene.clock.advance(6_000);
        await node.look(host);
        expect((await scene.records.agreement(host))?.live).to.equal(versionOf(rule("two")));
      });
      expect(live(node, host)).to.equal(rule("two"));
    });

    it("a host is forgotten when nothing of it is left, and not before", async () => {
      const [host, other] = [scene.newHost(), scene.newHost()];
      const node = scene.newNode("a");
      await scene.bring(host, rule("one"), [node]);
      await scene.bring(other, rule("two"), [node]);
      await scene.records.kv.remove(`${prefix}scripts/${host}`);
      await eventually("it is gone", async () => {
        await node.look(host);
        expect((await scene.records.agreement(host))?.live).to.equal(null);
      });
      scene.clock.advance(120_000);
      expect(node.hosts()).to.have.members([host, other]);
      await scene.records.kv.remove(`${prefix}live/${host}`);
      await node.look(host);
      scene.clock.advance(120_000);
      expect(node.hosts()).to.have.members([other]);
      expect(live(node, other)).to.equal(rule("two"));
    });

    it("whoever changes an agreement rings for it, so that others need not read all", async () => {
      const [host, other] = [scene.newHost(), scene.newHost()];
      const node = scene.newNode("rings");
      await scene.bring(host, rule("one"), [node]);
      await scene.bring(other, rule("one"), [node]);
      await scene.bring(host, rule("two"), [node]);
      const { kv, keys } = scene.records;
      const bells = await kv.list(keys.bells);
      const rung = bells.filter(({ key }) => key.startsWith(keys.bell("rings.")));
      const heard = rung.map(({ key, text }) => readBell(key, text));
      expect(heard.flatMap((bell) => bell?.hosts ?? [])).to.have.members([host, other, host]);
      const indexOf = async (key: string) => (await kv.get(key))?.modifyIndex ?? -1;
      expect(
        rung.map(({ modifyIndex }) => modifyIndex),
        "in the same transaction",
      ).to.include(await indexOf(keys.agreement(host)));
    });

    it("the histories of many documents keep no agreement waiting", async () => {
      const held = Promise.withResolvers<void>();
      scene.atEnd.push(held.resolve);
      const slow = scene.recordsWith({
        async get(key) {
          if (key.includes("history/hosts/")) await held.promise;
          return scene.records.kv.get(key);
        },
      });
      const host = scene.newHost();
      const node = scene.newNode("a", undefined, slow);
      await scene.bring(host, rule("one"), [node]);
      const text = JSON.stringify({ paths: { "/": "web" } });
      const source = { text, version: versionOf(text), modifyIndex: 1 };
      const value = parseHostDocument("hosts", text);
      const documents = Array.from({ length: 100 }, (_, at) => `d${at}.example`);
      await node.offer(...documents.map((key) => ({ kind: "host", key, value, source }) as const));
      expect(node.tables.host.size).to.equal(100);
      await scene.bring(host, rule("two"), [node]);
      expect(live(node, host)).to.equal(rule("two"));
    });

    it("two gateways that see everything at once write one history", async () => {
      const host = scene.newHost();
      const both = [scene.newNode("a"), scene.newNode("b")];
      for (let each = 0; each < 24; each += 1) {
        await scene.put(host, rule(`v${each}`));
        await Promise.all(both.map((node) => node.look(host)));
      }
      await scene.bring(host, rule("last"), both);
      const history = await scene.records.history(`scripts/${host}`);
      expect(history).to.have.lengthOf(20);
      expect(new Set(history.map(({ version }) => version)).size, "none twice").to.equal(20);
      expect(history[0]).to.include({ version: versionOf(rule("last")), outcome: "live" });
      expect(history.slice(1).every(({ outcome }) => outcome === "replaced")).to.equal(true);
      await eventually("every source of the history is kept, and hardly another", async () => {
        const kept = await scene.records.kv.list(`${prefix}versions/scripts/${host}/`);
        const names = kept.map(({ key }) => key.slice(key.lastIndexOf("/") + 1));
        expect(names).to.include.members(history.map(({ version }) => version));
        expect(names.length).to.be.below(24);
      });
    });

    it("a gateway that has not heard of a newer version does not put an older one back", async () => {
      const host = scene.newHost();
      const [fast, slow] = [scene.newNode("fast"), scene.newNode("slow")];
      await scene.bring(host, rule("one"), [fast, slow]);
      await scene.bring(host, rule("two"), [fast]);
      const life = await scene.records.agreement(host);
      scene.clock.advance(10_000);
      expect(await scene.records.agreement(host)).to.deep.equal(life);
      await slow.look(host);
      expect(live(slow, host)).to.equal(rule("two"));
      expect(await scene.records.agreement(host)).to.deep.equal(life);
    });

    it("a module may not change so that the version that serves the rest would break", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      const module = async (text: string) => {
        const value = { text, version: versionOf(text), modifyIndex: 1 };
        await node.offer({ kind: "module", key: "words", value });
      };
      await module(`export const word = "a";`);
      const old = `import { word } from "modules/words"; ${rule("old", " void word;")}`;
      await scene.bring(host, old, [node]);
      await scene.bring(
        host,
        rule("new", `export const rollout = { percent: 5, steps: ["10m"] };`),
        [node],
      );
      expect(live(node, host)).to.equal(old);
      await module(`export const other = "b";`);
      expect(node.lines.join("\n")).to.contain("modules/words is refused: it would break scripts/");
      scene.clock.advance(600_000);
      await module(`export const another = "b";`);
      expect(node.lines.at(-1), "it may be taken back to").to.contain("it would break scripts/");
    });

    it("a version that is put back after a refused one is accepted again", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      await scene.bring(host, rule("one"), [node]);
      await scene.put(host, "export default () => {");
      await node.look(host);
      expect(node.status(host).accepted).to.equal(null);
      expect(live(node, host)).to.equal(rule("one"));
      await scene.bring(host, rule("one"), [node]);
      expect(node.status(host).accepted).to.equal(versionOf(rule("one")));
      await eventually("the history has the refused one too", async () =>
        expect(await scene.outcomes(host)).to.deep.equal(["refused", "live"]),
      );
    });

    it("what a snapshot left in service stays until Consul answers, and then goes on", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      await scene.bring(host, rule("old"), [node]);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m", "10m"] };`);
      await scene.bring(host, text, [node]);
      const restarted = scene.newNode("b", node.snapshot());
      restarted.begin();
      scene.clock.advance(601_000);
      expect(restarted.passed, "nothing is known yet").to.equal(0);
      await restarted.look(host);
      expect(restarted.trials.get(host)?.share).to.equal(5_250);
      expect(restarted.passed).to.equal(1);
      scene.clock.advance(601_000);
      expect(live(restarted, host)).to.equal(text);
    });

    it("a gateway that finds what serves in Consul as it was has a version to go back to", async () => {
      const host = scene.newHost();
      await scene.put(host, rule("one"));
      const source = await scene.records.source(`scripts/${host}`);
      if (source === null) throw new Error("it was put");
      const node = scene.newNode("a", { ...emptyTables(), script: new Map([[host, source]]) });
      await scene.bring(host, rule("one"), [node]);
      await scene.bring(host, rule("two"), [node]);
      expect(await scene.records.agreement(host)).to.include({ before: source.version });
    });
  });
