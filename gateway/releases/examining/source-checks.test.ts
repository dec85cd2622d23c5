import { expect } from "chai";
import { emptyTables, type Served, type Source, versionOf } from "../../model/index.ts";
import { examineScript } from "../../sandbox/index.ts";
import { SourceChecks } from "./source-checks.ts";

const source = (text: string): Source => ({ text, version: versionOf(text), modifyIndex: 1 });
const host = "a.example";
/** Both make texts longer, so both need checks. */
const script = source(`import { twice } from "modules/m";
export default ({ path }) => { if (twice(path) + path === "") return deny(403); };`);
const module = source("export const twice = (text) => text + text;");
const unused = source("export const thrice = (text) => text + text + text;");

describe("checks of sources", () => {
  let passed: (readonly Served[])[] = [];
  beforeEach(() => {
    passed = [];
  });

  /** What an earlier Sluice left: sources without checks. */
  function begin(changes: readonly Served[]): SourceChecks {
    const live = { ...emptyTables(), script: new Map(), module: new Map(), trial: new Map() };
    for (const { kind, key, value } of changes) {
      if (kind === "script" || kind === "module" || kind === "trial") live[kind].set(key, value);
    }
    return new SourceChecks(live, (late) => passed.push(late));
  }

  /** As the gate has a version examined. */
  function examine(checks: SourceChecks) {
    const tables = {
      script: new Map([[host, script]]),
      module: new Map([["m", module]]),
      setting: new Map(),
    };
    return checks.learnFrom((...asked) => examineScript(asked[0], asked[1]))(host, tables);
  }

  const served: readonly Served[] = [
    { kind: "script", key: host, value: script },
    { kind: "module", key: "m", value: module },
    { kind: "module", key: "unused", value: unused },
    { kind: "trial", key: "b.example", value: { source: script, share: 100, by: null } },
  ];

  it("are brought to what is served without them as soon as it is examined, once", async () => {
    const checks = begin(served);
    expect((await examine(checks)).fault).to.equal(null);
    expect(passed).to.have.length(1);
    const places = passed[0]?.map(({ kind, key }) => `${kind}/${key}`);
    expect(places).to.have.members([`script/${host}`, "module/m", "trial/b.example"]);
    for (const { kind, value } of passed[0] ?? []) {
      const given = kind === "trial" ? value?.source : (value as Source);
      expect(given?.checks, kind).to.be.a("string").and.not.equal("");
    }
    await examine(checks);
    expect(passed).to.have.length(1);
  });

  it("are not brought to what was replaced or removed meanwhile", async () => {
    const checks = begin(served);
    const newer: Source = { ...source("export default () => {};"), checks: "" };
    checks.give([
      { kind: "script", key: host, value: newer },
      { kind: "module", key: "m", value: null },
      { kind: "trial", key: "b.example", value: null },
    ]);
    await examine(checks);
    expect(passed).to.deep.equal([]);
  });

  it("are brought to what is served again later without them", async () => {
    const checks = begin([]);
    await examine(checks);
    expect(passed).to.deep.equal([]);
    const given = checks
      .give([{ kind: "script", key: host, value: script }])
      .map(({ value }) => (value as Source).checks);
    expect(given[0]).to.be.a("string").and.not.equal("");
  });

  it("of a source that waits for its examination are not looked for", async () => {
    const waiting: Source = { ...script, isUnexamined: true };
    const checks = begin([{ kind: "script", key: host, value: waiting }]);
    await examine(checks);
    expect(passed).to.deep.equal([]);
  });
});
