/** Which failing versions are taken back, on two gateways with one Consul; the clock is the test's. */
import { expect } from "chai";
import { createConsul, KvStore } from "../../../consul/index.ts";
import { consulKinds, type TestConsul } from "../../../test/support/consul.ts";
import { eventually } from "../../../test/support/registered.ts";
import { formatAgreement } from "../../documents/index.ts";
import type { Agreement } from "../../model/index.ts";
import { ManualClock } from "../../primary/fixtures/clock.ts";
import { ReleaseNode } from "../fixtures/release-node.ts";
import { Records, versionOf, type WorkerScriptReport } from "../index.ts";

const prefix = "sluice/";
/** It can refuse nothing. */
const rule = (name: string, more = "") =>
  `export default (request) => { request.hashKey = "${name}"; };${more}`;

for (const kind of consulKinds())
  describe(`scripts that fail with ${kind.name}`, function () {
    this.timeout(30_000);
    let consul: TestConsul;
    let client: ReturnType<typeof createConsul>;
    let records: Records;
    let clock: ManualClock;
    const nodes: ReleaseNode[] = [];
    let hosts = 0;

    function newNode(name: string): ReleaseNode {
      const node = new ReleaseNode({ name, client, records, clock, prefix });
      nodes.push(node);
      return node;
    }

    before(async () => {
      consul = await kind.start();
      client = createConsul({ url: consul.url }, {});
      const onUnreadable = (message: string) => expect.fail(message);
      records = new Records({ kv: new KvStore(client), prefix, onUnreadable });
    });
    beforeEach(() => {
      clock = new ManualClock();
    });
    afterEach(async () => {
      for (const node of nodes.splice(0)) await node.stop();
    });
    after(async () => {
      client?.close();
      await consul?.stop();
    });

    const newHost = () => {
      hosts += 1;
      return `f${hosts}.example`;
    };
    const outcomes = async (host: string) =>
      (await records.history(`scripts/${host}`)).map(({ outcome }) => outcome);
    /** Puts a text and waits until all nodes agree on it. */
    async function bring(host: string, text: string, all: readonly ReleaseNode[]): Promise<void> {
      await records.kv.put(`${prefix}scripts/${host}`, text);
      await eventually("they agree", async () => {
        for (const node of all) await node.look(host);
        expect((await records.agreement(host))?.index).to.equal(
          (await records.source(`scripts/${host}`))?.modifyIndex,
        );
      });
    }
    const live = (node: ReleaseNode, host: string) => node.scripts.get(host)?.text ?? null;
    const failures = (host: string, text: string): WorkerScriptReport[] => [
      { worker: 1, host, version: versionOf(text), calls: 10, errors: 6, lastError: "Error: no" },
    ];
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
      const host = newHost();
      const [a, b] = [newNode("a"), newNode("b")];
      await bring(host, before, [a, b]);
      await bring(host, second, [a, b]);
      a.reports = failuresAt(host, second, ["/bad"]);
      clock.advance(1_000);
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
      clock.advance(1_000);
      await saysStays(a, "the version before it lets pass");
      expect((await records.agreement(host))?.takenBack).to.deep.equal([]);
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
      const host = newHost();
      const node = newNode("a");
      const texts = [guard(), guard(`export const rollout = { percent: 5, steps: ["10m"] };`)];
      for (const text of texts) await bring(host, text, [node]);
      node.reports = texts.flatMap((text) => failures(host, text));
      for (let each = 0; each < 5; each += 1) clock.advance(1_000);
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
      const host = newHost();
      const text = rule("two", `export const takeBack = { probation: "30m" };`);
      const node = newNode("a");
      await bring(host, rule("one"), [node]);
      await bring(host, text, [node]);
      expect((await records.agreement(host))?.liveSince).to.equal(clock.now());
      clock.advance(29 * 60_000);
      const restarted = newNode("b");
      await restarted.look(host);
      clock.advance(2 * 60_000);
      for (const one of [node, restarted]) {
        one.reports = failures(host, text);
        clock.advance(1_000);
        await saysStays(one, "it served for longer than its probation");
        expect(live(one, host)).to.equal(text);
      }
    });

    it("a version that has all requests for a time that nobody knows is not taken back", async () => {
      const host = newHost();
      const node = newNode("a");
      for (const name of ["one", "two"]) await bring(host, rule(name), [node]);
      const { liveSince: _, ...life } = (await records.agreement(host)) ?? {};
      await records.kv.put(`${prefix}live/${host}`, formatAgreement(life as Agreement));
      const other = newNode("b");
      await other.look(host);
      other.reports = failures(host, rule("two"));
      clock.advance(1_000);
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
      const host = newHost();
      const [a, b] = [newNode("a"), newNode("b")];
      await bring(host, rule("loose"), [a, b]);
      await bring(host, guard(), [a, b]);
      const restarted = newNode("c");
      await restarted.look(host);
      restarted.stall(host, guard());
      await eventually("all know", async () => {
        for (const node of [a, b, restarted]) {
          await node.look(host);
          expect(node.scripts.get(host)?.outOfService?.reason).to.equal("it stalled");
          expect(live(node, host)).to.equal(guard());
        }
      });
      expect(await outcomes(host)).to.deep.equal(["out of service", "replaced"]);
      await eventually("it is said", async () =>
        expect(nodes.flatMap(({ lines }) => lines).join()).to.match(
          /out of service, and there is no version that refuses what it may refuse/,
        ),
      );
    });

    for (const [what, before, second] of [
      ["refuses too", `export default () => deny(400);`, guard()],
      ["it is taken back to where it says so", rule("loose"), guard(opens)],
    ] as const)
      it(`a rule that refuses and stalled a worker is taken back to one that ${what}`, async () => {
        const host = newHost();
        const node = newNode("a");
        await bring(host, before, [node]);
        await bring(host, second, [node]);
        const restarted = newNode("c");
        await restarted.look(host);
        restarted.stall(host, second);
        await eventually("it is taken back", async () =>
          expect(live(restarted, host)).to.equal(before),
        );
      });
  });
