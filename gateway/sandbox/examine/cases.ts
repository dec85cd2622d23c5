/**
 * The cases of a script's `export const tests`: their format, read from data that a script made, with
 * one clear error for what is wrong. Runs none of them.
 */

import { inAscii, isAuthority, normaliseHost } from "../../engine/message/authority.ts";
import { isPath } from "../../engine/message/grammar.ts";
import type { Json } from "../../model/index.ts";
import { fields } from "../run/declared.ts";
import { positionAt } from "../run/faults.ts";
import type { Syntax } from "../run/source-reader.ts";

type Text = Readonly<Record<string, string>>;

/** The expected outcome of a request. A field that is left out is not compared. */
export type Outcome =
  /** It goes on; `null` stands for a header that is not there. */
  | ({
      readonly pass: true;
      readonly path?: string;
      readonly query?: string;
      readonly host?: string;
    } & {
      readonly upstream?: string;
      readonly hashKey?: string;
      readonly headers?: ExpectedHeaders;
    })
  | { readonly deny: ExpectedAnswer }
  | { readonly respond: ExpectedAnswer }
  | { readonly redirect: { readonly location: string; readonly status?: number } };

export type ExpectedHeaders = Readonly<Record<string, string | null>>;

export interface ExpectedAnswer {
  readonly status?: number;
  readonly body?: string;
  readonly headers?: ExpectedHeaders;
}

export interface Case {
  readonly name: string;
  readonly request: {
    readonly method: string;
    readonly scheme: string;
    readonly host: string;
    readonly path: string;
    readonly query: string;
    readonly clientIp: string;
    readonly headers: Text;
  };
  /** What the origin answers, for `onResponse`; `null`: it is not asked. */
  readonly response: { readonly status: number; readonly headers: Text } | null;
  /** Laid over the settings in KV. */
  readonly settings: Readonly<Record<string, Json>>;
  /** `null`: not looked at. */
  readonly expect: Outcome | null;
  /** Headers that the client must get, with `response`. */
  readonly expectResponse: ExpectedHeaders | null;
}

export const maxCases = 200;
const example = '{ name: "...", request: { method: "GET", path: "/" }, expect: { deny: 403 } }';
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
const oneLine = /^[^\r\n\0]*$/;

/** A case that cannot be read. */
export class CaseError extends TypeError {
  /** Of the case, from 0. */
  readonly index: number;

  constructor(index: number, message: string) {
    super(message);
    this.index = index;
  }
}

/**
 * @param host asked for by a case that names none.
 * @throws TypeError that names the case and the field; a CaseError where it is one case's.
 */
export function parseCases(value: unknown, host: string): readonly Case[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value) || value.length > maxCases) {
    throw new TypeError(`tests must be a list of at most ${maxCases} cases: [${example}]`);
  }
  return value.map((item: unknown, index) => {
    try {
      return parseCase(item, index, host);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new CaseError(index, error.message);
    }
  });
}

function parseCase(value: unknown, index: number, host: string): Case {
  const names = ["name", "request", "response", "settings", "expect", "expectResponse"] as const;
  const at = `tests[${index}]`;
  const given = fields(at, value, names, example);
  const name =
    typeof given.name === "string" && given.name !== "" ? given.name : `case ${index + 1}`;
  const response = given.response === undefined ? null : parseResponse(at, given.response);
  const expectResponse =
    given.expectResponse === undefined
      ? null
      : expectedHeaders(`${at}.expectResponse`, given.expectResponse);
  if (expectResponse !== null && response === null) {
    throw new TypeError(`${at}.expectResponse needs a response: { status: 200, headers: {} }`);
  }
  if (given.expect === undefined && expectResponse === null) {
    throw new TypeError(`${at}.expect is missing: ${example}`);
  }
  return {
    name,
    request: parseRequest(at, given.request ?? {}, host),
    response,
    settings: fields(`${at}.settings`, given.settings ?? {}, keysOf(given.settings), "{ name: 1 }"),
    expect: given.expect === undefined ? null : parseOutcome(`${at}.expect`, given.expect),
    expectResponse,
  } as Case;
}

function parseRequest(at: string, value: unknown, host: string): Case["request"] {
  const names = ["method", "scheme", "host", "path", "query", "headers", "clientIp"] as const;
  const given = fields(`${at}.request`, value, names, '{ method: "GET", path: "/" }');
  const text = (name: (typeof names)[number], fallback: string): string => {
    const raw = given[name] ?? fallback;
    if (typeof raw !== "string" || !oneLine.test(raw)) {
      throw new TypeError(`${at}.request.${name} must be one line of text`);
    }
    return raw;
  };
  const whole = text("path", "/");
  const mark = whole.indexOf("?");
  const path = mark === -1 ? whole : whole.slice(0, mark);
  if (!whole.startsWith("/")) throw new TypeError(`${at}.request.path must start with /`);
  if (!isPath(path)) {
    throw new TypeError(`${at}.request.path has a character or an escape that no path has`);
  }
  return {
    method: text("method", "GET"),
    scheme: text("scheme", "http"),
    host: hostOf(at, text("host", host.startsWith("*.") ? `any${host.slice(1)}` : host)),
    path,
    query: text("query", mark === -1 ? "" : whole.slice(mark + 1)),
    clientIp: text("clientIp", "192.0.2.1"),
    headers: headers(`${at}.request.headers`, given.headers ?? {}),
  };
}

