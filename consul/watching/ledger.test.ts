import { expect } from "chai";
import { ManualClock } from "../fixtures/clocks.ts";
import { findSuspicion, Ledger, type Shown } from "./ledger.ts";

const show = (entries: Record<string, string>, identity: number | null = null) =>
  new Map<string, Shown>(
    Object.entries(entries).map(([name, fingerprint]) => [name, { fingerprint, identity }]),
  );
/** The index of an answer, where it does not matter. */
const at = 1;
const names = (ledger: Ledger) => ledger.held().map(({ name }) => name);

describe("the rule for what is removed", () => {
  it("takes what is new or changed, and removes what is gone", () => {
    const ledger = new Ledger(new ManualClock());
    expect(ledger.apply(at, show({ a: "1", b: "1" }), null)).to.deep.equal({
      changed: ["a", "b"],
      gone: [],
    });
    expect(ledger.apply(at, show({ a: "1", b: "2" }), null)).to.deep.equal({
      changed: ["b"],
      gone: [],
    });
    expect(ledger.apply(at, show({ b: "2" }), null)).to.deep.equal({ changed: [], gone: ["a"] });
  });

  it("removes nothing by an answer that is older than the entry", () => {
    const ledger = new Ledger(new ManualClock());
    ledger.apply(5_000, show({ a: "1", b: "1" }, 4_000), null);
    // Its index begins anew, while its content is there; then it is not.
    ledger.apply(3, show({ a: "1", b: "1" }, 4_000), "Consul's index went backwards");
    expect(ledger.apply(4, show({}), null).gone).to.deep.equal([]);
    expect(names(ledger)).to.deep.equal(["a", "b"]);
  });

  it("removes what another Consul has shown and deleted, below the indexes of the first", () => {
    const ledger = new Ledger(new ManualClock());
    ledger.apply(5_000, show({ a: "1", b: "1" }, 4_000), null);
    ledger.apply(60, show({ a: "1" }, 50), "Consul's index went backwards");
    expect(names(ledger)).to.deep.equal(["b"]);
    expect(ledger.apply(61, show({}), null).gone).to.deep.equal(["a"]);
    expect(names(ledger)).to.deep.equal(["b"]);
  });

  it("removes what went while nobody looked, also once a list's index is that of what is left", () => {
    const ledger = new Ledger(new ManualClock());
    const old = show({ a: "1" }, 100);
    ledger.apply(5_000, new Map([...old, ...show({ b: "1" }, 4_000)]), null);
    expect(ledger.apply(200, old, null).gone).to.deep.equal(["b"]);
  });

  it("knows in the next process what was shown and what was held", () => {
    const clock = new ManualClock();
    const before = new Ledger(clock);
    before.apply(500, show({ a: "1", b: "1", c: "1" }, 400), null);
    before.apply(10, show({ a: "1" }, 9), "why");
    const memory = JSON.parse(JSON.stringify(before.memory()));
    const after = new Ledger(clock, ["a", "b", "c"], memory);
    expect(names(after)).to.deep.equal(["b", "c"]);
    expect(after.survivors(show({ a: "1" }, 9))).to.equal(1);
    expect(after.survivors(show({ a: "1" }, 12))).to.equal(0);
    expect(after.apply(11, show({ a: "1" }, 9), null).gone).to.deep.equal([]);
    expect(names(after)).to.deep.equal(["b", "c"]);
  });

  it("holds what a suspect answer leaves out, and takes all that it has", () => {
    const clock = new ManualClock();
    const ledger = new Ledger(clock);
    ledger.apply(at, show({ a: "1", b: "1" }), null);
    // The same fingerprint may stand for another value in another Consul.
    expect(ledger.apply(at, show({ b: "1" }), "why")).to.deep.equal({ changed: ["b"], gone: [] });
    expect(ledger.held()).to.deep.equal([
      { name: "a", since: new Date(clock.now()).toISOString(), why: "why" },
    ]);
  });

  it("keeps holding through any number of later answers that are empty or have other names", () => {
    const ledger = new Ledger(new ManualClock());
    ledger.apply(at, show({ a: "1", b: "1" }), null);
    ledger.apply(at, show({}), "why");
    for (let index = 0; index < 100; index += 1) {
      expect(ledger.apply(at, show({ other: String(index) }), null).gone).to.deep.equal([]);
      expect(ledger.apply(at, show({}), null).gone).to.deep.equal(["other"]);
    }
    expect(names(ledger)).to.deep.equal(["a", "b"]);
  });

  it("lets what came back be removed again, and only that", () => {
    const ledger = new Ledger(new ManualClock());
    ledger.apply(at, show({ a: "1", b: "1" }), null);
    ledger.apply(at, show({}), "why");
    expect(ledger.apply(at, show({ a: "7" }), null)).to.deep.equal({ changed: ["a"], gone: [] });
    expect(names(ledger)).to.deep.equal(["b"]);
    expect(ledger.apply(at, show({}), null)).to.deep.equal({ changed: [], gone: ["a"] });
    expect(names(ledger)).to.deep.equal(["b"]);
  });

  it("holds anew what came back, when another answer is suspect", () => {
    const ledger = new Ledger(new ManualClock());
    ledger.apply(at, show({ a: "1" }), null);
    ledger.apply(at, show({}), "first");
    ledger.apply(at, show({ a: "2" }), null);
    ledger.apply(at, show({}), "second");
    expect(ledger.held()[0]?.why).to.equal("second");
  });

  it("gives up what is held when an operator says so", () => {
    const ledger = new Ledger(new ManualClock());
    ledger.apply(at, show({ a: "1", b: "1" }), null);
    ledger.apply(at, show({ b: "1" }), "why");
    expect(ledger.release()).to.deep.equal(["a"]);
    expect(ledger.held()).to.deep.equal([]);
    expect(ledger.apply(at, show({}), null).gone).to.deep.equal(["b"]);
  });

  it("knows what worked before the process started", () => {
    const ledger = new Ledger(new ManualClock(), ["a", "b"]);
    expect(ledger.apply(at, show({ a: "1" }), null)).to.deep.equal({ changed: ["a"], gone: ["b"] });
  });

  it("counts as survivors the names that are the same entries", () => {
    const ledger = new Ledger(new ManualClock(), ["old"]);
    ledger.apply(at, show({ old: "1" }), null);
    ledger.apply(at, new Map([...show({ a: "1" }, 5), ...show({ b: "1" }, 6)]), null);
    expect(ledger.survivors(show({ a: "9" }, 5))).to.equal(1);
    expect(ledger.survivors(show({ a: "1", b: "1" }, 9))).to.equal(0);
    expect(ledger.survivors(show({ a: "1" }))).to.equal(1);
    expect(ledger.survivors(show({}))).to.equal(0);
  });
});

