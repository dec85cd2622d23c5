/**
 * The npm client `consul`, set up once, and one way to ask it for a read: with an index, a deadline
 * by the caller's signal, and an answer that is Consul's or an error. Retries nothing.
 */
import { EventEmitter } from "node:events";
import http from "node:http";
import https from "node:https";
import Consul from "consul";
import type { ConsulAddress, ConsulOptions, Environment, Scope } from "./environment.ts";
import { resolveConsulAddress } from "./environment.ts";
import {
  ConsulError,
  describeRefusal,
  describeSocketError,
  oneLine,
  tooManyConnections,
} from "./errors.ts";
import { isOnLoopback, Lanes } from "./lanes.ts";
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
  /** The read belongs to a watch: it may wait for long, and comes again. Default false. */
  readonly isWatch?: boolean;
  /**
   * The whole answer must be there by then. Default: no deadline; the caller of a blocking query sets its own.
   */
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

/** A server that has heard nothing from the leader for longer shows old data. */
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
  /** `null`: all connections come from the address that the system chooses. */
  readonly #lanes: Lanes | null;
  #isSpread = false;
  /** In which everything is read and written; `null`: Consul has none, or none was named. */
  #scope: Scope | null;
  readonly #namedScope: Scope | null;

  constructor(address: ConsulAddress) {
    this.url = address.displayUrl;
    const secure = address.baseUrl.protocol === "https:";
    // As many sockets as queries: each blocking query holds one for as long as it waits.
    const pool = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 16 };
    const agentWith = (options: http.AgentOptions) =>
      secure ? new https.Agent({ ...options, ...address.tls }) : new http.Agent(options);
    this.#agent = agentWith(pool);
    const agentFrom = (localAddress: string) => agentWith({ ...pool, localAddress, family: 4 });
    const { hostname } = address.baseUrl;
    this.#lanes = isOnLoopback(hostname, process.platform)
      ? new Lanes({ agentFrom, random: Math.random })
      : null;
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
    this.#namedScope = address.scope;
    this.#scope = address.scope;
    this.#transport._ext("onRequest", ({ req }, next) => {
      if (this.#scope !== null) {
        const { namespace = "default", partition } = this.#scope;
        // Also where a partition alone is named: old versions know no partitions, and ignore one silently.
        req.headers["x-consul-namespace"] = namespace;
        if (partition !== undefined) req.headers["x-consul-partition"] = partition;
      }
      next();
    });
  }

  /**
   * From now on connections of watches come from addresses of their own, if Consul answers there. Resolves when
   * that is known. Calling it again changes nothing.
   */
  async spread(withinMs: number): Promise<void> {
    if (this.#lanes === null || this.#isSpread) return;
    this.#isSpread = true;
    await this.read({ path: "/status/leader", isWatch: true, withinMs }).catch(() => {
      this.#isSpread = false;
    });
  }

  /**
   * The namespace or partition that was named and that Consul says it does not have; `null`: none, as far as is
   * known.
   */
  get unknownScope(): Scope | null {
    return this.#scope === null ? this.#namedScope : null;
  }

  /** One read. Rejects with a `ConsulError` only. */
  async read(query: Query): Promise<QueryAnswer> {
    try {
      return await this.#readOn(query);
    } catch (error) {
      const isUnknown =
        error instanceof ConsulError && /Consul Enterprise feature/.test(error.message);
      if (this.#scope === null || !isUnknown) throw error;
      this.#scope = null;
      return this.#readOn(query);
    }
  }

  async #readOn(query: Query): Promise<QueryAnswer> {
    const lanes = query.isWatch === true && this.#isSpread ? this.#lanes : null;
    const lane = lanes?.enter() ?? null;
    const askedAt = performance.now();
    try {
      return await this.#read(query, lane?.agent ?? null);
    } catch (error) {
      throw isRefusal(error, performance.now() - askedAt) ? this.#refused(error) : error;
    } finally {
      if (lane !== null) lanes?.leave(lane);
    }
  }

  async #read(query: Query, agent: http.Agent | null): Promise<QueryAnswer> {
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
      response = await this.#transport._get(requestOf(query, context, agent), takeAnyStatus);
    } catch (error) {
      if (signal?.aborted) throw ended(error);
      const reason = error instanceof Error ? describeSocketError(error) : String(error);
      throw new ConsulError("unreachable", `${where}: ${reason}`, 0, error);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    return readAnswer(this.url, endpoint, response, query);
  }

  #refused(cause: unknown): ConsulError {
    const text = `Consul at ${this.url} refuses a connection: ${tooManyConnections}`;
    return new ConsulError("refused", text, 429, cause);
  }

  #timeout(endpoint: string, within: string, cause: unknown): ConsulError {
    const text = `Consul at ${this.url} does not answer: no answer to ${endpoint} ${within}`;
    return new ConsulError("timeout", text, 0, cause);
  }

  /** Closes the connections on which no query is under way, because they may be dead. */
  dropIdle(): void {
    for (const { freeSockets } of [this.#agent, ...(this.#lanes?.agents() ?? [])])
      for (const sockets of Object.values(freeSockets))
        for (const socket of sockets ?? []) socket.destroy();
  }

  /** Closes the connections; the client can still be used. */
  close(): void {
    for (const agent of [this.#agent, ...(this.#lanes?.agents() ?? [])]) agent.destroy();
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

/** Aborts with the first of the two. */
function signalOf(
  given: AbortSignal | undefined,
  deadline: AbortSignal | null,
): AbortSignal | undefined {
  if (deadline === null) return given;
  return given === undefined ? deadline : AbortSignal.any([given, deadline]);
}

/**
 * Whether a deadline ended it, this read's or its caller's, and not a caller who no longer wants the answer.
 */
function isLate(signal: AbortSignal | undefined): boolean {
  const reason: unknown = signal?.aborted ? signal.reason : null;
  return reason instanceof DOMException && reason.name === "TimeoutError";
}

function requestOf(query: Query, context: EventEmitter, agent: http.Agent | null): object {
  const parameters: Record<string, string> = { ...query.query };
  if (query.index) {
    parameters.index = String(query.index);
    parameters.wait = `${Math.round(query.waitMs ?? 0)}ms`;
  }
  // `buffer`: the body as it came. The client would take a page of HTML for a value.
  const { path, params, isNewConnection = false } = query;
  const own = isNewConnection ? { agent: false } : agent === null ? {} : { agent };
  return { path, params, query: parameters, ctx: context, buffer: true, ...own };
}

/** Errors of new connections on which no answer began. */
const unanswered = new WeakSet<Error>();
/** Consul closes a connection beyond its limit at once; a connection that breaks later has another reason. */
const refusalMs = 500;

/** Whether Consul refuses a connection beyond its limit: with a 429 or, in older versions, by closing it. */
function isRefusal(error: unknown, afterMs: number): boolean {
  if (!(error instanceof ConsulError)) return false;
  const { cause, status, message } = error;
  if (status === 429) return message.endsWith(tooManyConnections);
  if (!(cause instanceof Error) || !unanswered.has(cause) || afterMs >= refusalMs) return false;
  return error.code === "unreachable" && "code" in cause && cause.code === "ECONNRESET";
}

/** Any status is an answer here; what it means depends on the query. */
const takeAnyStatus: Middleware = (request, next) => {
  if (request.res?.complete) next(false, request.res);
  else next(request.err ?? new Error("no whole answer"));
};

/**
 * The client waits only for the end of an answer, so its promise would never settle for one that breaks off;
 * and it keeps whatever comes, however long. Here both end the request.
 */
const guardAnswer: Middleware = (exchange, next) => {
  const { transport } = exchange;
  exchange.transport = {
    request(options) {
      const request = transport.request(options);
      let isAnswered = false;
      request.once("error", (error) => {
        if (!isAnswered && !request.reusedSocket) unanswered.add(error);
      });
      request.once("response", (response) => {
        let bytes = 0;
        isAnswered = true;
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

/** `null` for anything that is no index, or that a number cannot hold exactly. */
function readIndex(header: string | string[] | undefined): number | null {
  if (typeof header !== "string" || !/^\d{1,16}$/.test(header)) return null;
  const index = Number(header);
  return Number.isSafeInteger(index) ? index : null;
}
