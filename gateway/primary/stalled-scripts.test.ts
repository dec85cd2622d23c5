import { expect } from "chai";
import { type Change, emptyTables, type LastWords, type Source } from "../state/index.ts";
import { StalledScripts } from "./stalled-scripts.ts";
import { State } from "./state.ts";

const host = "a.example.com";
const out = { reason: "stalled", methods: ["GET"], paths: null, onError: "deny" } as const;
const words = (version: string): LastWords => ({ host, version, out });
const source = (version: string, text = ""): Source => ({ text, version, modifyIndex: 1 });
const script = (value: Source | null): Change => ({ kind: "script", key: host, value });
const trial = (version: string): Change => ({
  kind: "trial",
  key: host,
  value: { source: source(version), share: 500, by: null },
});

describe("scripts that stalled a worker", () => {
  let state: State;
  let stalled: StalledScripts;
  const commit = (...changes: Change[]) => state.commit(stalled.screen(changes, state.tables));
  const live = () => state.tables.script.get(host);

  beforeEach(() => {
    state = new State({ boot: "b" });
    stalled = new StalledScripts(emptyTables());
    commit(script(source("v1", 'import "modules/m"')));
  });

  it("are out of service, also when the same version comes again", () => {
    commit(...stalled.take(words("v1"), state.tables));
    expect(live()).to.deep.include({ version: "v1", outOfService: out });
    commit(script({ ...source("v1", 'import "modules/m"'), modifyIndex: 2 }));
    expect(live()).to.deep.include({ modifyIndex: 2, outOfService: out });
  });

  it("are back when the source changes, but not with the version that stalled", () => {
    commit(...stalled.take(words("v1"), state.tables));
    commit(script(source("v2")));
    expect(live()).to.deep.equal(source("v2"));
    commit(script(source("v1")));
    expect(live()).to.deep.include({ outOfService: out });
    commit(script(null));
    commit(script(source("v1")));
    expect(live(), "removed and put again").to.deep.equal(source("v1"));
  });

  it("are back when a module that they import changes", () => {
    commit(...stalled.take(words("v1"), state.tables));
    commit({ kind: "module", key: "other", value: source("m1") });
    expect(live()).to.deep.include({ outOfService: out });
    commit({ kind: "module", key: "m", value: source("m2") });
    expect(live()).to.not.have.property("outOfService");
  });

  it("lose their share of the requests when they are on trial", () => {
    commit(trial("v2"));
    commit(...stalled.take(words("v2"), state.tables));
    expect(state.tables.trial.has(host)).to.equal(false);
    commit(trial("v2"));
    expect(state.tables.trial.has(host)).to.equal(false);
    expect(live()).to.not.have.property("outOfService");
    commit(trial("v3"));
    expect(state.tables.trial.get(host)?.source.version).to.equal("v3");
  });

  it("are none of the versions that are not served any more", () => {
    expect(stalled.take(words("v0"), state.tables)).to.deep.equal([]);
    commit(script(source("v0")));
    expect(live()).to.deep.equal(source("v0"));
  });

  it("are remembered by the state that a gateway starts from", () => {
    commit(...stalled.take(words("v1"), state.tables));
    stalled = new StalledScripts(state.tables);
    commit(script({ ...source("v1"), modifyIndex: 3 }));
    expect(live()).to.deep.include({ outOfService: out });
  });
});
