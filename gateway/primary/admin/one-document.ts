/**
 * The admin API of one document in Slardar's words: `/upstream/<name>` and, likewise, `/host/<name>`. The body of a
 * request and the answer to a read are the document itself; a write is answered `{"status":200}` when every worker of
 * this gateway has it. A face of `releases/operations/`, as `versioned.ts` is.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { maxDocumentBytes } from "../../documents/index.ts";
import {
  type Operations,
  SourceMissing,
  SourceRefused,
  type Subject,
} from "../../releases/index.ts";
import type { LocalChanges } from "../local-changes.ts";
import { type Arrivals, type WriteQuery, writeQueryOf } from "./arrivals.ts";
import { type Failure, failureOf, withConflict } from "./failures.ts";
import { type Journal, summaryOf } from "./journal.ts";
import { answerPeer, type PeerRoutesOptions } from "./peers.ts";
import { callerOf, expectedIn, sourceIn, versionIn } from "./requests.ts";

export interface OneDocumentOptions {
  readonly operations: Operations;
  readonly arrivals: Arrivals;
  readonly local: Pick<LocalChanges, "put" | "takeBack" | "find" | "holding">;
  readonly journal: Pick<Journal, "detail">;
  readonly peers: PeerRoutesOptions["peers"];
  readonly knownPeers: PeerRoutesOptions["knownPeers"];
}

/** What a handler is about. */
interface Asked {
  readonly subject: Subject;
  readonly name: string;
  readonly query: WriteQuery;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

type Handler = (options: OneDocumentOptions, asked: Asked) => Promise<unknown>;

const words = { upstream: "upstreams", host: "hosts" } as const;
type Word = keyof typeof words;

export function addOneDocument(server: FastifyInstance, options: OneDocumentOptions): void {
  for (const word of ["upstream", "host"] as const) {
    server.route({
      method: ["GET", "PUT", "POST", "DELETE"],
      url: `/${word}/*`,
      bodyLimit: maxDocumentBytes + 1,
      handler: async (request, reply) => {
        try {
          return await answer(word, options, request, reply);
        } catch (error) {
          const answered = inSlardarsWords(word, request, failureOf(error));
          return reply.code(answered.status).send(answered);
        }
      },
    });
  }
}

const handlers: Readonly<Record<string, Handler>> = {
  "GET ": show,
  "PUT ": write,
  "POST ": post,
  "DELETE ": remove,
  "GET history": async ({ operations }, { subject, name }) => ({
    name,
    versions: await operations.history(subject),
  }),
  "POST test": async ({ operations }, { subject, request }) => {
    const { fault, passed } = await operations.test(subject, sourceIn(subject, request));
    if (fault !== null) throw new SourceRefused(fault);
    return { status: 200, tests: passed };
  },
  "POST rollback": rollback,
};

async function answer(
  word: Word,
  options: OneDocumentOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const parts = restOf(request).split("/");
  const ofPeer = word === "upstream" ? answerPeer(parts, options, request, reply) : null;
  if (ofPeer !== null) return ofPeer;
  const [name = "", action = "", ...more] = parts;
  const handler = handlers[`${request.method} ${action}`];
  if (handler === undefined || more.length > 0) return reply.callNotFound();
  const query = writeQueryOf(request.query);
  const subject = options.operations.subjectOf(words[word], name);
  return withConflict(options.operations, subject, () =>
    handler(options, { subject, name, query, request, reply }),
  );
}

async function show(
  { operations, local }: OneDocumentOptions,
  { subject, query, reply }: Asked,
): Promise<unknown> {
  const here = local.find(subject);
  if (query.scope === "local" && here === null)
    throw new SourceMissing(`${subject} has no local change`);
  const { text, version } =
    query.scope === "local" && here !== null ? here : await operations.show(subject);
  return reply.type("application/json; charset=utf-8").header("etag", `"${version}"`).send(text);
}

function write(options: OneDocumentOptions, asked: Asked): Promise<unknown> {
  const { subject, request } = asked;
  return put(options, asked, sourceIn(subject, request), expectedIn(request));
}

/** As in Slardar: a body with `servers` replaces the servers, and whatever else the document says stays. */
async function post(options: OneDocumentOptions, asked: Asked): Promise<unknown> {
  const { subject, request, query } = asked;
  const text = sourceIn(subject, request);
  const given = parsed(text);
  if (!subject.startsWith("upstreams/") || given?.servers === undefined)
    return put(options, asked, text, expectedIn(request));
  const isLocal = query.scope === "local";
  const before = isLocal
    ? options.local.holding(subject)
    : await found(options.operations, subject);
  const { cluster: _, service: __, ...kept } = (before === null ? null : parsed(before.text)) ?? {};
  const isAlone = Object.keys(kept).every((field) => Object.hasOwn(given, field));
  const merged = isAlone ? text : JSON.stringify({ ...kept, ...given });
  const expected = { expected: before?.version ?? null, ...expectedIn(request) };
  return put(options, asked, merged, isLocal ? {} : expected);
}

async function put(
  { operations, arrivals, local, journal }: OneDocumentOptions,
  { subject, query, request, reply }: Asked,
  text: string,
  expected: { readonly expected?: string | null },
): Promise<unknown> {
  const by = callerOf(request);
  const after = summaryOf(subject, text);
  if (query.scope === "local") {
    const before = local.find(subject);
    const { version } = await local.put(subject, text, by);
    journal.detail(request.raw, {
      scope: "local",
      before: before && summaryOf(subject, before.text),
      after,
    });
    return arrivals.here(reply.header("etag", `"${version}"`), query);
  }
  const { version, before } = await operations.push(subject, text, { by, ...expected });
  journal.detail(request.raw, { before: before && summaryOf(subject, before.text), after });
  return arrivals.of(subject, reply.header("etag", `"${version}"`), query);
}

async function remove(
  { operations, arrivals, local, journal }: OneDocumentOptions,
  { subject, query, request, reply }: Asked,
): Promise<unknown> {
  if (query.scope === "local") {
    const before = local.find(subject);
    if (before === null) throw new SourceMissing(`${subject} has no local change`);
    local.takeBack(subject);
    journal.detail(request.raw, {
      scope: "local",
      before: summaryOf(subject, before.text),
      after: null,
    });
    return arrivals.here(reply, query);
  }
  const { expected } = expectedIn(request);
  const removed = await operations.remove(subject, callerOf(request), expected ?? undefined);
  journal.detail(request.raw, { before: summaryOf(subject, removed.text), after: null });
  return arrivals.of(subject, reply, query);
}

async function rollback(
  { operations, arrivals, journal }: OneDocumentOptions,
  { subject, query, request, reply }: Asked,
): Promise<unknown> {
  const { version, before } = await operations.rollback(
    subject,
    versionIn(request),
    callerOf(request),
  );
  journal.detail(request.raw, {
    before: before && summaryOf(subject, before.text),
    after: { version },
  });
  return arrivals.of(subject, reply.header("etag", `"${version}"`), query);
}

function restOf(request: FastifyRequest): string {
  const { "*": rest = "" } = request.params as { readonly "*"?: string };
  return rest;
}

/** What Consul has; `null`: nothing. */
async function found(operations: Operations, subject: Subject) {
  try {
    return await operations.show(subject);
  } catch (error) {
    if (error instanceof SourceMissing) return null;
    throw error;
  }
}

/** An object in JSON; `null` for anything else, which the document's check then refuses with its place. */
function parsed(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? { ...value } : null;
  } catch {
    return null;
  }
}

/** Slardar has `msg`, and answers 400 to a write that it does not take, whatever the reason. */
function inSlardarsWords(word: Word, request: FastifyRequest, failed: Failure): Failure {
  const rest = restOf(request);
  const isSlardars = word === "upstream" && request.method !== "GET" && !rest.includes("/");
  if (!isSlardars) return failed;
  const msg = failed.error === "not_found" ? `upstream ${rest} not found` : failed.message;
  const isTheirs = failed.status === 404 || failed.status === 422;
  return { ...failed, status: isTheirs ? 400 : failed.status, ...{ msg } };
}
