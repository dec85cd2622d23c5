/**
 * The agent's HTTP server: routes by path and method, errors as plain text, blocking reads with Consul's headers, and a
 * close that leaves nothing open. The endpoints themselves are in other files.
 */
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { limitConnections } from "../../gateway/connection-limit.ts";
import { foreignRequest, type HostList } from "../../gateway/foreign-requests.ts";
import { ApiError } from "./api-error.ts";
import type { BlockingQueries, Query, Wait } from "./blocking.ts";
import { parseDuration } from "./duration.ts";
import type { Journal } from "./state-file.ts";

export interface ApiRequest {
  /** The part of the path after the route's, decoded: a key, a name, an ID; empty for an exact path. */
  readonly rest: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  /** Aborted when the client has hung up. */
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** A value to be sent as JSON, or bytes as they are. */
  readonly body: { readonly json: unknown } | { readonly bytes: Buffer };
}

/** `null`: nobody waits for the answer any more. */
export type Handler = (request: ApiRequest) => Answer | null | Promise<Answer | null>;

export interface Route {
  /** An exact path, or one that ends in `/`, which takes everything below it. */
  readonly path: string;
  readonly methods: Readonly<Partial<Record<"GET" | "PUT" | "DELETE", Handler>>>;
  /** Default 1 MiB. */
  readonly maxBodyBytes?: number;
}

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A 200 with JSON. */
export function json(value: unknown): Answer {
  return { status: 200, headers: {}, body: { json: value } };
}

const noBytes = Buffer.alloc(0);

/** A 200 without a body. */
export const done: Answer = { status: 200, headers: {}, body: { bytes: noBytes } };

export function missing(): Answer {
  return { status: 404, headers: {}, body: { bytes: noBytes } };
}

/** Throws when `rest` is empty, so that the path names no key, name or ID. */
export function need(rest: string, problem: string): string {
  if (rest === "") throw new ApiError(400, problem);
  return rest;
}

/** Answers a read, blocking when the request has an index, with Consul's headers. */
export async function answerQuery<T>(
  queries: BlockingQueries,
  { query: parameters, signal }: ApiRequest,
  query: Query<T>,
  present: (value: T) => Answer,
): Promise<Answer | null> {
  const result = await queries.answer(query, readWait(parameters), signal);
  if (result === null) return null;
  const answer = present(result.value);
  const headers = { ...answer.headers, "X-Consul-Index": String(result.index), ...leaderHeaders };
  return { ...answer, headers };
}

/** An agent of one machine is always its own leader. */
export const leaderHeaders = { "X-Consul-KnownLeader": "true", "X-Consul-LastContact": "0" };

function readWait(parameters: URLSearchParams): Wait {
  const index = parameters.get("index") || "0";
  if (!/^\d{1,20}$/.test(index)) throw new ApiError(400, "Invalid index");
  const waitMs = parseDuration(parameters.get("wait") || "0");
  if (waitMs === null) throw new ApiError(400, "Invalid wait time");
  return { index: Number(index), waitMs };
}

const defaultMaxBodyBytes = 1 << 20;
const unsupported = ["filter", "node-meta"];

export interface ServerOptions {
  readonly routes: readonly Route[];
  readonly datacenter: string;
  /** What `Host` may name besides loopback and the address that the client connected to. */
  readonly hosts: HostList;
  readonly journal: Journal;
  readonly queries: BlockingQueries;
  readonly log: Log;
  readonly limits: AgentLimits;
}

/** The limits of the agent's server. Times in milliseconds. */
export interface AgentLimits {
  /** Connections at once, including those of blocking queries. A further connection replaces a silent one. */
  readonly maxConnections: number;
  /** From the start of a connection, or of its next request, to the end of the head. */
  readonly headTimeoutMs: number;
  /** The same to the end of the body. The query itself decides how long an answer may take. */
  readonly requestTimeoutMs: number;
}

export const defaultAgentLimits: AgentLimits = {
  maxConnections: 1_024,
  headTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
};

/** How often the server looks for requests that are late. */
const checkMs = 500;

/** The server, not yet listening. `closeServer` ends it. */
export function createServer(options: ServerOptions): FastifyInstance {
  const app = fastify({
    // Closing cuts only idle connections; a waiting query gets its answer first.
    forceCloseConnections: "idle",
    exposeHeadRoutes: false,
    requestTimeout: options.limits.requestTimeoutMs,
    http: {
      headersTimeout: options.limits.headTimeoutMs,
      requestTimeout: options.limits.requestTimeoutMs,
      connectionsCheckingInterval: checkMs,
    },
    routerOptions: { maxParamLength: 1 << 16 },
    frameworkErrors: (error, _request, reply) => {
      reply.hijack();
      reply.raw.writeHead(400, { "Content-Type": plainText }).end(error.message);
    },
  });
  limitConnections(app.server, options.limits.maxConnections);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, request, reply) => sendError(options.log, error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0] ?? "";
    if (path === "/") reply.type(plainText).send("Consul Agent");
    else reply.code(404).type(plainText).send(`The embedded agent has no endpoint ${path}`);
  });
  app.addHook("onRequest", async (request, reply) => {
    const foreign = foreignRequest(request.raw, options.hosts);
    if (foreign === null) return;
    // A refused request may have a body, which nobody will read.
    const advice = foreign.error === "foreign_host" ? "; --hosts adds names" : "";
    reply.code(403).header("Connection", "close").type(plainText);
    await reply.send(foreign.message + advice);
  });
  app.addHook("onRequest", async (request, reply) => {
    const target = cleanTarget(request.url);
    if (target !== request.url) reply.code(301).header("Location", target).send();
  });
  let closing = false;
  app.addHook("preClose", async () => {
    closing = true;
    options.queries.close();
  });
  app.addHook("onSend", async (_request, reply) => {
    if (closing) reply.header("Connection", "close");
  });
  for (const route of options.routes) addRoute(app, route, options);
  return app;
}

