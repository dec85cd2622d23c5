/**
 * The npm client `consul`, set up once, and one way to ask it for a read: with an index, a deadline
 * by the caller's signal, and an answer that is Consul's or an error. Retries nothing.
 */
import { EventEmitter } from "node:events";
import http from "node:http";
import https from "node:https";
import Consul from "consul";
import type { ConsulAddress, ConsulOptions, Environment } from "./environment.ts";
import { resolveConsulAddress } from "./environment.ts";
import { ConsulError, describeRefusal, describeSocketError, oneLine } from "./errors.ts";
import { Token } from "./token.ts";

/** A read of Consul's HTTP API. */
export interface Query {
  /** Below `/v1`, with parameters in braces: `/health/service/{service}`. */
  readonly path: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  /** Answer when the index is above this one; `null`: answer at once. Default `null`. */
  readonly index?: number | null;
  /** How long Consul may hold the answer back. Only with an index. */
  readonly waitMs?: number;
  /** Whether a 404 is an answer (no such key), with `null` as its body. Default false. */
  readonly emptyWhenMissing?: boolean;
  /**
   * Ends the query: its connection is closed and the promise is rejected. Aborted with a `TimeoutError`, as
   * by `AbortSignal.timeout`, it says that Consul does not answer.
   */
  readonly signal?: AbortSignal;
  /** Asks on a connection of its own, closed afterwards. Default false. */
  readonly isNewConnection?: boolean;
  /** The whole answer must be there by then. Default: never; a blocking query has a deadline of its caller's. */
  readonly withinMs?: number;
}

export interface QueryAnswer {
  /** `X-Consul-Index`. 0 when Consul says 0, `null` when the endpoint has none. */
  readonly index: number | null;
  /** The JSON of the body, not checked any further. */
  readonly body: unknown;
  /** `X-Consul-Results-Filtered-By-ACLs`: Consul left out what the token may not see. */
  readonly filtered: boolean;
  /** Of the body. */
  readonly bytes: number;
}

/** A server that has heard nothing from the leader for longer shows what was. */
const maxLastContactMs = 10_000;

/** Bodies are refused above this: 10,000 documents of a usual size are some 10 MB. */
const maxAnswerBytes = 256 * 1024 * 1024;

/** Consul as the rest of the project uses it. */
export class ConsulClient {
  /** For display: no user, no password, no slash at the end. */
  readonly url: string;
  /** The npm client, for calls that are no reads of the watches. */
  readonly api: Consul;
  readonly #transport: Transport;
  readonly #agent: http.Agent;