/** As a script sees it. */
function hostOf(at: string, written: string): string {
  const authority = inAscii(written);
  if (!isAuthority(authority)) throw new TypeError(`${at}.request.host is not a host`);
  return normaliseHost(authority);
}

function parseResponse(at: string, value: unknown): Case["response"] {
  const given = fields(`${at}.response`, value, ["status", "headers"], "{ status: 200 }");
  const status = given.status ?? 200;
  if (typeof status !== "number" || !Number.isInteger(status) || status < 200 || status > 599) {
    throw new TypeError(`${at}.response.status must be a number from 200 to 599`);
  }
  return { status, headers: headers(`${at}.response.headers`, given.headers ?? {}) };
}

function parseOutcome(at: string, value: unknown): Outcome {
  const verdicts = ["pass", "deny", "respond", "redirect"] as const;
  const changes = ["path", "query", "host", "upstream", "hashKey", "headers"] as const;
  const given = fields(at, value, [...verdicts, ...changes], "{ deny: 403 }");
  const chosen = verdicts.filter((name) => given[name] !== undefined);
  const [verdict] = chosen;
  if (chosen.length !== 1 || verdict === undefined) {
    throw new TypeError(`${at} must have one of pass, deny, respond and redirect`);
  }
  const change = changes.find((name) => given[name] !== undefined);
  if (verdict !== "pass" && change !== undefined) {
    throw new TypeError(`${at}.${change} is only known with pass: true`);
  }
  const where = `${at}.${verdict}`;
  if (verdict === "deny") return { deny: parseAnswer(where, given.deny) };
  if (verdict === "respond") return { respond: parseAnswer(where, given.respond) };
  if (verdict === "redirect") return { redirect: parseRedirect(where, given.redirect) };
  if (given.pass !== true) throw new TypeError(`${where} must be true`);
  const outcome: Record<string, unknown> = { pass: true };
  for (const name of changes) {
    const wanted = given[name];
    if (wanted === undefined) continue;
    if (name === "headers") outcome[name] = expectedHeaders(`${at}.headers`, wanted);
    else if (typeof wanted === "string") outcome[name] = name === "host" ? inAscii(wanted) : wanted;
    else throw new TypeError(`${at}.${name} must be a text`);
  }
  return outcome as Outcome;
}

function parseAnswer(at: string, value: unknown): ExpectedAnswer {
  if (value === true) return {};
  if (typeof value === "number") return { status: value };
  const given = fields(at, value, ["status", "body", "headers"], "{ status: 403 }");
  const answer: { status?: number; body?: string; headers?: ExpectedHeaders } = {};
  if (given.status !== undefined) {
    if (typeof given.status !== "number") throw new TypeError(`${at}.status must be a number`);
    answer.status = given.status;
  }
  if (given.body !== undefined) {
    if (typeof given.body !== "string") throw new TypeError(`${at}.body must be a text`);
    answer.body = given.body;
  }
  if (given.headers !== undefined) answer.headers = expectedHeaders(`${at}.headers`, given.headers);
  return answer;
}

function parseRedirect(at: string, value: unknown): { location: string; status?: number } {
  if (typeof value === "string") return { location: value };
  const given = fields(at, value, ["location", "status"], '"https://www.example.com/"');
  if (typeof given.location !== "string") throw new TypeError(`${at}.location must be a text`);
  if (given.status === undefined) return { location: given.location };
  if (typeof given.status !== "number") throw new TypeError(`${at}.status must be a number`);
  return { location: given.location, status: given.status };
}

function headers(at: string, value: unknown): Text {
  const found: Record<string, string> = {};
  for (const [name, content] of Object.entries(fields(at, value, keysOf(value), "{}"))) {
    const isGood = typeof content === "string" && oneLine.test(content) && headerName.test(name);
    if (!isGood) throw new TypeError(`${at}: ${name} must be a header with one line of text`);
    found[name] = content;
  }
  return found;
}

function expectedHeaders(at: string, value: unknown): ExpectedHeaders {
  const found: Record<string, string | null> = {};
  for (const [name, content] of Object.entries(fields(at, value, keysOf(value), "{}"))) {
    if (typeof content !== "string" && content !== null) {
      throw new TypeError(`${at}: ${name} must be a text, or null for a header that is not there`);
    }
    found[name.toLowerCase()] = content;
  }
  return found;
}

function keysOf(value: unknown): readonly string[] {
  return typeof value === "object" && value !== null ? Object.keys(value) : [];
}

/**
 * The place of the case's name, else of the case, else of `tests`, from 1; 0 where it is not in this text.
 * @param given `at`: which case it is, from 0; `null`: the tests as a whole.
 */
export function placeOfCase(given: {
  readonly at: number | null;
  readonly name: string;
  readonly text: string;
  readonly syntax: Syntax | null;
}): { readonly line: number; readonly column: number } {
  const { at, name, text, syntax } = given;
  const range = at === null ? undefined : syntax?.cases[at];
  const [start = 0, end = text.length] = range ?? [];
  const index =
    quotedIn(text, name, start, end) ?? range?.[0] ?? syntax?.exports.get("tests") ?? null;
  return index === null ? { line: 0, column: 0 } : positionAt(text, index);
}

function quotedIn(text: string, name: string, start: number, end: number): number | null {
  if (name === "") return null;
  for (const quote of ['"', "'", "`"]) {
    const index = text.indexOf(`${quote}${name}${quote}`, start);
    if (index !== -1 && index < end) return index;
  }
  return null;
}
