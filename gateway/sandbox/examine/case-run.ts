/**
 * Runs the cases of a script's `tests` in the isolate that it was loaded into, and compares the outcome of each
 * request with what the case expects. Has no part in traffic.
 */

import type { Answer } from "../../engine/engine.ts";
import { encodedSlash, errorAnswer } from "../../engine/message/answers.ts";
import type { Border, Json } from "../../model/index.ts";
import { explain, faultAt, isTimeout, printable, ScriptError } from "../run/faults.ts";
import type { Loaded } from "../run/loading.ts";
import { decidesByPath, matchesExchange } from "../run/match.ts";
import { applyToRequest, applyToResponse } from "../run/output.ts";
import type { ScriptFault } from "../sandbox.ts";
import {
  type Case,
  type ExpectedAnswer,
  type ExpectedHeaders,
  type Outcome,
  placeOfCase,
} from "./cases.ts";
import { callWithin, ExaminedRequest, readResult } from "./examined-request.ts";

export interface CaseRunOptions {
  readonly loaded: Loaded;
  readonly key: string;
  readonly text: string;
  readonly settings: ReadonlyMap<string, Json>;
  /** What the script is held to; `null` where there is one tenant. */
  readonly border: Border | null;
  /** Called before each case runs; when it throws, the run ends. Cases count from 1. */
  readonly onCase: (name: string, number: number) => void;
  /** Of one call: the limit that the script will run with. */
  readonly timeoutMs: number;
}

const requestId = "test-1";
const encodedSlashAnswer = errorAnswer(400, encodedSlash.code, encodedSlash.message, undefined);

/** Resolves to the fault of the first case that fails; `null` when all pass. */
export async function runCases(
  cases: readonly Case[],
  options: CaseRunOptions,
): Promise<ScriptFault | null> {
  for (const [at, one] of cases.entries()) {
    options.onCase(one.name, at + 1);
    const actual = await run(one, options);
    if ("key" in actual) {
      const place = actual.line === 0 ? { key: options.key, ...placeOf(one, at, options) } : {};
      const message = printable(`test "${one.name}": ${actual.message}`);
      return { ...actual, ...place, message, test: failed(one, { error: actual.message }) };
    }
    const { outcome, responseHeaders } = actual;
    const differs =
      (one.expect !== null && !isAsExpected(one.expect, outcome)) ||
      (one.expectResponse !== null && !hasHeaders(one.expectResponse, responseHeaders));
    if (!differs) continue;
    const test = failed(one, shown(one, actual));
    const message = `test "${one.name}": expected ${test.expected}, got ${test.actual}`;
    return {
      key: options.key,
      ...placeOf(one, at, options),
      message: printable(message),
      test,
    };
  }
  return null;
}

interface Actual {
  readonly outcome: Passed | Answered;
  readonly responseHeaders: Readonly<Record<string, string>>;
}

