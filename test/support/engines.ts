/**
 * Runs a suite of behaviours against every engine that implements the contract, and against the gateway's own once
 * more with clients that speak HTTP/2. What the reference engine does otherwise is named in a table, and seen to be
 * so; what has no meaning over HTTP/2 is named in another.
 */
import type { Engine, EngineOptions } from "../../gateway/engine/engine.ts";
import { createHttpEngine } from "../../gateway/engine/index.ts";
import { createReferenceEngine } from "../../gateway/engine/reference/index.ts";
import { differences } from "../engine/differences.ts";
import { notOverHttp2 } from "../engine/not-over-http2.ts";
import type { TestContext } from "./engine.ts";
import { type TestBench, useTestBench } from "./http.ts";
import { openHttp2AsHttp1 } from "./http2/socket.ts";

export type EngineKind = "http1" | "reference";

const factories: Readonly<Record<EngineKind, (options: EngineOptions<TestContext>) => Engine>> = {
  http1: createHttpEngine,
  reference: createReferenceEngine,
};

export function engineKinds(): readonly EngineKind[] {
  return ["http1", "reference"];
}

/** One `describe` for each engine, its bench included. */
export function describeEngines(
  title: string,
  define: (bench: TestBench, kind: EngineKind) => void,
): void {
  for (const kind of engineKinds()) {
    const suite = describe(`engine ${kind}: ${title}`, () =>
      define(useTestBench(factories[kind]), kind));
    if (kind === "reference") expectDifferences(title, suite);
  }
  const rows = notOverHttp2.filter((row) => row.suite === title);
  if (rows.some(({ tests }) => tests === "all")) return;
  const suite = describe(`engine http1, clients with HTTP/2: ${title}`, () =>
    define(useTestBench(createHttpEngine, openHttp2AsHttp1), "http1"));
  for (const { tests } of rows) for (const test of tests) leaveOut(title, suite, test);
}

/** Takes out what the table says has no meaning over HTTP/2. */
function leaveOut(title: string, suite: Mocha.Suite, name: string | RegExp): void {
  const isMeant = (test: Mocha.Test) =>
    typeof name === "string" ? test.title === name : name.test(test.title);
  let count = 0;
  const visit = (one: Mocha.Suite) => {
    const kept = one.tests.filter((test) => !isMeant(test));
    count += one.tests.length - kept.length;
    one.tests = kept;
    one.suites.forEach(visit);
  };
  visit(suite);
  if (count === 0) throw new Error(`${title}: no test named ${name}`);
}

/** Turns the tests that are in the table round: a difference that is none any more is a failure. */
function expectDifferences(title: string, suite: Mocha.Suite): void {
  for (const { test: name, reason, effect } of differences.filter((row) => row.suite === title)) {
    const test = testsOf(suite).find((one) => one.title === name);
    if (test?.fn === undefined) throw new Error(`${title}: no test named ${JSON.stringify(name)}`);
    const behaviour = test.fn as (this: Mocha.Context) => void | Promise<void>;
    test.title = `differs: ${name} (${reason})`;
    test.fn = async function (this: Mocha.Context) {
      try {
        await behaviour.call(this);
      } catch (error) {
        const found = error instanceof Error ? error.message : String(error);
        if (!effect.test(found)) throw new Error(`differs otherwise: ${found}`);
        return;
      }
      throw new Error("no difference any more: its row can leave the table");
    };
  }
}

function testsOf(suite: Mocha.Suite): readonly Mocha.Test[] {
  return [...suite.tests, ...suite.suites.flatMap(testsOf)];
}
