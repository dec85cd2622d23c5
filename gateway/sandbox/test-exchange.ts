/**
 * For the tests of this room: an `Exchange` without sockets that keeps what is done to it. It checks
 * what the contract says an engine checks, and nothing is ever sent.
 */
import type { Answer, Exchange, TryLimits } from "../engine/engine.ts";
import { RequestTarget } from "../engine/request-target.ts";

export interface TestRequest {
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly authority?: string;
  readonly headers?: readonly (readonly [string, string])[];
}

const engineHeaders = new Set(["connection", "content-length", "host", "transfer-encoding", "te"]);
const fieldValue = /^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?$/;

export class TestExchange implements Exchange<unknown> {
  context: unknown = null;
  readonly id = "test-1";
  readonly method: string;
  readonly scheme = "http";
  readonly clientAddress = "192.0.2.7";
  readonly listener = 0;
  readonly proxyAddress = "";
  trailers: ReadonlySet<string> | null = null;
  readonly hasBody = false;
  readonly serial = 1;
  tryLimits: TryLimits | null = null;
  readonly peer = null;
  readonly tries = 0;
  status = 0;
  errorCode = "";
  readonly startedAtMs = 0;
  readonly durationMs = 0;
  readonly bytesIn = 0;
  readonly bytesOut = 0;
  readonly rawHeaders: string;
  rawResponseHeaders = "";
  /** What the gateway answered by itself. */
  answered: Answer | null = null;
  failure: { status: number; code: string; message: string } | null = null;
  readonly #headers = new Map<string, string>();
  readonly #responseHeaders = new Map<string, string>();
  readonly #target = new RequestTarget("normal");

  constructor(request: TestRequest = {}) {
    this.method = request.method ?? "GET";
    const { path = "/", query = "", authority = "a.example.com" } = request;
    this.#target.begin(query === "" ? path : `${path}?${query}`, authority);
    const headers = [["Host", authority] as const, ...(request.headers ?? [])];
    this.rawHeaders = headers.map(([name, value]) => `${name}: ${value}`).join("\r\n");
    for (const [name, value] of headers) this.#headers.set(name.toLowerCase(), value);
  }

  /** As if the origin had answered. */
  respond(status: number, headers: readonly (readonly [string, string])[]): void {
    this.status = status;
    this.rawResponseHeaders = headers.map(([name, value]) => `${name}: ${value}`).join("\r\n");
    for (const [name, value] of headers) this.#responseHeaders.set(name.toLowerCase(), value);
  }

  get authority(): string {
    return this.#target.authority;
  }
  set authority(value: string) {
    this.#target.authority = value;
  }
  get host(): string {
    return this.#target.host;
  }
  get path(): string {
    return this.#target.path;
  }
  set path(value: string) {
    this.#target.path = value;
  }
  get rawPath(): string {
    return this.#target.rawPath;
  }
  get hasEncodedSlash(): boolean {
    return this.#target.hasEncodedSlash;
  }
  get query(): string {
    return this.#target.query;
  }
  set query(value: string) {
    this.#target.query = value;
  }
  header(name: string): string | undefined {
    return this.#headers.get(name.toLowerCase());
  }
  setHeader(name: string, value: string): void {
    checkHeader(name, value);
    this.#headers.set(name.toLowerCase(), value);
  }
  removeHeader(name: string): void {
    checkHeader(name, "");
    this.#headers.delete(name.toLowerCase());
  }
  answer(answer: Answer): void {
    if (this.answered !== null || this.failure !== null) throw new Error("answered twice");
    this.answered = answer;
    this.status = answer.status;
  }
  fail(status: number, code: string, message: string): void {
    if (this.answered !== null || this.failure !== null) throw new Error("answered twice");
    this.failure = { status, code, message };
    this.status = status;
    this.errorCode = code;
  }
  hold(): void {
    throw new Error("a script holds nothing");
  }
  resume(): void {
    throw new Error("a script holds nothing");
  }
  tried(): boolean {
    return false;
  }
  responseHeader(name: string): string | undefined {
    return this.#responseHeaders.get(name.toLowerCase());
  }
  setResponseHeader(name: string, value: string): void {
    checkHeader(name, value);
    this.#responseHeaders.set(name.toLowerCase(), value);
  }
  addResponseHeader(name: string, value: string): void {
    checkHeader(name, value);
    const before = this.#responseHeaders.get(name.toLowerCase());
    this.#responseHeaders.set(
      name.toLowerCase(),
      before === undefined ? value : `${before}, ${value}`,
    );
  }
  removeResponseHeader(name: string): void {
    checkHeader(name, "");
    this.#responseHeaders.delete(name.toLowerCase());
  }
}

function checkHeader(name: string, value: string): void {
  if (engineHeaders.has(name.toLowerCase())) throw new TypeError(`${name}: belongs to the engine`);
  if (!fieldValue.test(value)) throw new TypeError(`${name}: not a field value`);
}