interface Passed {
  readonly pass: true;
  readonly path: string;
  readonly query: string;
  readonly host: string;
  readonly upstream: string;
  readonly hashKey: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function run(one: Case, options: CaseRunOptions): Promise<Actual | ScriptFault> {
  const { loaded, key, settings, timeoutMs } = options;
  const { entry, match } = loaded;
  const { target, asText } = requestOf(one);
  const steering = { upstream: "", hashKey: "", authority: "" };
  try {
    if (loaded.readsSettings) {
      const all = JSON.stringify({ ...Object.fromEntries(settings), ...one.settings });
      await callWithin(entry.replaceSettings, [all], timeoutMs);
    }
    const isWanted = matchesExchange(match, { method: one.request.method, path: target.path });
    // As a gateway does it unless a host document says otherwise.
    if (target.hasEncodedSlash && decidesByPath(match)) target.answer(encodedSlashAnswer);
    else if (isWanted) {
      const text = await callWithin(entry.onRequest, [asText()], timeoutMs);
      applyToRequest(readResult(key, text, loaded.columnOf), target, steering, options.border);
    }
    const { response } = one;
    const headers = lowerCase(response?.headers ?? {});
    if (response !== null && target.answered === null && isWanted && loaded.hasOnResponse) {
      const values = [response.status, rawHeaders(response.headers), asText()];
      const text = await callWithin(entry.onResponse, values, timeoutMs);
      applyToResponse(readResult(key, text, loaded.columnOf), {
        setResponseHeader: (name, value) => headers.set(name, value),
        addResponseHeader: (name, value) => {
          const before = headers.get(name);
          headers.set(name, before === undefined ? value : `${before}, ${value}`);
        },
        removeResponseHeader: (name) => headers.delete(name),
      });
    }
    const responseHeaders = Object.fromEntries(headers);
    if (target.answered !== null) {
      return { outcome: answeredBy(target.answered), responseHeaders };
    }
    const { path, query, authority: host } = target;
    const { upstream, hashKey } = steering;
    const own = Object.fromEntries(target.headers);
    return {
      outcome: { pass: true, path, query, host, upstream, hashKey, headers: own },
      responseHeaders,
    };
  } catch (error) {
    if (error instanceof ScriptError) return error.fault;
    if (!(error instanceof Error)) throw error;
    const stack = isTimeout(error) ? (error.stack ?? "") : "";
    return faultAt(key, explain(error, timeoutMs), stack, loaded.columnOf);
  }
}

/** The request of a case, and as text what a worker brings into an isolate. */
function requestOf({ request }: Case): { target: ExaminedRequest; asText(): string } {
  const { method, scheme, host, path, query, clientIp, headers } = request;
  const own = { Host: host, ...headers };
  const target = new ExaminedRequest(
    query === "" ? path : `${path}?${query}`,
    host,
    lowerCase(own),
  );
  const asText = () => {
    const { path, rawPath, query, host: asked } = target;
    const raw = rawPath === path ? "" : rawPath;
    const lines = rawHeaders(own);
    return [method, scheme, asked, path, raw, query, clientIp, requestId, lines].join("\n");
  };
  return { target, asText };
}

function rawHeaders(headers: Readonly<Record<string, string>>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join("\r\n");
}

function lowerCase(headers: Readonly<Record<string, string>>): Map<string, string> {
  return new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function answeredBy({ status, headers = {}, body = "" }: Answer): Answered {
  const joined = Object.entries(headers).map(([name, value]) => [
    name,
    typeof value === "string" ? value : value.join(", "),
  ]);
  return { status, headers: Object.fromEntries(joined), body: String(body) };
}

function isAsExpected(expected: Outcome, actual: Passed | Answered): boolean {
  if ("pass" in expected) {
    const { pass, headers = {}, ...changes } = expected;
    if (!("pass" in actual)) return false;
    const own: Readonly<Record<string, unknown>> = { ...actual };
    const isSame = Object.entries(changes).every(([name, value]) => own[name] === value);
    return pass && isSame && hasHeaders(headers, actual.headers);
  }
  if ("pass" in actual) return false;
  if ("deny" in expected) return actual.status >= 400 && isAnswer(expected.deny, actual);
  if ("respond" in expected) return isAnswer(expected.respond, actual);
  const { location, status = actual.status } = expected.redirect;
  const isRedirect = actual.status >= 300 && actual.status < 400;
  return isRedirect && actual.status === status && actual.headers.location === location;
}

function isAnswer(expected: ExpectedAnswer, actual: Answered): boolean {
  const { status = actual.status, body = actual.body, headers = {} } = expected;
  return status === actual.status && body === actual.body && hasHeaders(headers, actual.headers);
}

function hasHeaders(expected: ExpectedHeaders, actual: Readonly<Record<string, string>>): boolean {
  return Object.entries(expected).every(([name, value]) => (actual[name] ?? null) === value);
}

/** The outcome of the request, in the words of `expect`, and only the parts that the case looks at. */
function shown(one: Case, { outcome, responseHeaders }: Actual): unknown {
  const asked: Readonly<Record<string, unknown>> = { ...one.expect };
  const pick = (names: Iterable<string>, from: Readonly<Record<string, string>>) =>
    Object.fromEntries(Array.from(names, (name) => [name, from[name] ?? null]));
  const response =
    one.expectResponse === null
      ? {}
      : { expectResponse: pick(Object.keys(one.expectResponse), responseHeaders) };
  if (one.expect === null) return response;
  if (!("pass" in outcome)) {
    const { status, headers, body } = outcome;
    if (status < 400 && headers.location !== undefined) {
      return { redirect: { location: headers.location, status }, ...response };
    }
    return { [status >= 400 ? "deny" : "respond"]: { status, body, headers }, ...response };
  }
  const { headers, pass, ...changes } = outcome;
  const wantsHeaders = typeof asked.headers === "object" && asked.headers !== null;
  const seen = wantsHeaders ? { headers: pick(Object.keys(asked.headers ?? {}), headers) } : {};
  const changed = Object.entries(changes).filter(([name, value]) =>
    name === "path" ? true : name in asked || (value !== "" && name !== "host" && name !== "query"),
  );
  return { pass, ...Object.fromEntries(changed), ...seen, ...response };
}

function failed(one: Case, actual: unknown): { name: string; expected: string; actual: string } {
  const wanted = one.expectResponse === null ? {} : { expectResponse: one.expectResponse };
  const text = (value: unknown) => printable(JSON.stringify(value));
  return {
    name: printable(one.name),
    expected: text({ ...one.expect, ...wanted }),
    actual: text(actual),
  };
}

function placeOf({ name }: Case, at: number, { text, loaded: { syntax } }: CaseRunOptions) {
  return placeOfCase({ at, name, text, syntax });
}
