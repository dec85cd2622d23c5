/** What becomes of a version that stalled a worker, on two gateways with one Consul; the clock is the test's. */

import { expect } from "chai";
import { consulKinds } from "../../../test/support/consul.ts";
import { eventually } from "../../../test/support/registered.ts";
import { versionOf } from "../../model/index.ts";
import type { ReleaseNode } from "../fixtures/release-node.ts";
import { live, ReleaseScene, rule } from "../fixtures/release-scene.ts";

for (const kind of consulKinds())
  describe(`scripts that stall a worker with ${kind.name}`, function () {
    this.timeout(180_000);
    const scene = new ReleaseScene(kind);

    it("a version that stalled a worker is taken back on both gateways, and said once", async () => {
      const host = scene.newHost();
      const [a, b] = [scene.newNode("a"), scene.newNode("b")];
      await scene.bring(host, rule("one"), [a, b]);
      await scene.bring(host, rule("two"), [a, b]);
      a.stall(host, rule("two"));
      expect(live(a, host), "at once").to.equal(rule("one"));
      await eventually("the other one hears of it", async () => {
        await b.look(host);
        expect(live(b, host)).to.equal(rule("one"));
      });
      expect(await scene.outcomes(host)).to.deep.equal(["live", "taken back", "replaced"]);
      const told = await scene.toldOnce(/is taken back/);
      expect(told).to.contain("it stalled");
      b.stall(host, rule("two"));
      scene.clock.advance(1_000);
      expect(live(b, host), "it was stuck there too").to.equal(rule("one"));
      await scene.put(host, rule("two"));
      for (const node of [a, b]) await node.look(host);
      expect([live(a, host), live(b, host)]).to.deep.equal([rule("one"), rule("one")]);
    });

    it("a first version that stalled a worker is out of service on both until its source changes", async () => {
      const host = scene.newHost();
      const [a, b] = [scene.newNode("a"), scene.newNode("b")];
      await scene.bring(host, rule("one"), [a, b]);
      const why = (node: ReleaseNode) => node.scripts.get(host)?.outOfService?.reason ?? null;
      a.stall(host, rule("one"));
      expect(why(a)).to.equal("it stalled");
      await eventually("the other one hears of it", async () => {
        await b.look(host);
        expect(why(b)).to.equal("it stalled");
      });
      expect(await scene.outcomes(host)).to.deep.equal(["out of service"]);
      await scene.toldOnce(/out of service/);
      const restarted = scene.newNode("c");
      await restarted.look(host);
      expect(why(restarted), "also to one that starts").to.equal("it stalled");
      const text = rule("two", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await scene.bring(host, text, [a, b]);
      expect([live(a, host), live(b, host)]).to.deep.equal([text, text]);
      expect([why(a), why(b)]).to.deep.equal([null, null]);
    });

    for (const way of ["itself", "through another module"])
      it(`a version that is out of service is tried again when a module changes that it imports ${way}`, async () => {
        const host = scene.newHost();
        const name = way === "itself" ? "slow" : "between";
        const [a, b] = [scene.newNode("a"), scene.newNode("b")];
        const both = [a, b];
        const module = async (text: string, key = "slow") => {
          const value = { text, version: versionOf(text), modifyIndex: 1 };
          for (const node of both) await node.offer({ kind: "module", key, value });
        };
        await module(`export const word = "a";`);
        await module(`export { word } from "modules/slow";`, "between");
        const text = `import { word } from "modules/${name}"; ${rule("x", " void word;")}`;
        await scene.bring(host, text, both);
        a.stall(host, text);
        const isOut = () => both.map((node) => node.scripts.get(host)?.outOfService !== undefined);
        await eventually("both know", async () => {
          await b.look(host);
          expect(isOut()).to.deep.equal([true, true]);
        });
        scene.clock.advance(1_000);
        await module(`export const word = "b";`);
        await eventually("both agree", async () => {
          for (const node of both) await node.look(host);
          expect(isOut()).to.deep.equal([false, false]);
          expect((await scene.records.agreement(host))?.takenBack).to.deep.equal([]);
        });
        expect(await scene.outcomes(host)).to.deep.equal(["live", "out of service"]);
      });

    it("a version on trial that stalled a worker loses its share everywhere", async () => {
      const host = scene.newHost();
      const [a, b] = [scene.newNode("a"), scene.newNode("b")];
      await scene.bring(host, rule("old"), [a, b]);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await scene.bring(host, text, [a, b]);
      a.stall(host, text);
      expect(a.trials.size).to.equal(0);
      await eventually("the other one hears of it", async () => {
        await b.look(host);
        expect(b.trials.size).to.equal(0);
      });
      for (const node of [a, b]) {
        expect(node.status(host).takenBack[0]).to.include({ reason: "it stalled" });
      }
      expect(await scene.outcomes(host)).to.deep.equal(["taken back", "live"]);
    });

    it("a version that stalls a worker while Consul is away runs no more", async () => {
      const host = scene.newHost();
      const first = scene.newNode("a");
      await scene.bring(host, rule("one"), [first]);
      await scene.bring(host, rule("two"), [first]);
      const node = scene.newNode("b", first.snapshot());
      node.begin();
      node.stall(host, rule("two"));
      expect(node.scripts.get(host)?.outOfService?.reason).to.equal("it stalled");
      const again = scene.newNode("c", node.snapshot());
      again.begin();
      scene.clock.advance(1_000);
      expect(again.scripts.get(host)?.outOfService?.reason, "after a restart").to.equal(
        "it stalled",
      );
      await node.look(host);
      expect(live(node, host), "once Consul is back").to.equal(rule("one"));
    });
  });
