/** A Consul that has lost what was agreed on, or has another one's; the clock is the test's. */
import { expect } from "chai";
import { consulKinds } from "../../../test/support/consul.ts";
import { eventually } from "../../../test/support/registered.ts";
import { formatAgreement } from "../../documents/index.ts";
import { type Agreement, versionOf } from "../../model/index.ts";
import { failures, live, prefix, ReleaseScene, rule } from "../fixtures/release-scene.ts";

for (const kind of consulKinds())
  describe(`agreements that are lost, or come from elsewhere with ${kind.name}`, function () {
    this.timeout(180_000);
    const scene = new ReleaseScene(kind);

    it("a rollout goes on from what serves when the agreement is lost", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      await scene.bring(host, rule("old"), [node]);
      await scene.records.kv.remove(`${prefix}live/${host}`);
      await node.look(host);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await scene.bring(host, text, [node]);
      expect(live(node, host)).to.equal(rule("old"));
      expect(node.trials.get(host)?.share).to.equal(500);
    });

    it("a Consul that lost its data is told again, though it counts from the beginning", async () => {
      const host = scene.newHost();
      const [a, b] = [scene.newNode("a"), scene.newNode("b")];
      await scene.bring(host, rule("one"), [a, b]);
      for (let each = 0; each < 50; each += 1) await scene.put("other.example", rule(`v${each}`));
      await scene.bring(host, rule("two"), [a, b]);
      await scene.consul.restart({ keepData: false });
      await scene.put(host, rule("three"));
      const value = await scene.records.source(`scripts/${host}`);
      // What is gone all at once is held by the watches, so nobody says that the agreement is gone.
      for (const node of [a, b]) await node.offer({ kind: "script", key: host, value });
      expect(live(a, host)).to.equal(rule("two"));
      await eventually("both go on", async () => {
        scene.clock.advance(1_000);
        expect([live(a, host), live(b, host)]).to.deep.equal([rule("three"), rule("three")]);
      });
      expect(await scene.records.agreement(host)).to.include({ before: versionOf(rule("two")) });
    });

    it("a Consul that lost its data and got the scripts back is told again what was taken back", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      await scene.bring(host, rule("one"), [node]);
      for (let each = 0; each < 50; each += 1) await scene.put("other.example", rule(`v${each}`));
      await scene.bring(host, rule("two"), [node]);
      node.reports = failures(host, rule("two"));
      scene.clock.advance(1_000);
      node.reports = [];
      await eventually("it is written down", async () => {
        expect((await scene.records.agreement(host))?.takenBack).to.have.lengthOf(1);
      });
      const agreed = await scene.records.agreement(host);
      await scene.consul.restart({ keepData: false });
      await scene.put(host, rule("two"));
      const value = await scene.records.source(`scripts/${host}`);
      await node.offer({ kind: "script", key: host, value });
      await eventually("it is told", async () => {
        scene.clock.advance(1_000);
        expect(await scene.records.agreement(host)).to.include({ index: value?.modifyIndex });
      });
      const { live: version, takenBack } = agreed ?? {};
      expect(await scene.records.agreement(host)).to.deep.include({ live: version, takenBack });
      expect(live(node, host)).to.equal(rule("one"));
      const restarted = scene.newNode("b");
      await restarted.look(host);
      expect(live(restarted, host), "its source is there again").to.equal(rule("one"));
    });

    /** What an export of another Consul brings: the agreement as it was there, with its own count. */
    const importLife = async (host: string, life: Partial<Agreement>) => {
      const known = (await scene.records.agreement(host)) ?? {
        revision: 0,
        index: 0,
        live: null,
        before: null,
        next: null,
        takenBack: [],
      };
      await scene.records.kv.put(`${prefix}live/${host}`, formatAgreement({ ...known, ...life }));
    };
    const indexOfLife = async (host: string) =>
      (await scene.records.kv.get(`${prefix}live/${host}`))?.modifyIndex ?? 0;

    for (const [what, revision] of [
      ["newer", 9_000],
      ["older", 0],
    ] as const) {
      it(`an agreement out of another Consul, ${what} by its own count, stops no new version`, async () => {
        const host = scene.newHost();
        const both = [scene.newNode("a"), scene.newNode("b")];
        await scene.bring(host, rule("one"), both);
        await importLife(host, { revision, index: 1_000_000_000 });
        for (const node of both) await node.look(host);
        await scene.bring(host, rule("two"), both);
        expect(both.map((node) => live(node, host))).to.deep.equal([rule("two"), rule("two")]);
        const agreed = await scene.records.agreement(host);
        expect(agreed).to.include({ live: versionOf(rule("two")), before: versionOf(rule("one")) });
        const index = await indexOfLife(host);
        for (let each = 0; each < 30; each += 1) {
          for (const node of both) await node.look(host);
          scene.clock.advance(1_000);
        }
        await Promise.all(both.map((node) => node.settled()));
        expect(await indexOfLife(host), "nobody writes it again").to.equal(index);
        const [a, b] = both;
        if (a === undefined || b === undefined) throw new Error("two scene.nodes");
        a.reports = failures(host, rule("two"));
        scene.clock.advance(1_000);
        await eventually("the other one hears of a take-back", async () => {
          await b.look(host);
          scene.clock.advance(1_000);
          expect(live(b, host)).to.equal(rule("one"));
        });
      });
    }

    it("an agreement out of another Consul is taken over by gateways that know nothing yet", async () => {
      const host = scene.newHost();
      const one = versionOf(rule("one"));
      await scene.records.keep(`scripts/${host}`, one, rule("one"));
      await importLife(host, {
        revision: 9_000,
        index: 1_000_000_000,
        live: one,
        takenBack: [{ version: versionOf(rule("bad")), at: 0, reason: "it was bad" }],
      });
      await scene.put(host, rule("one"));
      const both = [scene.newNode("a"), scene.newNode("b")];
      await eventually("they agree", async () => {
        for (const node of both) await node.look(host);
        expect((await scene.records.agreement(host))?.index).to.equal(
          (await scene.records.source(`scripts/${host}`))?.modifyIndex,
        );
      });
      const index = await indexOfLife(host);
      for (let each = 0; each < 30; each += 1) {
        for (const node of both) await node.look(host);
        scene.clock.advance(1_000);
      }
      expect(await indexOfLife(host), "nobody writes it again").to.equal(index);
      expect(both.map((node) => live(node, host))).to.deep.equal([rule("one"), rule("one")]);
      await scene.bring(host, rule("bad"), both);
      expect(
        both.map((node) => live(node, host)),
        "known to be bad",
      ).to.deep.equal([rule("one"), rule("one")]);
    });

    it("a version whose earlier one cannot be had serves all requests, and it is said", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      await scene.bring(host, rule("one"), [node]);
      expect(live(node, host)).to.equal(rule("one"));
      await scene.records.kv.put(
        `${prefix}versions/scripts/${host}/${versionOf(rule("one"))}`,
        "damaged",
      );
      const text = rule("two", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await scene.bring(host, text, [node]);
      const other = scene.newNode("b");
      await other.look(host);
      expect(other.lines.join("\n")).to.contain("cannot go into service: it is not there");
      expect(live(other, host), "the version in KV serves all").to.equal(text);
    });
  });
