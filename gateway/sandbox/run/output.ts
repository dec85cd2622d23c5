/**
 * What a call brings out of an isolate: lines of a letter and a value. They are read here, checked again
 * although the code inside checks them, and applied to the exchange.
 *
 * `L` log, `E` error, `T` its stack; `P` path, `Q` query, `H` host, `U` upstream, `K` hash key; `S` set a
 * header, `D` delete one, `N` add a line of it (to an answer); `V` status of a verdict, `A` a header of its
 * answer, `B` its body, up to the end.
 */

import type { Answer, Exchange } from "../../engine/engine.ts";
import { inAscii, isAuthority, normaliseHost } from "../../engine/message/authority.ts";
import { isPath } from "../../engine/message/grammar.ts";
import { type Border, entryName, type TenantKind } from "../../model/index.ts";
import { isRemovableHeader, isVouchedHeader, outputLimits } from "../limits.ts";
import type { Steering } from "../sandbox.ts";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
}

export interface Output {
  readonly logs: readonly LogLine[];
  readonly error: { readonly message: string; readonly stack: string } | null;
  /** What follows the log and error lines. */
  readonly rest: string;
}

/** The part of an exchange that a script may change before it is routed. */
export type RequestTarget = Pick<
  Exchange<unknown>,
  "setHeader" | "removeHeader" | "path" | "query" | "authority" | "answer"
>;

/** The part that it may change when the origin has answered. */
export type ResponseTarget = Pick<
  Exchange<unknown>,
  "setResponseHeader" | "addResponseHeader" | "removeResponseHeader"
>;

const levels = { d: "debug", i: "info", w: "warn", e: "error" } as const;
const noLogs: readonly LogLine[] = [];
const token = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const fieldValue = /^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?$/;
const query = /^[!"$-~]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what it keeps out
const printable = /^[^\x00-\x1f\x7f]{1,256}$/;

/** Takes the log and error lines off the front. */
export function readOutput(text: string): Output {
  const first = text.charCodeAt(0);
  // L and E: the common case has neither.
  if (first !== 76 && first !== 69) return { logs: noLogs, error: null, rest: text };
  const logs: LogLine[] = [];
  let at = 0;
  let error: { message: string; stack: string } | null = null;
  for (; at < text.length; ) {
    const letter = text[at];
    if (letter !== "L" && letter !== "E" && letter !== "T") break;
    const found = text.indexOf("\n", at);
    const end = found === -1 ? text.length : found;
    if (letter === "L") {
      const level = levels[(text[at + 1] ?? "e") as keyof typeof levels] ?? "error";
      logs.push({ level, text: quotedText(text.slice(at + 2, end)) });
    } else if (letter === "E") {
      error = { message: quotedText(text.slice(at + 1, end)), stack: "" };
    } else if (error !== null) {
      error.stack = quotedText(text.slice(at + 1, end));
    }
    at = end + 1;
  }
  return { logs, error, rest: text.slice(at) };
}

/**
 * Puts a script's changes of a request into effect; a verdict ends the exchange.
 * @param border what the script is held to; `null` where there is one tenant.
 * @throws TypeError that names what is not allowed. Nothing has been answered then.
 */
export function applyToRequest(
  text: string,
  exchange: RequestTarget,
  steering: Steering,
  border: Border | null,
): void {
  let headerCount = 0;
  let headerBytes = 0;
  for (let at = 0; at < text.length; ) {
    const letter = text[at];
    const found = text.indexOf("\n", at);
    const end = found === -1 ? text.length : found;
    const value = text.slice(at + 1, end);
    switch (letter) {
      case "S":
      case "D":
        headerCount += 1;
        headerBytes += value.length;
        boundHeaders(headerCount, headerBytes);
        if (letter === "D") exchange.removeHeader(checkRemoved(value));
        else {
          const { name, content } = field(value);
          exchange.setHeader(name, content);
        }
        break;
      case "P":
        if (value.length > 8_192 || !isPath(value))
          throw new TypeError("request.path is not allowed");
        exchange.path = value;
        break;
      case "Q":
        exchange.query = checked("request.query", query, value, 8_192);
        break;
      case "H":
        setHost(exchange, inAscii(value), border);
        break;
      case "U":
        steering.upstream = checked("request.upstream", entryName, value, 253);
        if (border !== null) checkBorder("request.upstream", border, "upstreams", value);
        break;
      case "K":
        steering.hashKey = checked("request.hashKey", printable, value, 256);
        break;
      case "V":
        exchange.answer(readAnswer(text.slice(at)));
        return;
      default:
        throw new TypeError("the script's changes cannot be read");
    }
    at = end + 1;
  }
}

/** Another host must belong to the tenant; the host that the client asked for may stay, whatever its port. */
function setHost(exchange: RequestTarget, authority: string, border: Border | null): void {
  if (border !== null && isAuthority(authority)) {
    const host = normaliseHost(authority);
    if (host !== normaliseHost(exchange.authority)) {
      checkBorder("request.host", border, "hosts", host);
    }
  }
  exchange.authority = authority;
}

/** @throws TypeError */
function checkBorder(
  what: string,
  { tenants, tenant }: Border,
  kind: TenantKind,
  name: string,
): void {
  const refusal = tenants.refusal(tenant, kind, name);
  if (refusal !== null) throw new TypeError(`${what}: ${refusal}`);
}

/** The header lines of a request that a script gave another host. */
export function withHost(lines: string, authority: string): string {
  const others = lines.split("\r\n").filter((line) => !/^host:/i.test(line));
  return [...others, `host: ${authority}`].join("\r\n");
}

/**
 * Puts a script's changes of an answer's headers into effect.
 * @throws TypeError that names the header; nothing has been changed then.
 */
export function applyToResponse(text: string, exchange: ResponseTarget): void {
  const fields: { name: string; content: string | null; isAdded: boolean }[] = [];
  let bytes = 0;
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf("\n", at);
    const end = found === -1 ? text.length : found;
    const value = text.slice(at + 1, end);
    bytes += value.length;
    boundHeaders(fields.length + 1, bytes);
    const letter = text[at];
    if (letter === "S" || letter === "N") {
      fields.push({ ...field(value), isAdded: letter === "N" });
    } else if (letter === "D") {
      fields.push({ name: checkRemoved(value), content: null, isAdded: false });
    } else throw new TypeError("the script's changes cannot be read");
    at = end + 1;
  }
  for (const { name, content, isAdded } of fields) {
    if (content === null) exchange.removeResponseHeader(name);
    else if (isAdded) exchange.addResponseHeader(name, content);
    else exchange.setResponseHeader(name, content);
  }
}

