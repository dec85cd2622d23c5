/**
 * Runs the `tests` of a host document: where the document alone must send requests. By the rules that decide real
 * ones; asks no upstream, and runs no script.
 */
import { isDeepStrictEqual } from "node:util";
import type { HostDocument, RouteOutcome } from "../../model/index.ts";
import type { FailedCase } from "../../sandbox/index.ts";
import { decideByDocument, HostRules } from "../../sites/index.ts";

/** The first case that fails; `null`: all pass. */
export function failedRouteTest(document: HostDocument): FailedCase | null {
  if (document.tests === undefined) return null;
  const rules = new HostRules("tested", document);
  for (const test of document.tests) {
    const { name, expect } = test;
    const actual = decideByDocument(rules, test);
    if (isAsExpected(expect, actual)) continue;
    return { name, expected: JSON.stringify(expect), actual: JSON.stringify(actual) };
  }
  return null;
}

/** A refusal may be expected without its code. */
function isAsExpected(expect: RouteOutcome, actual: RouteOutcome): boolean {
  if (!("status" in expect) || !("status" in actual)) return isDeepStrictEqual(expect, actual);
  return (
    expect.status === actual.status && (expect.code === undefined || expect.code === actual.code)
  );
}

/** What goes live of a document: its tests have done their work. */
export function withoutTests({ tests: _, ...document }: HostDocument): HostDocument {
  return document;
}
