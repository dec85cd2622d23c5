/**
 * The admin API of everything that has versions: `/scripts/<host>`, `/modules/<name>`, `/hosts/<host>` and
 * `/upstreams/<name>`, with their tests, history and rollback. A face of `releases/operations/`; errors are JSON that
 * names line and column.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import {
  checkDocument,
  documentSchemas,
  maxDocumentBytes,
  parseJson,
} from "../../documents/index.ts";
import {
  eraseTypes,
  type Operations,
  SourceRefused,
  type Subject,
  type SubjectKind,
  sourceText,
} from "../../releases/index.ts";
import { whoHeader } from "./journal.ts";

/** Deepest first, so that a module may have slashes in its name. */
const actions = ["test", "history", "rollback"] as const;
type Action = (typeof actions)[number] | null;

export function addVersioned(server: FastifyInstance, operations: Operations): void {
  // Whatever a client calls it: a script is text.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) =>
    done(null, body),
  );
  for (const kind of ["scripts", "modules"] as const) {
    server.get(`/${kind}`, async () => ({ [kind]: await operations.list(kind) }));
  }
  for (const kind of ["scripts", "modules", "hosts", "upstreams"] as const) {
    server.route({
      method: ["GET", "PUT", "DELETE", "POST"],
      url: `/${kind}/*`,
      bodyLimit: maxDocumentBytes + 1,
      handler: (request, reply) => answer(kind, operations, request, reply),
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
  operations: Operations,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { "*": rest = "" } = request.params as { readonly "*"?: string };
  const { name: given, action } = split(rest, request.method);
  const subject = operations.subjectOf(kind, given);
  const name = subject.slice(kind.length + 1);
  const by = String(request.headers[whoHeader] ?? `admin API, ${request.ip}`);
  switch (`${request.method} ${action ?? ""}`) {
    case "GET ": {
      const { text, ...shown } = await operations.show(subject);
      return { name, ...shown, source: text };
    }
    case "GET history":
      return { name, versions: await operations.history(subject) };
    case "PUT ":
      return { name, ...(await push(operations, subject, request, by)) };
    case "DELETE ":
      await operations.remove(subject, by);
      return { name, removed: true };
    case "POST test": {
      const { fault, passed } = await operations.test(subject, sourceIn(subject, request));
      if (fault !== null) throw new SourceRefused(fault);
      return { name, tests: passed };
    }
    case "POST rollback":
      return { name, ...(await operations.rollback(subject, versionIn(request), by)) };
    default:
      return reply.callNotFound();
  }
}

async function push(operations: Operations, subject: Subject, request: FastifyRequest, by: string) {
  const tag = request.headers["if-match"];
  const expected = tag === undefined ? {} : { expected: tag.replace(/^"(.*)"$/, "$1") };
  return operations.push(subject, sourceIn(subject, request), { by, ...expected });
}

/** A host has no slash in it; of a module's name the last part may be an action. */
function split(rest: string, method: string): { readonly name: string; readonly action: Action } {
  const slash = rest.lastIndexOf("/");
  const action = actions.find((each) => each === rest.slice(slash + 1)) ?? null;
  const isAction = slash > 0 && action !== null && (action === "history") === (method === "GET");
  return isAction ? { name: rest.slice(0, slash), action } : { name: rest, action: null };
}

function sourceIn(subject: Subject, request: FastifyRequest): string {
  const { body } = request;
  const text = sourceText(subject, body instanceof Uint8Array ? body : new Uint8Array());
  const isTypeScript = /typescript/.test(request.headers["content-type"] ?? "");
  return isTypeScript ? eraseTypes(subject, text) : text;
}

export const wantedVersion = z.strictObject({ version: z.string().optional() });

/** `{"version": "..."}` or nothing. @throws DocumentError for anything else: a guess would go live. */
function versionIn(request: FastifyRequest): string | null {
  const text = request.body instanceof Uint8Array ? Buffer.from(request.body).toString() : "";
  if (text === "") return null;
  return checkDocument("the body", parseJson("the body", text), wantedVersion).version ?? null;
}