function readAnswer(text: string): Answer {
  let end = text.indexOf("\n");
  const status = Number(text.slice(1, end));
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new TypeError("the status of an answer is a number from 200 to 599");
  }
  const headers = new Map<string, string[]>();
  let count = 0;
  let bytes = 0;
  let at = end + 1;
  while (text[at] === "A") {
    end = text.indexOf("\n", at);
    const { name, content } = field(text.slice(at + 1, end));
    count += 1;
    bytes += end - at;
    boundHeaders(count, bytes);
    const before = headers.get(name);
    if (before === undefined) headers.set(name, [content]);
    else before.push(content);
    at = end + 1;
  }
  if (text[at] !== "B") throw new TypeError("the script's answer cannot be read");
  const body = text.slice(at + 1);
  if (Buffer.byteLength(body) > outputLimits.maxBodyBytes) {
    throw new TypeError(`the body is longer than ${outputLimits.maxBodyBytes} bytes`);
  }
  return { status, headers: Object.fromEntries(headers), body };
}

function field(line: string): { name: string; content: string } {
  const colon = line.indexOf(":");
  const name = checkName(line.slice(0, Math.max(colon, 0)));
  const content = line.slice(colon + 1);
  if (content.length > outputLimits.maxHeaderBytes || !fieldValue.test(content)) {
    throw new TypeError(`the value of the header ${name} is not allowed`);
  }
  return { name, content };
}

function checkName(name: string): string {
  checkToken(name);
  if (isVouchedHeader(name)) refuseName(name);
  return name;
}

function checkRemoved(name: string): string {
  checkToken(name);
  if (!isRemovableHeader(name)) refuseName(name);
  return name;
}

function checkToken(name: string): void {
  if (name.length > 256 || !token.test(name)) throw new TypeError("a header's name is not allowed");
}

function refuseName(name: string): never {
  throw new TypeError(`the header ${name} belongs to the gateway; a script cannot change it`);
}

function checked(what: string, grammar: RegExp, value: string, max: number): string {
  if (value.length > max || !grammar.test(value)) throw new TypeError(`${what} is not allowed`);
  return value;
}

function boundHeaders(count: number, bytes: number): void {
  if (count > outputLimits.maxHeaders) {
    throw new TypeError(`more than ${outputLimits.maxHeaders} headers were changed`);
  }
  if (bytes > outputLimits.maxTotalHeaderBytes) {
    throw new TypeError(`the headers are longer than ${outputLimits.maxTotalHeaderBytes} bytes`);
  }
}

function quotedText(json: string): string {
  try {
    return String(JSON.parse(json));
  } catch {
    return "a line that cannot be read";
  }
}
