import { expect } from "chai";
import type { Served } from "../model/index.ts";
import { State, tablesFrom } from "./state.ts";

const setting = (key: string, value: number | null | { deep: number[] }): Served => ({
  kind: "setting",
  key,
  value,
});

describe("state", () => {
  it("counts one version for each commit that changes something", () => {
    const state = new State({ boot: "b" });
    expect(state.version).to.equal(0);
    const delta = state.commit([setting("a", 1), setting("b", 2)]);
    expect(delta).to.deep.equal({
      boot: "b",
      from: 0,
      to: 1,
      changes: [setting("a", 1), setting("b", 2)],
    });
    expect(state.commit([setting("a", 2)])).to.include({ from: 1, to: 2 });
    expect(state.version).to.equal(2);
  });

  it("makes no version of values that are deeply equal, nor of what was not there", () => {
    const state = new State({ boot: "b" });
    state.commit([setting("a", { deep: [1, 2] })]);
    expect(state.commit([setting("a", { deep: [1, 2] })])).to.equal(null);
    expect(state.commit([setting("gone", null)])).to.equal(null);
    expect(state.commit([])).to.equal(null);
    expect(state.version).to.equal(1);
  });

  it("takes the last change of a key, and none when it ends where it began", () => {
    const state = new State({ boot: "b" });
    expect(state.commit([setting("a", 1), setting("a", 2)])?.changes).to.deep.equal([
      setting("a", 2),
    ]);
    expect(state.commit([setting("a", null), setting("a", 2)])).to.equal(null);
  });

  it("keeps equal keys of different kinds apart", () => {
    const state = new State({ boot: "b" });
    state.commit([setting("x", 1), { kind: "catalog", key: "x", value: ["v1"] }]);
    state.commit([setting("x", null)]);
    expect(state.tables.setting.has("x")).to.equal(false);
    expect(state.tables.catalog.get("x")).to.deep.equal(["v1"]);
  });

  it("gives a snapshot from which deltas continue", () => {
    const state = new State({ boot: "b" });
    state.commit([setting("a", 1), { kind: "catalog", key: "c", value: [] }]);
    const snapshot = state.snapshot();
    expect(state.snapshot()).to.equal(snapshot);
    const delta = state.commit([setting("a", null), setting("b", 2)]);
    expect(delta?.from).to.equal(snapshot.version);
    const replayed = tablesFrom([...snapshot.changes, ...(delta?.changes ?? [])]);
    expect(replayed).to.deep.equal(state.tables);
    expect(state.snapshot().version).to.equal(2);
  });

  it("keeps from workers what is of no use to them, and on disk", () => {
    const state = new State({ boot: "b" });
    const closed = { kind: "closed", key: "a", value: { script: null, trial: null } } as const;
    const step = state.commit([closed, setting("a", 1)]);
    expect(step?.changes).to.deep.equal([setting("a", 1)]);
    expect(state.snapshot().changes).to.deep.equal([setting("a", 1)]);
    expect(state.saved().changes).to.have.deep.members([setting("a", 1), closed]);
  });

  it("begins with version 1 when it begins with something, and leaves that alone", () => {
    const tables = tablesFrom([setting("a", 1)]);
    const state = new State({ boot: "b", tables });
    expect(state.version).to.equal(1);
    state.commit([setting("a", 2)]);
    expect(tables.setting.get("a")).to.equal(1);
  });
});