  constructor(address: ConsulAddress) {
    this.url = address.displayUrl;
    const secure = address.baseUrl.protocol === "https:";
    // As many sockets as queries: each blocking query holds one for as long as it waits.
    const pool = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 16 };
    this.#agent = secure ? new https.Agent({ ...pool, ...address.tls }) : new http.Agent(pool);
    const baseUrl = new URL(address.baseUrl);
    baseUrl.pathname = `${baseUrl.pathname.replace(/\/$/, "")}/v1`;
    const options = {
      baseUrl,
      agent: this.#agent,
      ...(secure ? address.tls : {}),
    };
    this.api = new Consul(options);
    this.#transport = asTransport(this.api);
    this.#transport._ext("onRequest", guardAnswer);
    const token = new Token(address);
    this.#transport._ext("onRequest", ({ req }, next) => {
      const text = token.current();
      if (text !== null) req.headers["x-consul-token"] = text;
      next();
    });
  }

  /** One read. Rejects with a `ConsulError` only. */
  async read(query: Query): Promise<QueryAnswer> {
    const endpoint = endpointOf(query);
    const where = `${this.url}${endpoint}`;
    const { withinMs } = query;
    const deadline = withinMs === undefined ? null : AbortSignal.timeout(withinMs);
    const signal = signalOf(query.signal, deadline);
    const ended = (cause?: unknown) =>
      isLate(signal)
        ? this.#timeout(endpoint, deadline?.aborted ? `within ${withinMs} ms` : "in time", cause)
        : new ConsulError("aborted", `${where}: taken back`, 0, cause);
    if (signal?.aborted) throw ended();
    const context = new EventEmitter();
    const onAbort = () => context.emit("cancel");
    signal?.addEventListener("abort", onAbort, { once: true });
    let response: http.IncomingMessage & { readonly body?: unknown };
    try {
      response = await this.#transport._get(requestOf(query, context), takeAnyStatus);
    } catch (error) {
      if (signal?.aborted) throw ended(error);
      const reason = error instanceof Error ? describeSocketError(error) : String(error);
      throw new ConsulError("unreachable", `${where}: ${reason}`, 0, error);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    return readAnswer(this.url, endpoint, response, query);
  }

  #timeout(endpoint: string, within: string, cause: unknown): ConsulError {
    const text = `Consul at ${this.url} does not answer: no answer to ${endpoint} ${within}`;
    return new ConsulError("timeout", text, 0, cause);
  }

  /** Closes the connections on which no query is under way, as they may be dead. */
  dropIdle(): void {
    for (const sockets of Object.values(this.#agent.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }

  /** Closes the connections; the client can still be used. */
  close(): void {
    this.#agent.destroy();
  }
}

/**
 * Connects to nothing yet. The environment is read as Consul's own commands read it
 * (`resolveConsulAddress`). Throws a `ConsulOptionsError` that names the option or the variable.
 */
export function createConsul(options: ConsulOptions, env: Environment): ConsulClient {
  return new ConsulClient(resolveConsulAddress(options, env));
}

/** The part of `papi`, the npm client's base class, that a read goes through. */
interface Transport {
  _get(request: object, middleware: Middleware): Promise<http.IncomingMessage>;
  _ext(event: "onRequest", middleware: Middleware): void;
}

type Middleware = (
  request: Exchange,
  next: (stop?: false | Error, value?: unknown) => void,
) => void;

interface Exchange {
  transport: { request(options: http.RequestOptions): http.ClientRequest };
  readonly req: { readonly headers: Record<string, string> };
  readonly err?: Error;
  readonly res?: http.IncomingMessage;
}

function asTransport(api: Consul): Transport {
  // The client's types leave out its base class, which has none of its own; its README documents both.
  const transport = api as unknown as Transport;
  if (typeof transport._get !== "function" || typeof transport._ext !== "function")
    throw new TypeError("the npm client consul has another base class than expected");
  return transport;
}

/** Ends with whichever of both is first. */
function signalOf(
  given: AbortSignal | undefined,
  deadline: AbortSignal | null,
): AbortSignal | undefined {
  if (deadline === null) return given;
  return given === undefined ? deadline : AbortSignal.any([given, deadline]);
}

/** Ended by a deadline, this read's or its caller's, and not because nobody wants the answer any more. */
function isLate(signal: AbortSignal | undefined): boolean {
  const reason: unknown = signal?.aborted ? signal.reason : null;
  return reason instanceof DOMException && reason.name === "TimeoutError";
}

function requestOf(query: Query, context: EventEmitter): object {
  const parameters: Record<string, string> = { ...query.query };
  if (query.index) {
    parameters.index = String(query.index);
    parameters.wait = `${Math.round(query.waitMs ?? 0)}ms`;
  }
  // `buffer`: the body as it came. The client would take a page of HTML for a value.
  const { path, params, isNewConnection = false } = query;
  const own = isNewConnection ? { agent: false } : {};
  return { path, params, query: parameters, ctx: context, buffer: true, ...own };
}

/** Any status is an answer here; what it means depends on the query. */
const takeAnyStatus: Middleware = (request, next) => {
  if (request.res?.complete) next(false, request.res);
  else next(request.err ?? new Error("no whole answer"));
};

/**
 * The client waits for the end of an answer only, so that one which breaks off would never settle its
 * promise; and it keeps whatever comes. Both end the request here.
 */
const guardAnswer: Middleware = (exchange, next) => {
  const { transport } = exchange;
  exchange.transport = {
    request(options) {
      const request = transport.request(options);
      request.once("response", (response) => {
        let bytes = 0;
        response.once("error", (error) => request.emit("error", error));
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > maxAnswerBytes)
            request.destroy(new Error(`the answer is larger than ${maxAnswerBytes} bytes`));
        });
      });
      return request;
    },
  };
  next();
};

function endpointOf(query: Query): string {
  const path = query.path.replace(/\{(\w+)\}/g, (_, name) => query.params?.[name] ?? "");
  return `/v1${path}`;
}

function readAnswer(
  url: string,
  endpoint: string,
  response: http.IncomingMessage & { readonly body?: unknown },
  query: Query,
): QueryAnswer {
  const status = response.statusCode ?? 0;
  const bytes = Buffer.isBuffer(response.body) ? response.body : Buffer.alloc(0);
  const contentType = response.headers["content-type"];
  const missing = status === 404 && query.emptyWhenMissing === true;
  if (!missing && (status < 200 || status > 299)) {
    const refusal = {
      status,
      statusText: response.statusMessage,
      body: bytes.toString("utf8", 0, 1000),
      location: response.headers.location,
      contentType,
      endpoint,
      url,
    };
    throw new ConsulError("status", describeRefusal(refusal), status);
  }
  const bad = (problem: string, cause?: unknown) =>
    new ConsulError("bad_answer", `${url}${endpoint} answers ${status} ${problem}`, status, cause);
  const silentMs = Number(response.headers["x-consul-lastcontact"] ?? 0);
  if (silentMs > maxLastContactMs) {
    const since = `has heard nothing from the leader for ${Math.round(silentMs / 1_000)} s`;
    throw new ConsulError(
      "outdated",
      `${url}${endpoint}: the server that answers ${since}`,
      status,
    );
  }
  const index = readIndex(response.headers["x-consul-index"]);
  if (index === null && "index" in query)
    throw bad(`${describeType(contentType)} without X-Consul-Index: not Consul's API`);
  const filtered = response.headers["x-consul-results-filtered-by-acls"] === "true";
  if (missing) return { index, body: null, filtered, bytes: bytes.length };
  try {
    return { index, body: JSON.parse(bytes.toString()), filtered, bytes: bytes.length };
  } catch (error) {
    throw bad(`${describeType(contentType)} whose body is not JSON`, error);
  }
}

function describeType(contentType: string | undefined): string {
  return contentType === undefined ? "without a type" : `with ${oneLine(contentType)}`;
}

/** `null` for what is no index, also when it is above what a number holds exactly. */
function readIndex(header: string | string[] | undefined): number | null {
  if (typeof header !== "string" || !/^\d{1,16}$/.test(header)) return null;
  const index = Number(header);
  return Number.isSafeInteger(index) ? index : null;
}
