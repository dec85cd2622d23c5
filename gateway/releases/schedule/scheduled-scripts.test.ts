/** Scripts that a schedule opens and closes, with Consul and without; the clock is the test's. */
import { expect } from "chai";
import { consulKinds } from "../../../test/support/consul.ts";
import { eventually } from "../../../test/support/registered.ts";
import type { ReleaseNode } from "../fixtures/release-node.ts";
import { live, ReleaseScene, rule } from "../fixtures/release-scene.ts";

for (const kind of consulKinds())
  describe(`scripts with a schedule with ${kind.name}`, function () {
    this.timeout(180_000);
    const scene = new ReleaseScene(kind);

    it("a schedule keeps a script in service within its window only", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      const night = `export const schedule = { from: "0 2 * * *", to: "0 4 * * *", timezone: "Asia/Shanghai" };`;
      const text = rule("night", night);
      await scene.bring(host, text, [node]);
      // The scene.clock begins at 1970-01-01T00:16:40Z, 08:16 in Shanghai.
      expect(live(node, host)).to.equal(null);
      expect(node.status(host).closedUntil).to.equal("1970-01-01T18:00:00.000Z");
      const to = (time: string) => scene.clock.advance(Date.parse(time) - scene.clock.now());
      to("1970-01-01T17:59:58Z");
      expect(live(node, host)).to.equal(null);
      to("1970-01-01T18:00:02Z");
      expect(live(node, host)).to.equal(text);
      expect(node.status(host).closedUntil).to.equal(null);
      to("1970-01-01T20:00:02Z");
      expect(live(node, host)).to.equal(null);
      to("1970-01-02T19:00:00Z");
      expect(live(node, host)).to.equal(text);
    });

    it("a schedule goes on while Consul is away, on a gateway that ran and on one that starts", async () => {
      const host = scene.newHost();
      const other = scene.newHost();
      const ran = scene.newNode("a");
      const to = (time: string) => scene.clock.advance(Date.parse(time) - scene.clock.now());
      const night = `export const schedule = { from: "0 2 * * *", to: "0 4 * * *" };`;
      const day = `export const schedule = { from: "0 0 * * *", to: "0 2 * * *" };`;
      await scene.bring(host, rule("night", night), [ran]);
      await scene.bring(other, rule("day", day), [ran]);
      expect([live(ran, host), live(ran, other)]).to.deep.equal([null, rule("day", day)]);
      await scene.consul.kill();
      const started = scene.newNode("b", ran.snapshot());
      started.begin();
      const serve = (node: ReleaseNode) => [live(node, host), live(node, other)];
      // It has to find out first what the scripts declare.
      await started.settled();
      to("1970-01-01T02:00:02Z");
      for (const node of [ran, started]) {
        expect(serve(node)).to.deep.equal([rule("night", night), null]);
      }
      const again = scene.newNode("c", started.snapshot());
      again.begin();
      await again.settled();
      expect(serve(again), "from what it wrote meanwhile").to.deep.equal([
        rule("night", night),
        null,
      ]);
      to("1970-01-01T04:00:02Z");
      for (const node of [ran, started, again]) expect(serve(node)).to.deep.equal([null, null]);
      expect(again.status(host).closedUntil).to.equal("1970-01-02T02:00:00.000Z");
      to("1970-01-02T00:00:02Z");
      for (const node of [ran, started, again]) {
        expect(serve(node)).to.deep.equal([null, rule("day", day)]);
      }
      await scene.consul.restart({ keepData: true });
      await eventually("it goes on with Consul", () => started.look(host));
      to("1970-01-02T02:00:02Z");
      expect(live(started, host)).to.equal(rule("night", night));
    });

    it("a script that was closed and is gone when Consul is back does not open again", async () => {
      const host = scene.newHost();
      const before = scene.newNode("a");
      const night = `export const schedule = { from: "0 2 * * *", to: "0 4 * * *" };`;
      await scene.bring(host, rule("night", night), [before]);
      const started = scene.newNode("b", before.snapshot());
      started.begin();
      await started.settled();
      await started.offer({ kind: "script", key: host, value: null });
      scene.clock.advance(Date.parse("1970-01-01T02:00:02Z") - scene.clock.now());
      expect(live(started, host)).to.equal(null);
      expect(started.closed.size).to.equal(0);
    });

    it("a schedule that cannot be read refuses the script", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      await scene.put(
        host,
        rule("x", `export const schedule = { from: "61 2 * * *", to: "0 4 * * *" };`),
      );
      await node.look(host);
      expect(node.lines.join("\n")).to.contain(`sluice/scripts/${host} is refused: schedule.from`);
      expect(live(node, host)).to.equal(null);
    });
  });