const closeDeadlineMs = 2000;

/** Answers the waiting queries and ends every connection. A client that does not take its answer is cut off. */
export async function closeServer(app: FastifyInstance): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), closeDeadlineMs);
  try {
    await app.close();
  } finally {
    clearTimeout(cut);
  }
}

function addRoute(app: FastifyInstance, route: Route, options: ServerOptions): void {
  const allowed = ["OPTIONS", ...Object.keys(route.methods)].join(",");
  app.route({
    method: ["GET", "PUT", "DELETE", "POST", "PATCH", "HEAD", "OPTIONS"],
    url: route.path.endsWith("/") ? `${route.path}*` : route.path,
    bodyLimit: route.maxBodyBytes ?? defaultMaxBodyBytes,
    handler: async (request, reply) => {
      reply.header("Vary", "Accept-Encoding");
      const { method } = request;
      const handler =
        method === "GET" || method === "PUT" || method === "DELETE"
          ? route.methods[method]
          : undefined;
      if (handler === undefined) {
        reply.header("Allow", allowed);
        if (method === "OPTIONS") return reply.send();
        return reply.code(405).type(plainText).send(`method ${method} not allowed`);
      }
      const [path = "", search = ""] = splitTarget(request.url);
      const query = new URLSearchParams(search);
      refuseScope(query, request.headers);
      checkParameters(query, options.datacenter);
      const answer = await handler({
        rest: decodeURIComponent(path.slice(route.path.length)),
        query,
        body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
        signal: hangUpOf(reply),
      });
      // A write is answered only when it is safe on disk.
      if (method !== "GET") await options.journal.flushed();
      if (answer === null) return reply.hijack();
      return send(reply, answer, query.has("pretty"));
    },
  });
}

const plainText = "text/plain; charset=utf-8";

function send(reply: FastifyReply, { status, headers, body }: Answer, pretty: boolean) {
  reply.code(status).headers(headers);
  if ("json" in body) {
    const text = JSON.stringify(body.json, null, pretty ? 4 : 0);
    // As bytes: fastify adds a charset to a text, and Consul sends none.
    return reply.type("application/json").send(Buffer.from(pretty ? `${text}\n` : text));
  }
  return body.bytes.length === 0 ? reply.send() : reply.send(body.bytes);
}

function sendError(log: Log, error: unknown, request: FastifyRequest, reply: FastifyReply) {
  reply.type(plainText);
  if (error instanceof ApiError) return reply.code(error.status).send(error.message);
  if (error instanceof Error && "code" in error && error.code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    const limit = request.routeOptions.bodyLimit;
    return reply.code(413).send(`Request body too large, max size: ${limit} bytes.`);
  }
  log.error({ err: error, method: request.method, path: request.url }, "a request failed");
  return reply.code(500).send("internal error");
}

/** As Consul's community edition refuses what it does not have. */
function refuseScope(query: URLSearchParams, headers: FastifyRequest["headers"]): void {
  const has = (parameter: string, header: string) =>
    query.has(parameter) || headers[header] !== undefined;
  if (has("ns", "x-consul-namespace"))
    throw new ApiError(
      400,
      'Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature',
    );
  if (has("partition", "x-consul-partition"))
    throw new ApiError(
      400,
      'Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature',
    );
}

function checkParameters(query: URLSearchParams, datacenter: string): void {
  if (query.has("stale") && query.has("consistent")) {
    throw new ApiError(400, "Cannot specify ?stale with ?consistent, conflicting semantics.");
  }
  if ((query.get("dc") || datacenter) !== datacenter) {
    throw new ApiError(500, "No path to datacenter");
  }
  const refused = unsupported.find((name) => query.has(name));
  if (refused !== undefined) {
    throw new ApiError(400, `The embedded agent does not support ?${refused}`);
  }
}

function hangUpOf(reply: FastifyReply): AbortSignal {
  const hangUp = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) hangUp.abort();
  });
  return hangUp.signal;
}

function splitTarget(target: string): [path: string, search: string] {
  const at = target.indexOf("?");
  return at < 0 ? [target, ""] : [target.slice(0, at), target.slice(at + 1)];
}

/** Without empty, `.` and `..` segments, as Go's router redirects to. */
function cleanTarget(target: string): string {
  const [path, search] = splitTarget(target);
  if (!/\/(\/|\.{1,2}(\/|$))/.test(path)) return target;
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  const slash = path.endsWith("/") && segments.length > 0 ? "/" : "";
  return `/${segments.join("/")}${slash}${search === "" ? "" : `?${search}`}`;
}
