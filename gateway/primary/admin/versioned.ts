/**
 * The admin API of everything that has versions: `/scripts/<host>`, `/modules/<name>`, `/hosts/<host>` and
 * `/upstreams/<name>`, with their tests, history and rollback. A face of `releases/operations/`; errors are JSON that
 * names line and column.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { documentSchemas, maxDocumentBytes } from "../../documents/index.ts";
import {
  type Operations,
  SourceRefused,
  type StoredSource,
  type Subject,
  type SubjectKind,
} from "../../releases/index.ts";
import { type Arrivals, waitQueryOf } from "./arrivals.ts";
import { withConflict } from "./failures.ts";
import { type Journal, summaryOf } from "./journal.ts";
import { callerOf, expectedIn, sourceIn, versionIn } from "./requests.ts";

export interface VersionedOptions {
  readonly operations: Operations;
  readonly arrivals: Arrivals;
  readonly journal: Pick<Journal, "detail">;
}

/** Deepest first, so that a module may have slashes in its name. */
const actions = ["test", "history", "rollback"] as const;
type Action = (typeof actions)[number] | null;

export function addVersioned(server: FastifyInstance, options: VersionedOptions): void {
  const { operations } = options;
  // Whatever a client calls it: a script is text.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) =>
    done(null, body),
  );
  for (const kind of ["scripts", "modules"] as const) {
    server.get(`/${kind}`, async () => ({ [kind]: await operations.list(kind) }));
  }
  for (const kind of ["scripts", "modules", "hosts", "upstreams", "peers"] as const) {
    server.route({
      method: ["GET", "PUT", "DELETE", "POST"],
      url: `/${kind}/*`,
      bodyLimit: maxDocumentBytes + 1,
      handler: (request, reply) => answer(kind, options, request, reply),
    });
  }
}

/** `/schemas/<kind>`: the JSON Schema of a document, for editors. */
export function addSchemas(server: FastifyInstance): void {
  const schemas = new Map(Object.entries(documentSchemas()));
  server.get("/schemas", () => ({ schemas: [...schemas.keys()] }));
  server.get<{ Params: { readonly kind: string } }>("/schemas/:kind", (request, reply) => {
    const schema = schemas.get(request.params.kind);
    if (schema === undefined) return reply.callNotFound();
    return reply.header("content-type", "application/schema+json").send(JSON.stringify(schema));
  });
}

async function answer(
  kind: SubjectKind,
  options: VersionedOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { operations } = options;
  const { "*": rest = "" } = request.params as { readonly "*"?: string };
  const { name: given, action } = split(rest, request.method);
  const subject = operations.subjectOf(kind, given);
  return withConflict(operations, subject, () => act(subject, action, options, request, reply));
}

async function act(
  subject: Subject,
  action: Action,
  { operations, arrivals, journal }: VersionedOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const name = subject.slice(subject.indexOf("/") + 1);
  const by = callerOf(request);
  /**
   * A write of a document is answered when the workers have it; for scripts, the agreement tells when they do.
   */
  const written = (before: StoredSource | null, after: object | null, more: object) => {
    journal.detail(request.raw, { before: before && summaryOf(subject, before.text), after });
    const isScript = /^(?:scripts|modules)\//.test(subject);
    return isScript ? { name, ...more } : arrivals.of(subject, reply, query, { name, ...more });
  };
  const query = waitQueryOf(request.query);
  switch (`${request.method} ${action ?? ""}`) {
    case "GET ": {
      const { text, ...shown } = await operations.show(subject);
      return { name, ...shown, source: text };
    }
    case "GET history":
      return { name, versions: await operations.history(subject) };
    case "PUT ": {
      const text = sourceIn(subject, request);
      const pushed = await operations.push(subject, text, { by, ...expectedIn(request) });
      const { version, isNew, tests, before } = pushed;
      return written(before, summaryOf(subject, text), { version, isNew, tests });
    }
    case "DELETE ": {
      const { expected } = expectedIn(request);
      const removed = await operations.remove(subject, by, expected ?? undefined);
      return written(removed, null, { removed: true });
    }
    case "POST test": {
      const { fault, passed } = await operations.test(subject, sourceIn(subject, request));
      if (fault !== null) throw new SourceRefused(fault);
      return { name, tests: passed };
    }
    case "POST rollback": {
      const pushed = await operations.rollback(subject, versionIn(request), by);
      const { version, isNew, tests, before } = pushed;
      return written(before, { version }, { version, isNew, tests });
    }
    default:
      return reply.callNotFound();
  }
}

/** A host has no slash in it; of a module's name the last part may be an action. */
function split(rest: string, method: string): { readonly name: string; readonly action: Action } {
  const slash = rest.lastIndexOf("/");
  const action = actions.find((each) => each === rest.slice(slash + 1)) ?? null;
  const isAction = slash > 0 && action !== null && (action === "history") === (method === "GET");
  return isAction ? { name: rest.slice(0, slash), action } : { name: rest, action: null };
}
