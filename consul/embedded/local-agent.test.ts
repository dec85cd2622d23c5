import { expect } from "chai";
import { putNode } from "./catalog.ts";
import { emptyCheck, LocalAgent } from "./local-agent.ts";
import { type CheckDefinition, rowKey } from "./records.ts";
import { Sessions } from "./sessions.ts";
import { Store } from "./store.ts";
import { ManualClock } from "./testing/manual-clock.ts";

const minuteMs = 60_000;

describe("services of the local agent", () => {
  let clock: ManualClock;
  let store: Store;
  let agent: LocalAgent;

  beforeEach(() => {
    clock = new ManualClock();
    store = new Store();
    store.commit((tx) =>
      putNode(tx, { ID: "", Node: "n", Address: "127.0.0.1", TaggedAddresses: null, Meta: null }),
    );
    agent = start();
  });

  afterEach(() => agent.close());

  function start(): LocalAgent {
    return new LocalAgent(store, new Sessions(store, clock), "n", clock, () => 0.5);
  }

  function register(check: Partial<CheckDefinition>): void {
    const service = {
      ID: "web",
      Service: "web",
      Tags: [],
      Address: "",
      TaggedAddresses: null,
      Meta: null,
      Port: 1,
      Weights: { Passing: 1, Warning: 1 },
      EnableTagOverride: false,
    };
    const definition = { ...emptyCheck, checkId: "c", name: "c", serviceId: "web", ...check };
    agent.registerService(service, [{ definition, status: "passing" }], false);
  }

  it("leave when a check was critical for as long as they said", () => {
    register({ ttlMs: minuteMs, deregisterAfterMs: 10 * minuteMs });
    clock.advance(minuteMs);
    expect(agent.checks()[0]?.Status).to.equal("critical");
    clock.advance(10 * minuteMs - 1);
    expect(agent.service("web")).not.to.equal(null);
    clock.advance(1);
    expect(agent.service("web")).to.equal(null);
    expect(store.get("service", rowKey("n", "web"))).to.equal(undefined);
    expect(agent.checks()).to.deep.equal([]);
    expect(clock.armed).to.equal(0);
  });

  it("stay for a minute at least, whatever they said", () => {
    register({ ttlMs: minuteMs, deregisterAfterMs: 1000 });
    clock.advance(minuteMs);
    clock.advance(minuteMs - 1);
    expect(agent.service("web")).not.to.equal(null);
    clock.advance(1);
    expect(agent.service("web")).to.equal(null);
  });

  it("stay when the check recovers in between", () => {
    register({ ttlMs: minuteMs, deregisterAfterMs: 10 * minuteMs });
    clock.advance(10 * minuteMs);
    agent.report("c", { status: "passing", output: "" });
    clock.advance(5 * minuteMs);
    expect(agent.service("web")).not.to.equal(null);
    clock.advance(6 * minuteMs);
    expect(agent.service("web")).to.equal(null);
  });

  it("bring an output alone to the catalog only after five minutes", () => {
    register({ ttlMs: 60 * minuteMs });
    const shown = () => store.get("check", rowKey("n", "c"))?.Output;
    const { index } = store;
    agent.report("c", { status: "passing", output: "one" });
    agent.report("c", { status: "passing", output: "two" });
    expect(agent.checks()[0]?.Output).to.equal("two");
    expect([shown(), store.index]).to.deep.equal(["", index]);
    clock.advance(5 * minuteMs);
    expect([shown(), store.index]).to.deep.equal(["two", index + 1]);
    agent.report("c", { status: "warning", output: "three" });
    expect(shown()).to.equal("three");
  });

  it("keep their checks' status over a restart, with the whole TTL ahead", () => {
    register({ ttlMs: minuteMs });
    clock.advance(minuteMs / 2);
    agent.close();
    expect(clock.armed).to.equal(0);
    agent = start();
    expect(agent.checks()[0]?.Status).to.equal("passing");
    clock.advance(minuteMs - 1);
    expect(agent.checks()[0]?.Status).to.equal("passing");
    clock.advance(1);
    expect(agent.checks()[0]).to.include({ Status: "critical", Output: "TTL expired" });
  });
});
