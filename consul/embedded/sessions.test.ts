import { expect } from "chai";
import { putNode } from "./catalog.ts";
import { getKey, lockKey } from "./kv.ts";
import { Sessions } from "./sessions.ts";
import { Store } from "./store.ts";
import { ManualClock } from "./testing/manual-clock.ts";

describe("sessions", () => {
  let clock: ManualClock;
  let store: Store;
  let sessions: Sessions;

  const create = (more: object = {}) =>
    sessions.create({
      name: "",
      node: "n",
      lockDelayMs: 15_000,
      behavior: "release",
      ttl: "10s",
      nodeChecks: [],
      serviceChecks: null,
      ...more,
    });

  const lock = (session: string) =>
    store.commit((tx) => lockKey(tx, { key: "k", value: null, flags: 0 }, session));

  beforeEach(() => {
    clock = new ManualClock();
    store = new Store();
    store.commit((tx) =>
      putNode(tx, { ID: "", Node: "n", Address: "127.0.0.1", TaggedAddresses: null, Meta: null }),
    );
    sessions = new Sessions(store, clock);
  });

  it("end after twice their TTL, as in Consul, unless they are renewed", () => {
    const id = create();
    clock.advance(19_999);
    expect(sessions.renew(id)?.ID).to.equal(id);
    clock.advance(19_999);
    expect(store.get("session", id)).not.to.equal(undefined);
    clock.advance(1);
    expect(store.get("session", id)).to.equal(undefined);
    expect(sessions.renew(id)).to.equal(null);
    expect(clock.armed).to.equal(0);
  });

  it("release their locks when they expire, and the lock rests for the delay", () => {
    const id = create();
    lock(id);
    clock.advance(20_000);
    expect(getKey(store, "k").entry).not.to.have.property("Session");
    expect(sessions.mayLock("k")).to.equal(false);
    clock.advance(14_999);
    expect(sessions.mayLock("k")).to.equal(false);
    clock.advance(1);
    expect(sessions.mayLock("k")).to.equal(true);
  });

  it("delete what they lock when they expire, if they are of that behaviour", () => {
    lock(create({ behavior: "delete" }));
    clock.advance(20_000);
    expect(getKey(store, "k").entry).to.equal(null);
  });

  it("live on without a TTL", () => {
    const id = create({ ttl: "" });
    clock.advance(365 * 24 * 3_600_000);
    expect(store.get("session", id)).not.to.equal(undefined);
  });

  it("run their TTL again from a restart on", () => {
    const id = create();
    sessions.close();
    expect(clock.armed).to.equal(0);
    const again = new Sessions(store, clock);
    clock.advance(19_999);
    expect(store.get("session", id)).not.to.equal(undefined);
    clock.advance(1);
    expect(store.get("session", id)).to.equal(undefined);
    again.close();
  });
});
