import { expect } from "chai";
import { ManualClock } from "../fixtures/clocks.ts";
import type { LedgerMemory } from "../watching/ledger.ts";
import type { Registration } from "./health.ts";
import {
  defaultGuard,
  type GuardLimits,
  reregistrationMs,
  ServiceInstances,
} from "./service-instances.ts";

const healthy = (id: string, createIndex: number | null = null) => ({
  id,
  createIndex,
  fault: null,
  instance: { id, address: "10.0.0.1", port: 80, weight: 1, tags: [] },
});

const ill = (id: string) => ({ ...healthy(id), instance: null });

function open(
  previous: readonly string[] = [],
  memory: LedgerMemory | null = null,
  limits: GuardLimits = { share: 0.5, forMs: 0 },
) {
  const clock = new ManualClock();
  const instances = new ServiceInstances(
    clock,
    previous.map((id) => healthy(id).instance),
    memory,
    limits,
  );
  const apply = (
    value: readonly Registration[],
    event: { index?: number; backwards?: boolean; afterError?: boolean } = {},
    isConfirmed = false,
  ) => {
    const usual = { index: 1, filtered: false, backwards: false, afterError: false };
    return instances.apply({ ...usual, ...event, value }, isConfirmed).map(({ id }) => id);
  };
  return { clock, instances, apply };
}

