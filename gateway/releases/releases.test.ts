/** Scripts on their way into service on two gateways with one Consul; the clock is the test's. */
import { expect } from "chai";
import { createConsul, KvStore } from "../../consul/index.ts";
import { consulKinds, type TestConsul } from "../../test/support/consul.ts";
import { eventually } from "../../test/support/registered.ts";
import { formatAgreement } from "../documents/index.ts";
import { type Agreement, emptyTables, type Tables } from "../model/index.ts";
import { ManualClock } from "../primary/fixtures/clock.ts";
import { ReleaseNode } from "./fixtures/release-node.ts";
import { type Kv, Records, versionOf, type WorkerScriptReport } from "./index.ts";

const prefix = "sluice/";
const rule = (name: string, more = "") =>
  `export default (request) => { request.hashKey = "${name}"; };${more}`;

for (const kind of consulKinds())
  describe(`scripts on their way into service with ${kind.name}`, function () {
    this.timeout(30_000);
    let consul: TestConsul;
    let client: ReturnType<typeof createConsul>;
    let records: Records;
    let clock: ManualClock;
    const nodes: ReleaseNode[] = [];
    const atEnd: (() => void)[] = [];
    let hosts = 0;

    function newNode(name: string, live?: Tables, own = records): ReleaseNode {
      const node = new ReleaseNode({ name, live, client, records: own, clock, prefix });
      nodes.push(node);
      return node;
    }

    const recordsOn = (kv: Kv) =>
      new Records({ kv, prefix, onUnreadable: (message) => expect.fail(message) });
    /** The same Consul, but for what is done otherwise. */
    function recordsWith(other: Partial<Kv>): Records {
      const { kv } = records;
      return recordsOn({
        get: (key) => kv.get(key),
        list: (below) => kv.list(below),
        keys: (below) => kv.keys(below),
        folders: (below) => kv.folders(below),
        put: (...put) => kv.put(...put),
        remove: (key) => kv.remove(key),
        transact: (writes) => kv.transact(writes),
        ...other,
      });
    }

    before(async () => {
      consul = await kind.start();
      client = createConsul({ url: consul.url }, {});
      records = recordsOn(new KvStore(client));
    });
    beforeEach(() => {
      clock = new ManualClock();
    });
    afterEach(async () => {
      for (const end of atEnd.splice(0)) end();
      for (const node of nodes.splice(0)) await node.stop();
    });
    after(async () => {
      client?.close();
      await consul?.stop();
    });

    const newHost = () => {
      hosts += 1;
      return `h${hosts}.example`;
    };
    const put = (host: string, text: string) => records.kv.put(`${prefix}scripts/${host}`, text);
    const outcomes = async (host: string) =>
      (await records.history(`scripts/${host}`)).map(({ outcome }) => outcome);
    /** Puts a text and waits until all nodes agree on what became of it. */
    async function bring(host: string, text: string, all: readonly ReleaseNode[]): Promise<void> {
      await put(host, text);
      await eventually("they agree", async () => {
        for (const node of all) await node.look(host);
        expect((await records.agreement(host))?.index).to.equal(
          (await records.source(`scripts/${host}`))?.modifyIndex,
        );
      });
    }
    const live = (node: ReleaseNode, host: string) => node.scripts.get(host)?.text ?? null;
    /** The one line about it; whoever wrote the agreement says it a moment after the others can read it. */
    async function toldOnce(what: RegExp): Promise<string> {
      const lines = () => nodes.flatMap((node) => node.lines.filter((line) => what.test(line)));
      await eventually("it is said", async () => expect(lines()).to.not.be.empty);
      expect(lines()).to.have.lengthOf(1);
      return lines()[0] ?? "";
    }
    const failures = (host: string, text: string): WorkerScriptReport[] => [
      { worker: 1, host, version: versionOf(text), calls: 10, errors: 6, lastError: "Error: no" },
    ];

    it("a gateway that may not write remembers by itself what served before", async () => {
      const host = newHost();
      const refuse = async () => {
        throw new Error("403 (Permission denied)");
      };
      const mayNotWrite = recordsWith({ put: refuse, transact: refuse });
      const node = newNode("a", undefined, mayNotWrite);
      for (const name of ["one", "two"]) {
        await put(host, rule(name));
        await node.look(host);
        clock.advance(60_000);
        await node.settled();
        expect(live(node, host)).to.equal(rule(name));
      }
      node.reports = failures(host, rule("two"));
      clock.advance(1_000);
      expect(live(node, host)).to.equal(rule("one"));
      clock.advance(60_000);
      await node.look(host);
      expect(live(node, host), "it stays").to.equal(rule("one"));
      expect(await records.agreement(host)).to.equal(null);
    });

    it("the version before is known though the next one came before Consul had its agreement", async () => {
      const host = newHost();
      const held = Promise.withResolvers<void>();
      atEnd.push(held.resolve);
      let isHeld = false;
      const slow = recordsWith({
        async transact(writes) {
          if (isHeld) await held.promise;
          return records.kv.transact(writes);
        },
      });
      const node = newNode("a", undefined, slow);
      await bring(host, rule("one"), [node]);
      isHeld = true;
      for (const name of ["two", "three"]) {
        await put(host, rule(name));
        await node.look(host);
        expect(live(node, host)).to.equal(rule(name));
      }
      node.reports = failures(host, rule("three"));
      clock.advance(1_000);
      expect(live(node, host)).to.equal(rule("two"));
      held.resolve();
      await eventually("Consul has it too", async () => {
        clock.advance(6_000);
        await node.look(host);
        expect((await records.agreement(host))?.live).to.equal(versionOf(rule("two")));
      });
      expect(live(node, host)).to.equal(rule("two"));
    });

    it("a host is forgotten when nothing of it is left, and not before", async () => {
      const [host, other] = [newHost(), newHost()];
      const node = newNode("a");
      await bring(host, rule("one"), [node]);
      await bring(other, rule("two"), [node]);
      await records.kv.remove(`${prefix}scripts/${host}`);
      await eventually("it is gone", async () => {
        await node.look(host);
        expect((await records.agreement(host))?.live).to.equal(null);
      });
      clock.advance(120_000);
      expect(node.hosts()).to.have.members([host, other]);
      await records.kv.remove(`${prefix}live/${host}`);
      await node.look(host);
      clock.advance(120_000);
      expect(node.hosts()).to.have.members([other]);
      expect(live(node, other)).to.equal(rule("two"));
    });

    it("a schedule keeps a script in service within its window only", async () => {
      const host = newHost();
      const node = newNode("a");
      const night = `export const schedule = { from: "0 2 * * *", to: "0 4 * * *", timezone: "Asia/Shanghai" };`;
      const text = rule("night", night);
      await bring(host, text, [node]);
      // The clock begins at 1970-01-01T00:16:40Z, 08:16 in Shanghai.
      expect(live(node, host)).to.equal(null);
      expect(node.status(host).closedUntil).to.equal("1970-01-01T18:00:00.000Z");
      const to = (time: string) => clock.advance(Date.parse(time) - clock.now());
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
      const host = newHost();
      const other = newHost();
      const ran = newNode("a");
      const to = (time: string) => clock.advance(Date.parse(time) - clock.now());
      const night = `export const schedule = { from: "0 2 * * *", to: "0 4 * * *" };`;
      const day = `export const schedule = { from: "0 0 * * *", to: "0 2 * * *" };`;
      await bring(host, rule("night", night), [ran]);
      await bring(other, rule("day", day), [ran]);
      expect([live(ran, host), live(ran, other)]).to.deep.equal([null, rule("day", day)]);
      await consul.kill();
      const started = newNode("b", ran.snapshot());
      started.begin();
      const serve = (node: ReleaseNode) => [live(node, host), live(node, other)];
      // It has to find out first what the scripts declare.
      await started.settled();
      to("1970-01-01T02:00:02Z");
      for (const node of [ran, started]) {
        expect(serve(node)).to.deep.equal([rule("night", night), null]);
      }
      const again = newNode("c", started.snapshot());
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
      await consul.restart({ keepData: true });
      await eventually("it goes on with Consul", () => started.look(host));
      to("1970-01-02T02:00:02Z");
      expect(live(started, host)).to.equal(rule("night", night));
    });

    it("a script that was closed and is gone when Consul is back does not open again", async () => {
      const host = newHost();
      const before = newNode("a");
      const night = `export const schedule = { from: "0 2 * * *", to: "0 4 * * *" };`;
      await bring(host, rule("night", night), [before]);
      const started = newNode("b", before.snapshot());
      started.begin();
      await started.settled();
      await started.offer({ kind: "script", key: host, value: null });
      clock.advance(Date.parse("1970-01-01T02:00:02Z") - clock.now());
      expect(live(started, host)).to.equal(null);
      expect(started.closed.size).to.equal(0);
    });

    it("a schedule that cannot be read refuses the script", async () => {
      const host = newHost();
      const node = newNode("a");
      await put(
        host,
        rule("x", `export const schedule = { from: "61 2 * * *", to: "0 4 * * *" };`),
      );
      await node.look(host);
      expect(node.lines.join("\n")).to.contain(`sluice/scripts/${host} is refused: schedule.from`);
      expect(live(node, host)).to.equal(null);
    });

    it("a rollout has the same share on both gateways, widens by the clock, and ends", async () => {
      const host = newHost();
      const [a, b] = [newNode("a"), newNode("b")];
      await bring(host, rule("old"), [a, b]);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m", "10m"] };`);
      await bring(host, text, [a, b]);
      const shares = () => [a, b].map((node) => node.trials.get(host)?.share ?? null);
      expect(shares()).to.deep.equal([500, 500]);
      clock.advance(599_000);
      expect(shares()).to.deep.equal([500, 500]);
      clock.advance(2_000);
      expect(shares()).to.deep.equal([5_250, 5_250]);
      expect(live(a, host)).to.equal(rule("old"));
      const restarted = newNode("c");
      await restarted.look(host);
      expect(restarted.trials.get(host)).to.include({ share: 5_250, by: null });
      expect(live(restarted, host), "out of the history").to.equal(rule("old"));
      clock.advance(600_000);
      expect(shares()).to.deep.equal([null, null]);
      expect([a, b, restarted].map((node) => live(node, host))).to.deep.equal([text, text, text]);
      await eventually("it is written down", async () =>
        expect(await outcomes(host)).to.deep.equal(["live", "replaced"]),
      );
      const told = () =>
        nodes.flatMap(({ lines }) => lines.filter((line) => /all requests/.test(line)));
      await eventually("it is said once", async () => expect(told()).to.have.lengthOf(1));
    });

    it("a rollout that fails is taken back at once, and the rest never saw it", async () => {
      const host = newHost();
      const [a, b] = [newNode("a"), newNode("b")];
      await bring(host, rule("old"), [a, b]);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await bring(host, text, [a, b]);
      a.reports = failures(host, text);
      clock.advance(1_000);
      expect(a.trials.size).to.equal(0);
      await eventually("the other one hears of it", async () => {
        await b.look(host);
        expect(b.trials.size).to.equal(0);
      });
      expect(live(b, host)).to.equal(rule("old"));
      expect(await outcomes(host)).to.deep.equal(["taken back", "live"]);
      expect(b.status(host).takenBack[0]?.reason).to.equal(
        "6 errors in 10 calls, the last: Error: no",
      );
    });

    it("a version that stalled a worker is taken back on both gateways, and said once", async () => {
      const host = newHost();
      const [a, b] = [newNode("a"), newNode("b")];
      await bring(host, rule("one"), [a, b]);
      await bring(host, rule("two"), [a, b]);
      a.stall(host, rule("two"));
      expect(live(a, host), "at once").to.equal(rule("one"));
      await eventually("the other one hears of it", async () => {
        await b.look(host);
        expect(live(b, host)).to.equal(rule("one"));
      });
      expect(await outcomes(host)).to.deep.equal(["live", "taken back", "replaced"]);
      const told = await toldOnce(/is taken back/);
      expect(told).to.contain("it stalled");
      b.stall(host, rule("two"));
      clock.advance(1_000);
      expect(live(b, host), "it was stuck there too").to.equal(rule("one"));
      await put(host, rule("two"));
      for (const node of [a, b]) await node.look(host);
      expect([live(a, host), live(b, host)]).to.deep.equal([rule("one"), rule("one")]);
    });

    it("a first version that stalled a worker is out of service on both until its source changes", async () => {
      const host = newHost();
      const [a, b] = [newNode("a"), newNode("b")];
      await bring(host, rule("one"), [a, b]);
      const why = (node: ReleaseNode) => node.scripts.get(host)?.outOfService?.reason ?? null;
      a.stall(host, rule("one"));
      expect(why(a)).to.equal("it stalled");
      await eventually("the other one hears of it", async () => {
        await b.look(host);
        expect(why(b)).to.equal("it stalled");
      });
      expect(await outcomes(host)).to.deep.equal(["out of service"]);
      await toldOnce(/out of service/);
      const restarted = newNode("c");
      await restarted.look(host);
      expect(why(restarted), "also to one that starts").to.equal("it stalled");
      const text = rule("two", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await bring(host, text, [a, b]);
      expect([live(a, host), live(b, host)]).to.deep.equal([text, text]);
      expect([why(a), why(b)]).to.deep.equal([null, null]);
    });

    for (const way of ["itself", "through another module"])
      it(`a version that is out of service is tried again when a module changes that it imports ${way}`, async () => {
        const host = newHost();
        const name = way === "itself" ? "slow" : "between";
        const [a, b] = [newNode("a"), newNode("b")];
        const both = [a, b];
        const module = async (text: string, key = "slow") => {
          const value = { text, version: versionOf(text), modifyIndex: 1 };
          for (const node of both) await node.offer({ kind: "module", key, value });
        };
        await module(`export const word = "a";`);
        await module(`export { word } from "modules/slow";`, "between");
        const text = `import { word } from "modules/${name}"; ${rule("x", " void word;")}`;
        await bring(host, text, both);
        a.stall(host, text);
        const isOut = () => both.map((node) => node.scripts.get(host)?.outOfService !== undefined);
        await eventually("both know", async () => {
          await b.look(host);
          expect(isOut()).to.deep.equal([true, true]);
        });
        clock.advance(1_000);
        await module(`export const word = "b";`);
        await eventually("both agree", async () => {
          for (const node of both) await node.look(host);
          expect(isOut()).to.deep.equal([false, false]);
          expect((await records.agreement(host))?.takenBack).to.deep.equal([]);
        });
        expect(await outcomes(host)).to.deep.equal(["live", "out of service"]);
      });

    it("a version on trial that stalled a worker loses its share everywhere", async () => {
      const host = newHost();
      const [a, b] = [newNode("a"), newNode("b")];
      await bring(host, rule("old"), [a, b]);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await bring(host, text, [a, b]);
      a.stall(host, text);
      expect(a.trials.size).to.equal(0);
      await eventually("the other one hears of it", async () => {
        await b.look(host);
        expect(b.trials.size).to.equal(0);
      });
      for (const node of [a, b]) {
        expect(node.status(host).takenBack[0]).to.include({ reason: "it stalled" });
      }
      expect(await outcomes(host)).to.deep.equal(["taken back", "live"]);
    });

    it("a first version that fails too often stays, and its status says so while it does", async () => {
      const host = newHost();
      const node = newNode("a");
      await bring(host, rule("only"), [node]);
      node.reports = failures(host, rule("only"));
      clock.advance(1_000);
      expect(node.status(host).failing).to.equal(
        "6 errors in 10 calls, the last: Error: no; there is no version to take it back to",
      );
      expect(live(node, host)).to.equal(rule("only"));
      clock.advance(20_000);
      expect(node.status(host).failing).to.equal(null);
    });

    it("a version that stalls a worker while Consul is away runs no more", async () => {
      const host = newHost();
      const first = newNode("a");
      await bring(host, rule("one"), [first]);
      await bring(host, rule("two"), [first]);
      const node = newNode("b", first.snapshot());
      node.begin();
      node.stall(host, rule("two"));
      expect(node.scripts.get(host)?.outOfService?.reason).to.equal("it stalled");
      const again = newNode("c", node.snapshot());
      again.begin();
      clock.advance(1_000);
      expect(again.scripts.get(host)?.outOfService?.reason, "after a restart").to.equal(
        "it stalled",
      );
      await node.look(host);
      expect(live(node, host), "once Consul is back").to.equal(rule("one"));
    });

    it("a version is taken back while Consul is away, and Consul hears of it later", async () => {
      const host = newHost();
      const node = newNode("a");
      await bring(host, rule("one"), [node]);
      await bring(host, rule("two"), [node]);
      await consul.kill();
      node.reports = failures(host, rule("two"));
      clock.advance(1_000);
      expect(live(node, host)).to.equal(rule("one"));
      await eventually("it says that it decides alone", async () =>
        expect(node.lines.join("\n")).to.contain("so this gateway decides alone"),
      );
      expect(node.lines.join("\n")).to.not.contain("is taken back");
      await consul.restart({ keepData: true });
      node.reports = [];
      await eventually("it is written down", async () => {
        clock.advance(1_000);
        expect(await outcomes(host)).to.deep.equal(["live", "taken back", "replaced"]);
      });
      expect(live(node, host)).to.equal(rule("one"));
      await eventually("it is said once", async () =>
        expect(node.lines.filter((line) => /is taken back/.test(line))).to.have.lengthOf(1),
      );
    });

    it("two gateways that see everything at once write one history", async () => {
      const host = newHost();
      const both = [newNode("a"), newNode("b")];
      for (let each = 0; each < 24; each += 1) {
        await put(host, rule(`v${each}`));
        await Promise.all(both.map((node) => node.look(host)));
      }
      await bring(host, rule("last"), both);
      const history = await records.history(`scripts/${host}`);
      expect(history).to.have.lengthOf(20);
      expect(new Set(history.map(({ version }) => version)).size, "none twice").to.equal(20);
      expect(history[0]).to.include({ version: versionOf(rule("last")), outcome: "live" });
      expect(history.slice(1).every(({ outcome }) => outcome === "replaced")).to.equal(true);
      await eventually("every source of the history is kept, and hardly another", async () => {
        const kept = await records.kv.list(`${prefix}versions/scripts/${host}/`);
        const names = kept.map(({ key }) => key.slice(key.lastIndexOf("/") + 1));
        expect(names).to.include.members(history.map(({ version }) => version));
        expect(names.length).to.be.below(24);
      });
    });

    it("a gateway that has not heard of a newer version does not put an older one back", async () => {
      const host = newHost();
      const [fast, slow] = [newNode("fast"), newNode("slow")];
      await bring(host, rule("one"), [fast, slow]);
      await bring(host, rule("two"), [fast]);
      const life = await records.agreement(host);
      clock.advance(10_000);
      expect(await records.agreement(host)).to.deep.equal(life);
      await slow.look(host);
      expect(live(slow, host)).to.equal(rule("two"));
      expect(await records.agreement(host)).to.deep.equal(life);
    });

    it("a module may not change so that the version that serves the rest would break", async () => {
      const host = newHost();
      const node = newNode("a");
      const module = async (text: string) => {
        const value = { text, version: versionOf(text), modifyIndex: 1 };
        await node.offer({ kind: "module", key: "words", value });
      };
      await module(`export const word = "a";`);
      const old = `import { word } from "modules/words"; ${rule("old", " void word;")}`;
      await bring(host, old, [node]);
      await bring(host, rule("new", `export const rollout = { percent: 5, steps: ["10m"] };`), [
        node,
      ]);
      expect(live(node, host)).to.equal(old);
      await module(`export const other = "b";`);
      expect(node.lines.join("\n")).to.contain("modules/words is refused: it would break scripts/");
      clock.advance(600_000);
      await module(`export const another = "b";`);
      expect(node.lines.at(-1), "it may be taken back to").to.contain("it would break scripts/");
    });

    it("a version that is put back after a refused one is accepted again", async () => {
      const host = newHost();
      const node = newNode("a");
      await bring(host, rule("one"), [node]);
      await put(host, "export default () => {");
      await node.look(host);
      expect(node.status(host).accepted).to.equal(null);
      expect(live(node, host)).to.equal(rule("one"));
      await bring(host, rule("one"), [node]);
      expect(node.status(host).accepted).to.equal(versionOf(rule("one")));
      await eventually("the history has the refused one too", async () =>
        expect(await outcomes(host)).to.deep.equal(["refused", "live"]),
      );
    });

    it("what a snapshot left in service stays until Consul answers, and then goes on", async () => {
      const host = newHost();
      const node = newNode("a");
      await bring(host, rule("old"), [node]);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m", "10m"] };`);
      await bring(host, text, [node]);
      const restarted = newNode("b", node.snapshot());
      restarted.begin();
      clock.advance(601_000);
      expect(restarted.passed, "nothing is known yet").to.equal(0);
      await restarted.look(host);
      expect(restarted.trials.get(host)?.share).to.equal(5_250);
      expect(restarted.passed).to.equal(1);
      clock.advance(601_000);
      expect(live(restarted, host)).to.equal(text);
    });

    it("a gateway that finds what serves in Consul as it was has a version to go back to", async () => {
      const host = newHost();
      await put(host, rule("one"));
      const source = await records.source(`scripts/${host}`);
      if (source === null) throw new Error("it was put");
      const node = newNode("a", { ...emptyTables(), script: new Map([[host, source]]) });
      await bring(host, rule("one"), [node]);
      await bring(host, rule("two"), [node]);
      expect(await records.agreement(host)).to.include({ before: source.version });
    });

    it("a rollout goes on from what serves when the agreement is lost", async () => {
      const host = newHost();
      const node = newNode("a");
      await bring(host, rule("old"), [node]);
      await records.kv.remove(`${prefix}live/${host}`);
      await node.look(host);
      const text = rule("new", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await bring(host, text, [node]);
      expect(live(node, host)).to.equal(rule("old"));
      expect(node.trials.get(host)?.share).to.equal(500);
    });

    it("a Consul that lost its data is told again, though it counts from the beginning", async () => {
      const host = newHost();
      const [a, b] = [newNode("a"), newNode("b")];
      await bring(host, rule("one"), [a, b]);
      for (let each = 0; each < 50; each += 1) await put("other.example", rule(`v${each}`));
      await bring(host, rule("two"), [a, b]);
      await consul.restart({ keepData: false });
      await put(host, rule("three"));
      const value = await records.source(`scripts/${host}`);
      // What is gone all at once is held by the watches, so nobody says that the agreement is gone.
      for (const node of [a, b]) await node.offer({ kind: "script", key: host, value });
      expect(live(a, host)).to.equal(rule("two"));
      await eventually("both go on", async () => {
        clock.advance(1_000);
        expect([live(a, host), live(b, host)]).to.deep.equal([rule("three"), rule("three")]);
      });
      expect(await records.agreement(host)).to.include({ before: versionOf(rule("two")) });
    });

    it("a Consul that lost its data and got the scripts back is told again what was taken back", async () => {
      const host = newHost();
      const node = newNode("a");
      await bring(host, rule("one"), [node]);
      for (let each = 0; each < 50; each += 1) await put("other.example", rule(`v${each}`));
      await bring(host, rule("two"), [node]);
      node.reports = failures(host, rule("two"));
      clock.advance(1_000);
      node.reports = [];
      await eventually("it is written down", async () => {
        expect((await records.agreement(host))?.takenBack).to.have.lengthOf(1);
      });
      const agreed = await records.agreement(host);
      await consul.restart({ keepData: false });
      await put(host, rule("two"));
      const value = await records.source(`scripts/${host}`);
      await node.offer({ kind: "script", key: host, value });
      await eventually("it is told", async () => {
        clock.advance(1_000);
        expect(await records.agreement(host)).to.include({ index: value?.modifyIndex });
      });
      const { live: version, takenBack } = agreed ?? {};
      expect(await records.agreement(host)).to.deep.include({ live: version, takenBack });
      expect(live(node, host)).to.equal(rule("one"));
      const restarted = newNode("b");
      await restarted.look(host);
      expect(live(restarted, host), "its source is there again").to.equal(rule("one"));
    });

    /** What an export of another Consul brings: the agreement as it was there, with its own count. */
    const importLife = async (host: string, life: Partial<Agreement>) => {
      const known = (await records.agreement(host)) ?? {
        revision: 0,
        index: 0,
        live: null,
        before: null,
        next: null,
        takenBack: [],
      };
      await records.kv.put(`${prefix}live/${host}`, formatAgreement({ ...known, ...life }));
    };
    const indexOfLife = async (host: string) =>
      (await records.kv.get(`${prefix}live/${host}`))?.modifyIndex ?? 0;

    for (const [what, revision] of [
      ["newer", 9_000],
      ["older", 0],
    ] as const) {
      it(`an agreement out of another Consul, ${what} by its own count, stops no new version`, async () => {
        const host = newHost();
        const both = [newNode("a"), newNode("b")];
        await bring(host, rule("one"), both);
        await importLife(host, { revision, index: 1_000_000_000 });
        for (const node of both) await node.look(host);
        await bring(host, rule("two"), both);
        expect(both.map((node) => live(node, host))).to.deep.equal([rule("two"), rule("two")]);
        const agreed = await records.agreement(host);
        expect(agreed).to.include({ live: versionOf(rule("two")), before: versionOf(rule("one")) });
        const index = await indexOfLife(host);
        for (let each = 0; each < 30; each += 1) {
          for (const node of both) await node.look(host);
          clock.advance(1_000);
        }
        await Promise.all(both.map((node) => node.settled()));
        expect(await indexOfLife(host), "nobody writes it again").to.equal(index);
        const [a, b] = both;
        if (a === undefined || b === undefined) throw new Error("two nodes");
        a.reports = failures(host, rule("two"));
        clock.advance(1_000);
        await eventually("the other one hears of a take-back", async () => {
          await b.look(host);
          clock.advance(1_000);
          expect(live(b, host)).to.equal(rule("one"));
        });
      });
    }

    it("an agreement out of another Consul is taken over by gateways that know nothing yet", async () => {
      const host = newHost();
      const one = versionOf(rule("one"));
      await records.keep(`scripts/${host}`, one, rule("one"));
      await importLife(host, {
        revision: 9_000,
        index: 1_000_000_000,
        live: one,
        takenBack: [{ version: versionOf(rule("bad")), at: 0, reason: "it was bad" }],
      });
      await put(host, rule("one"));
      const both = [newNode("a"), newNode("b")];
      await eventually("they agree", async () => {
        for (const node of both) await node.look(host);
        expect((await records.agreement(host))?.index).to.equal(
          (await records.source(`scripts/${host}`))?.modifyIndex,
        );
      });
      const index = await indexOfLife(host);
      for (let each = 0; each < 30; each += 1) {
        for (const node of both) await node.look(host);
        clock.advance(1_000);
      }
      expect(await indexOfLife(host), "nobody writes it again").to.equal(index);
      expect(both.map((node) => live(node, host))).to.deep.equal([rule("one"), rule("one")]);
      await bring(host, rule("bad"), both);
      expect(
        both.map((node) => live(node, host)),
        "known to be bad",
      ).to.deep.equal([rule("one"), rule("one")]);
    });

    it("a version whose earlier one cannot be had serves all requests, and it is said", async () => {
      const host = newHost();
      const node = newNode("a");
      await bring(host, rule("one"), [node]);
      expect(live(node, host)).to.equal(rule("one"));
      await records.kv.put(
        `${prefix}versions/scripts/${host}/${versionOf(rule("one"))}`,
        "damaged",
      );
      const text = rule("two", `export const rollout = { percent: 5, steps: ["10m"] };`);
      await bring(host, text, [node]);
      const other = newNode("b");
      await other.look(host);
      expect(other.lines.join("\n")).to.contain("cannot go into service: it is not there");
      expect(live(other, host), "the version in KV serves all").to.equal(text);
    });
  });
