/** Rollouts on two gateways with one Consul; the clock is the test's. */
import { expect } from "chai";
import { consulKinds } from "../../../test/support/consul.ts";
import { eventually } from "../../../test/support/registered.ts";
import { failures, live, ReleaseScene, rule } from "../fixtures/release-scene.ts";

for (const kind of consulKinds())
  describe(`rollouts with ${kind.name}`, function () {
    this.timeout(180_000);
    const scene = new ReleaseScene(kind);

    it("a rollout has the same share on both gateways, widens by the scene.clock, and ends", async () => {
      const host = scene.newHost();
      const [a, b] = [scene.newNode("a"), scene.newNode("b")];
      await scene.bring(host, rule("old"), [a, b]);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m", "10m"] };`);
      await scene.bring(host, text, [a, b]);
      const shares = () => [a, b].map((node) => node.trials.get(host)?.share ?? null);
      expect(shares()).to.deep.equal([500, 500]);
      scene.clock.advance(599_000);
      expect(shares()).to.deep.equal([500, 500]);
      scene.clock.advance(2_000);
      expect(shares()).to.deep.equal([5_250, 5_250]);
      expect(live(a, host)).to.equal(rule("old"));
      const restarted = scene.newNode("c");
      await restarted.look(host);
      expect(restarted.trials.get(host)).to.include({ share: 5_250, by: null });
      expect(live(restarted, host), "out of the history").to.equal(rule("old"));
      scene.clock.advance(600_000);
      expect(shares()).to.deep.equal([null, null]);
      expect([a, b, restarted].map((node) => live(node, host))).to.deep.equal([text, text, text]);
      await eventually("it is written down", async () =>
        expect(await scene.outcomes(host)).to.deep.equal(["live", "replaced"]),
      );
      const told = () =>
        scene.nodes.flatMap(({ lines }) => lines.filter((line) => /all requests/.test(line)));
      await eventually("it is said once", async () => expect(told()).to.have.lengthOf(1));
    });

    it("a rollout that fails is taken back at once, and the rest never saw it", async () => {
      const host = scene.newHost();
      const [a, b] = [scene.newNode("a"), scene.newNode("b")];
      await scene.bring(host, rule("old"), [a, b]);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await scene.bring(host, text, [a, b]);
      a.reports = failures(host, text);
      scene.clock.advance(1_000);
      expect(a.trials.size).to.equal(0);
      await eventually("the other one hears of it", async () => {
        await b.look(host);
        expect(b.trials.size).to.equal(0);
      });
      expect(live(b, host)).to.equal(rule("old"));
      expect(await scene.outcomes(host)).to.deep.equal(["taken back", "live"]);
      expect(b.status(host).takenBack[0]?.reason).to.equal(
        "6 errors in 10 calls, the last: Error: no",
      );
    });
  });
