import bunyan from "bunyan";
import { expect } from "chai";
import type { ToWorker } from "../model/index.ts";
import { ManualClock } from "./fixtures/clock.ts";
import { Replication } from "./replication.ts";
import { State } from "./state.ts";

const log = bunyan.createLogger({ name: "test", streams: [] });

describe("replication", () => {
  const make = () => {
    const clock = new ManualClock();
    const state = new State({ boot: "b" });
    const replication = new Replication({ clock, log, source: state });
    const sent: string[] = [];
    const describeMessage = (message: ToWorker) => {
      if (message.type === "snapshot") return `snapshot ${message.snapshot.version}`;
      if (message.type === "delta") return `delta ${message.delta.from}-${message.delta.to}`;
      return message.type === "counter" ? `counter ${message.version}` : message.type;
    };
    const commit = (value: number) => {
      const delta = state.commit([{ kind: "setting", key: "a", value }]);
      if (delta !== null) replication.publish(delta);
    };
    const take = () => sent.splice(0);
    replication.add(1, (message) => sent.push(describeMessage(message)));
    return { clock, state, replication, commit, take };
  };

  it("gives no snapshot before there is a state, then the one that was asked for", () => {
    const { replication, commit, take } = make();
    replication.resync(1, "started");
    commit(1);
    expect(take()).to.deep.equal([]);
    replication.open();
    expect(take()).to.deep.equal(["snapshot 1"]);
    commit(2);
    expect(take()).to.deep.equal(["delta 1-2"]);
  });

  it("sends no delta to a worker that has no snapshot to continue", () => {
    const { replication, commit, take } = make();
    replication.open();
    commit(1);
    expect(take()).to.deep.equal([]);
    replication.resync(1, "started");
    expect(take()).to.deep.equal(["snapshot 1"]);
  });

  it("measures the lag from the oldest version that is not acknowledged", () => {
    const { clock, replication, commit } = make();
    replication.open();
    replication.resync(1, "started");
    replication.acknowledge(1, "b", 0);
    expect(replication.progress(1)).to.deep.equal({ version: 0, lagMs: 0 });
    commit(1);
    clock.advance(30);
    commit(2);
    clock.advance(10);
    expect(replication.progress(1)).to.deep.equal({ version: 0, lagMs: 40 });
    replication.acknowledge(1, "b", 1);
    expect(replication.progress(1)).to.deep.equal({ version: 1, lagMs: 10 });
    replication.acknowledge(1, "b", 2);
    expect(replication.progress(1)).to.deep.equal({ version: 2, lagMs: 0 });
  });

  it("takes no acknowledgement of another boot", () => {
    const { replication } = make();
    replication.open();
    replication.resync(1, "started");
    replication.acknowledge(1, "other", 7);
    expect(replication.progress(1).version).to.equal(null);
  });

  it("publishes the counter once a second, to workers that follow", () => {
    const { clock, replication, commit, take } = make();
    replication.open();
    clock.advance(1000);
    expect(take()).to.deep.equal([]);
    replication.resync(1, "started");
    commit(1);
    take();
    clock.advance(2000);
    expect(take()).to.deep.equal(["counter 1", "counter 1"]);
    replication.close();
    clock.advance(2000);
    expect(take()).to.deep.equal([]);
    expect(clock.pending).to.equal(0);
  });

  it("answers a worker that asks again and again with one snapshot a second", () => {
    const { clock, replication, commit, take } = make();
    replication.open();
    replication.resync(1, "started");
    commit(1);
    replication.resync(1, "gap");
    replication.resync(1, "gap");
    expect(take()).to.deep.equal(["snapshot 0", "delta 0-1"]);
    clock.advance(1000);
    take();
    replication.resync(1, "gap");
    expect(take()).to.deep.equal(["snapshot 1"]);
  });

  it("forgets a worker that is gone", () => {
    const { replication, commit, take } = make();
    replication.open();
    replication.resync(1, "started");
    take();
    replication.remove(1);
    commit(1);
    replication.resync(1, "late");
    expect(take()).to.deep.equal([]);
    expect(replication.progress(1)).to.deep.equal({ version: null, lagMs: 0 });
  });
});
