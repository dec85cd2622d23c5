import { expect } from "chai";
import { ManualClock } from "../fixtures/clocks.ts";
import { reregistrationMs, ServiceInstances } from "./service-instances.ts";

const healthy = (id: string) => ({
  id,
  instance: { id, address: "10.0.0.1", port: 80, weight: 1, tags: [] },
});

function open(previous: readonly string[] = []) {
  const clock = new ManualClock();
  const instances = new ServiceInstances(
    clock,
    previous.map((id) => healthy(id).instance),
  );
  const apply = (
    value: readonly { id: string; instance: ReturnType<typeof healthy>["instance"] | null }[],
    event: { backwards?: boolean; afterError?: boolean } = {},
  ) => {
    const usual = { index: 1, filtered: false, backwards: false, afterError: false };
    return instances.apply({ ...usual, ...event, value }).map(({ id }) => id);
  };
  return { clock, instances, apply };
}

describe("the instances of a service", () => {
  it("are those that may serve", () => {
    const { apply } = open();
    expect(apply([healthy("b"), healthy("a")])).to.deep.equal(["a", "b"]);
    expect(apply([healthy("a"), { id: "b", instance: null }])).to.deep.equal(["a"]);
    expect(apply([])).to.deep.equal([]);
  });

  it("are held when a suspect answer leaves them out, until they show again", () => {
    const { apply, instances, clock } = open();
    apply([healthy("a"), healthy("b"), { id: "c", instance: null }]);
    expect(apply([], { backwards: true })).to.deep.equal(["a", "b"]);
    clock.advance(24 * 3_600_000);
    expect(instances.settle()).to.equal(false);
    expect(apply([])).to.deep.equal(["a", "b"]);
    expect(instances.isRegistered).to.equal(true);
    // c was not serving: there is nothing to hold.
    expect(instances.held().map(({ name }) => name)).to.deep.equal(["a", "b"]);
    expect(apply([{ id: "a", instance: null }])).to.deep.equal(["b"]);
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
});