describe("an answer", () => {
  const usual = {
    event: { backwards: false, afterError: false, filtered: false },
    first: false,
    wasFiltered: false,
    shown: 3,
    survivors: 2,
  };
  const event = (change: Partial<typeof usual.event>) => ({ ...usual.event, ...change });

  it("is not suspect when it only has fewer names, down to none", () => {
    expect(findSuspicion(usual)).to.equal(null);
    expect(findSuspicion({ ...usual, survivors: 0 })).to.equal(null);
  });

  it("is suspect when its index went backwards", () => {
    expect(findSuspicion({ ...usual, event: event({ backwards: true }) })).to.contain("backwards");
  });

  it("is suspect after an error when nothing of what was there is left", () => {
    const after = event({ afterError: true });
    expect(findSuspicion({ ...usual, event: after })).to.equal(null);
    expect(findSuspicion({ ...usual, event: after, survivors: 0 })).to.contain("before an error");
    expect(findSuspicion({ ...usual, event: after, survivors: 0, shown: 0 })).to.equal(null);
  });

  it("is suspect when it is the first and nothing of the last known good state is left", () => {
    expect(findSuspicion({ ...usual, first: true })).to.equal(null);
    expect(findSuspicion({ ...usual, first: true, survivors: 0 })).to.contain("gateway stopped");
    expect(findSuspicion({ ...usual, first: true, survivors: 0, shown: 0 })).to.equal(null);
  });

  it("is suspect when ACLs begin to hide some of it, and not as long as they always do", () => {
    const filtered = event({ filtered: true });
    expect(findSuspicion({ ...usual, event: filtered })).to.contain("ACL token");
    expect(findSuspicion({ ...usual, event: filtered, wasFiltered: true })).to.equal(null);
    expect(findSuspicion({ ...usual, event: filtered, first: true })).to.equal(null);
  });
});