describe("the instances of a service", () => {
  it("are those that may serve", () => {
    const { apply } = open();
    expect(apply([healthy("b"), healthy("a")])).to.deep.equal(["a", "b"]);
    expect(apply([healthy("a"), ill("b")])).to.deep.equal(["a"]);
    expect(apply([])).to.deep.equal([]);
  });

  it("are held when a suspect answer leaves them out, until they show again", () => {
    const { apply, instances, clock } = open();
    apply([healthy("a"), healthy("b"), ill("c")]);
    expect(apply([], { backwards: true })).to.deep.equal(["a", "b"]);
    clock.advance(24 * 3_600_000);
    expect(instances.settle()).to.equal(false);
    expect(apply([])).to.deep.equal(["a", "b"]);
    expect(instances.isRegistered).to.equal(true);
    // c was not serving: there is nothing to hold.
    expect(instances.held().map(({ name }) => name)).to.deep.equal(["a", "b"]);
    expect(apply([ill("a")])).to.deep.equal(["b"]);
  });

  it("that do not register again are dropped some minutes after others have", () => {
    const { apply, instances, clock } = open();
    apply([healthy("a"), healthy("b")]);
    apply([], { afterError: true });
    expect(apply([healthy("a")])).to.deep.equal(["a", "b"]);
    clock.advance(reregistrationMs - 1);
    apply([healthy("a")]);
    expect(instances.settle()).to.equal(false);
    clock.advance(1);
    expect(instances.settle()).to.equal(true);
    expect(instances.instances().map(({ id }) => id)).to.deep.equal(["a"]);
    expect(instances.settle()).to.equal(false);
  });

  it("are released by an operator", () => {
    const { apply, instances } = open(["a", "b"]);
    expect(apply([])).to.deep.equal(["a", "b"]);
    expect(instances.release()).to.equal(2);
    expect(instances.instances()).to.deep.equal([]);
  });

  it("are held when one of them alone is back in a Consul that lost them", () => {
    const { apply, instances, clock } = open();
    const all = ["a", "b", "c", "d"];
    apply(
      all.map((id) => healthy(id, 4_000)),
      { index: 5_000 },
    );
    // It is registered anew; its index alone would not tell, and neither would an empty answer: there was none.
    expect(apply([healthy("a", 5_010)], { index: 5_010, afterError: true })).to.deep.equal(["a"]);
    const wiped = open();
    wiped.apply(
      all.map((id) => healthy(id, 4_000)),
      { index: 5_000 },
    );
    expect(wiped.apply([healthy("a", 20)], { index: 20, backwards: true })).to.deep.equal(all);
    // Also by answers that are not suspect themselves, for some minutes.
    expect(wiped.apply([healthy("a", 20), healthy("b", 22)], { index: 22 })).to.deep.equal(all);
    expect(wiped.apply([healthy("b", 22)], { index: 23 })).to.deep.equal(all);
    wiped.clock.advance(reregistrationMs);
    expect(wiped.instances.settle()).to.equal(true);
    expect(wiped.instances.instances().map(({ id }) => id)).to.deep.equal(["b"]);
    expect(instances.held()).to.deep.equal([]);
    expect(clock.pending).to.equal(0);
  });

  it("are held over a restart of the gateway", () => {
    const before = open();
    const all = ["a", "b", "c", "d"];
    before.apply(
      all.map((id) => healthy(id, 4_000)),
      { index: 5_000 },
    );
    const remembered = (memory: LedgerMemory) =>
      open(all, JSON.parse(JSON.stringify(memory)) as LedgerMemory);
    const wiped = remembered(before.instances.memory());
    expect(wiped.apply([healthy("a", 20)], { index: 20 })).to.deep.equal(all);
    const again = remembered(wiped.instances.memory());
    expect(again.apply([healthy("a", 20)], { index: 20 })).to.deep.equal(all);
    // The same Consul, after a deployment while the gateway was away.
    const same = remembered(before.instances.memory());
    expect(same.apply([healthy("e", 5_050)], { index: 5_050 })).to.deep.equal(["e"]);
  });

  it("are kept when one update takes away most of them, until that is confirmed", () => {
    const { apply, instances, clock } = open([], null, defaultGuard);
    const all = ["a", "b", "c", "d"];
    apply(all.map((id) => healthy(id)));
    expect(apply([healthy("a")])).to.deep.equal(all);
    expect(instances.guarded?.why).to.equal("one update took away 3 of 4 instances");
    expect(instances.isRegistered).to.equal(true);
    // What comes meanwhile serves, and what is asked again without being confirmed changes nothing.
    clock.advance(9_999);
    expect(apply([healthy("a"), ill("b")])).to.deep.equal(all);
    expect(instances.wantsConfirmation).to.equal(false);
    clock.advance(1);
    expect(instances.wantsConfirmation).to.equal(true);
    expect(apply([healthy("a")], {}, true)).to.deep.equal(["a"]);
    expect(instances.guarded).to.equal(null);
  });

  it("are kept as long as some of them alone are back, and no longer when all are or as many others", () => {
    const all = ["a", "b", "c", "d", "e", "f"];
    const lost = () => {
      const scene = open([], null, defaultGuard);
      scene.apply(all.map((id) => healthy(id)));
      expect(scene.apply([healthy("a")])).to.deep.equal(all);
      return scene;
    };
    const some = lost();
    some.clock.advance(5_000);
    // Half of them, which would be believed if nothing had gone before.
    expect(some.apply(["a", "b", "c"].map((id) => healthy(id)))).to.deep.equal(all);
    some.clock.advance(5_000);
    expect(some.instances.wantsConfirmation).to.equal(true);
    expect(some.apply([healthy("a"), healthy("b")], {}, true)).to.deep.equal(["a", "b"]);
    const back = lost();
    expect(back.apply(all.map((id) => healthy(id)))).to.deep.equal(all);
    expect(back.instances.guarded).to.equal(null);
    const others = lost();
    const six = ["a", "u", "v", "w", "x", "y"];
    expect(others.apply(six.map((id) => healthy(id)))).to.deep.equal(six);
    expect(others.instances.guarded).to.equal(null);
  });

  it("that are kept are released by an operator, before anybody has asked again", () => {
    const { apply, instances } = open([], null, defaultGuard);
    apply(["a", "b", "c"].map((id) => healthy(id)));
    apply([healthy("a")]);
    expect(instances.release()).to.equal(2);
    expect(instances.instances().map(({ id }) => id)).to.deep.equal(["a"]);
    expect([instances.guarded, instances.release()]).to.deep.equal([null, 0]);
  });

  it("are kept through any flapping, each time for as long as it takes to ask", () => {
    const { apply, instances, clock } = open([], null, defaultGuard);
    const all = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map((id) => healthy(id));
    for (let second = 0; second < 120; second += 1) {
      expect(apply(second % 2 === 0 ? all : all.slice(0, 4))).to.have.lengthOf(10);
      clock.advance(1_000);
      expect(instances.wantsConfirmation).to.equal(false);
    }
  });

  it("are not kept when others are back or in their place, or when only half or the only one went", () => {
    const guarded = () => open([], null, defaultGuard);
    const back = guarded();
    back.apply(["a", "b"].map((id) => healthy(id)));
    expect(back.apply([])).to.deep.equal(["a", "b"]);
    expect(back.apply([healthy("a"), healthy("b")])).to.deep.equal(["a", "b"]);
    expect(back.instances.guarded).to.equal(null);
    const deployed = guarded();
    deployed.apply(["a", "b"].map((id) => healthy(id)));
    expect(deployed.apply(["c", "d"].map((id) => healthy(id)))).to.deep.equal(["c", "d"]);
    const half = guarded();
    half.apply(["a", "b"].map((id) => healthy(id)));
    expect(half.apply([healthy("a")])).to.deep.equal(["a"]);
    expect(half.apply([])).to.deep.equal([]);
  });
});
