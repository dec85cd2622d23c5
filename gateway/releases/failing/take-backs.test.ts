/** Which failing versions are taken back, on two gateways with one Consul; the clock is the test's. */
import { expect } from "chai";
import { consulKinds } from "../../../test/support/consul.ts";
import { eventually } from "../../../test/support/registered.ts";
import { formatAgreement } from "../../documents/index.ts";
import type { Agreement } from "../../model/index.ts";
import type { ReleaseNode } from "../fixtures/release-node.ts";
import { failures, live, prefix, ReleaseScene, rule } from "../fixtures/release-scene.ts";

for (const kind of consulKinds())
  describe(`scripts that fail with ${kind.name}`, function () {
    this.timeout(180_000);
    const scene = new ReleaseScene(kind);

    /** Workers report that requests for these paths failed. */
    const failuresAt = (host: string, text: string, paths: readonly string[]) =>
      failures(host, text).map((report) => {
        const requestOf = (path: string) => `GET\nhttp\n${host}\n${path}\n\n\n192.0.2.1\nid\n`;
        const samples = paths.map((path) => ({
          error: 6,
          request: requestOf(path),
          response: null,
        }));
        const clients = [["192.0.2.1", 6] as const];
        return { ...report, callers: ["192.0.2.1"], failed: { clients, samples } };
      });
    /** Fails at /bad; refuses what asks for /secret. */
    const guard = (more = "") => `export default ({ path }) => {
      if (path === "/bad") throw new Error("it cannot be read");
      if (path === "/secret") return deny(403);
    };${more}`;
    const skips = `export const onError = "skip";`;
    const opens = `export const takeBack = { open: true };`;
    /** Brings two versions and has the second one fail at /bad on the first of two gateways. */
    async function failSecond(before: string, second: string) {
      const host = scene.newHost();
      const [a, b] = [scene.newNode("a"), scene.newNode("b")];
      await scene.bring(host, before, [a, b]);
      await scene.bring(host, second, [a, b]);
      a.reports = failuresAt(host, second, ["/bad"]);
      scene.clock.advance(1_000);
      return { host, a, b };
    }
    const saysStays = (node: ReleaseNode, why: string) =>
      eventually("it is said", async () => {
        const lines = node.lines.filter((line) => /fails too often and stays/.test(line));
        expect(lines).to.have.lengthOf(1);
        expect(lines[0]).to.contain(why);
      });

    it("a rule that refuses is not taken back to a version that lets pass what it fails on", async () => {
      const { host, a, b } = await failSecond(rule("loose"), guard());
      await saysStays(a, "the version before it lets pass what it fails on: 6 errors in 10 calls");
      expect([live(a, host), live(b, host)]).to.deep.equal([guard(), guard()]);
      expect(a.status(host).failing).to.match(/^6 errors in 10 calls, .*; the version before it/);
      scene.clock.advance(1_000);
      await saysStays(a, "the version before it lets pass");
      expect((await scene.records.agreement(host))?.takenBack).to.deep.equal([]);
    });

    for (const [what, more] of [
      ["whose failures let requests pass", skips],
      ["that says so", opens],
    ] as const)
      it(`a rule that refuses is taken back to a version that lets more pass where it is one ${what}`, async () => {
        const { host, a, b } = await failSecond(rule("loose"), guard(more));
        await eventually("both have the version before", async () => {
          await b.look(host);
          expect([live(a, host), live(b, host)]).to.deep.equal([rule("loose"), rule("loose")]);
        });
      });

    const atBad = (verdict: string) =>
      `export default ({ path }) => path === "/bad" ? ${verdict} : undefined;`;

    it("a rule that refuses is taken back to a version that answers what it fails on", async () => {
      const before = atBad('redirect("/good")');
      const { host, a } = await failSecond(before, guard());
      await eventually("it is taken back", async () => expect(live(a, host)).to.equal(before));
    });

    it("a rule that refuses stays where the version before refuses what it fails on, and perhaps less", async () => {
      const { host, a } = await failSecond(atBad("deny(400)"), guard());
      await saysStays(a, "the version before it refuses what it fails on");
      expect(live(a, host)).to.equal(guard());
    });

    it("a version on trial and the one that is live may fail side by side, and each is said once", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      const texts = [guard(), guard(`export const rollout = { percent: 5, steps: ["10m"] };`)];
      for (const text of texts) await scene.bring(host, text, [node]);
      node.reports = texts.flatMap((text) => failures(host, text));
      for (let each = 0; each < 5; each += 1) scene.clock.advance(1_000);
      const said = node.lines.filter((line) => /fails too often and stays/.test(line));
      expect(said).to.have.lengthOf(2);
      expect(node.status(host).failing).to.match(/^6 errors .*no version to take it back to$/);
    });

    it("a version is not taken back for requests on which the version before fails too", async () => {
      const failing = (name: string) =>
        `export default (request) => { request.path = request.path + (request.path === "/bad" ? "?" : "${name}"); };`;
      const { host, a } = await failSecond(failing("one"), failing("two"));
      await saysStays(a, "the version before it fails on the same requests");
      expect(live(a, host)).to.equal(failing("two"));
    });

    it("a rewriting version is taken back when the version before does well", async () => {
      const second = `export default (request) => { request.path = request.path + " "; };`;
      const { host, a } = await failSecond(rule("one"), second);
      await eventually("it is taken back", async () => expect(live(a, host)).to.equal(rule("one")));
    });

    it("a rollout of a rule that refuses goes on though it fails on what the rest lets pass", async () => {
      const second = guard(`export const rollout = { percent: 5, steps: ["10m"] };`);
      const { host, a } = await failSecond(rule("loose"), second);
      await saysStays(a, "the version before it lets pass what it fails on");
      expect(a.trials.get(host)?.source.text).to.equal(second);
      expect(a.status(host).failing).to.match(/^in its rollout: 6 errors/);
    });

    it("a version is not taken back after its probation, also by a gateway that started since", async () => {
      const host = scene.newHost();
      const text = rule("two", `export const takeBack = { probation: "30m" };`);
      const node = scene.newNode("a");
      await scene.bring(host, rule("one"), [node]);
      await scene.bring(host, text, [node]);
      expect((await scene.records.agreement(host))?.liveSince).to.equal(scene.clock.now());
      scene.clock.advance(29 * 60_000);
      const restarted = scene.newNode("b");
      await restarted.look(host);
      scene.clock.advance(2 * 60_000);
      for (const one of [node, restarted]) {
        one.reports = failures(host, text);
        scene.clock.advance(1_000);
        await saysStays(one, "it served for longer than its probation");
        expect(live(one, host)).to.equal(text);
      }
    });

    it("a version that has all requests for a time that nobody knows is not taken back", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      for (const name of ["one", "two"]) await scene.bring(host, rule(name), [node]);
      const { liveSince: _, ...life } = (await scene.records.agreement(host)) ?? {};
      await scene.records.kv.put(`${prefix}live/${host}`, formatAgreement(life as Agreement));
      const other = scene.newNode("b");
      await other.look(host);
      other.reports = failures(host, rule("two"));
      scene.clock.advance(1_000);
      await saysStays(other, "probation");
      expect(live(other, host)).to.equal(rule("two"));
    });

    it("a version that wants no take-back stays, and it is said", async () => {
      const text = rule("two", "export const takeBack = false;");
      const { host, a } = await failSecond(rule("one"), text);
      await saysStays(a, "it says that it is not taken back");
      expect(live(a, host)).to.equal(text);
    });

    it("a rule that refuses and stalled a worker is out of service rather than replaced by one that does not", async () => {
      const host = scene.newHost();
      const [a, b] = [scene.newNode("a"), scene.newNode("b")];
      await scene.bring(host, rule("loose"), [a, b]);
      await scene.bring(host, guard(), [a, b]);
      const restarted = scene.newNode("c");
      await restarted.look(host);
      restarted.stall(host, guard());
      await eventually("all know", async () => {
        for (const node of [a, b, restarted]) {
          await node.look(host);
          expect(node.scripts.get(host)?.outOfService?.reason).to.equal("it stalled");
          expect(live(node, host)).to.equal(guard());
        }
      });
      expect(await scene.outcomes(host)).to.deep.equal(["out of service", "replaced"]);
      await eventually("it is said", async () =>
        expect(scene.nodes.flatMap(({ lines }) => lines).join()).to.match(
          /out of service, and there is no version that refuses what it may refuse/,
        ),
      );
    });

    for (const [what, before, second] of [
      ["refuses too", `export default () => deny(400);`, guard()],
      ["it is taken back to where it says so", rule("loose"), guard(opens)],
    ] as const)
      it(`a rule that refuses and stalled a worker is taken back to one that ${what}`, async () => {
        const host = scene.newHost();
        const node = scene.newNode("a");
        await scene.bring(host, before, [node]);
        await scene.bring(host, second, [node]);
        const restarted = scene.newNode("c");
        await restarted.look(host);
        restarted.stall(host, second);
        await eventually("it is taken back", async () =>
          expect(live(restarted, host)).to.equal(before),
        );
      });

    it("a first version that fails too often stays, and its status says so while it does", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      await scene.bring(host, rule("only"), [node]);
      node.reports = failures(host, rule("only"));
      scene.clock.advance(1_000);
      expect(node.status(host).failing).to.equal(
        "6 errors in 10 calls, the last: Error: no; there is no version to take it back to",
      );
      expect(live(node, host)).to.equal(rule("only"));
      scene.clock.advance(20_000);
      expect(node.status(host).failing).to.equal(null);
    });

    it("a version is taken back while Consul is away, and Consul hears of it later", async () => {
      const host = scene.newHost();
      const node = scene.newNode("a");
      await scene.bring(host, rule("one"), [node]);
      await scene.bring(host, rule("two"), [node]);
      await scene.consul.kill();
      node.reports = failures(host, rule("two"));
      scene.clock.advance(1_000);
      expect(live(node, host)).to.equal(rule("one"));
      await eventually("it says that it decides alone", async () =>
        expect(node.lines.join("\n")).to.contain("so this gateway decides alone"),
      );
      expect(node.lines.join("\n")).to.not.contain("is taken back");
      await scene.consul.restart({ keepData: true });
      node.reports = [];
      await eventually("it is written down", async () => {
        scene.clock.advance(1_000);
        expect(await scene.outcomes(host)).to.deep.equal(["live", "taken back", "replaced"]);
      });
      expect(live(node, host)).to.equal(rule("one"));
      await eventually("it is said once", async () =>
        expect(node.lines.filter((line) => /is taken back/.test(line))).to.have.lengthOf(1),
      );
    });
  });
