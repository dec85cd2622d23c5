/** What the routes of documents read out of a request. */
import type { FastifyRequest } from "fastify";
import * as z from "zod";
import { checkDocument, parseJson } from "../../documents/index.ts";
import { eraseTypes, type Subject, sourceText } from "../../releases/index.ts";
import { subjectOf, whoHeader } from "./journal.ts";

/** Who writes, for histories: whom its certificate names, what the caller says, or where it calls from. */
export function callerOf(request: FastifyRequest): string {
  const says = String(request.headers[whoHeader] ?? "");
  const certificate = subjectOf(request.raw.socket);
  if (certificate === null) return says === "" ? `admin API, ${request.ip}` : says;
  return says === "" ? certificate : `${says} (${certificate})`;
}

/** The text of a body, whatever its content type says, but for TypeScript. @throws SourceRefused */
export function sourceIn(subject: Subject, request: FastifyRequest): string {
  const { body } = request;
  const text = sourceText(subject, body instanceof Uint8Array ? body : new Uint8Array());
  const isTypeScript = /typescript/.test(request.headers["content-type"] ?? "");
  return isTypeScript ? eraseTypes(subject, text) : text;
}

/** The version that must be there (`If-Match`), `null` for none (`If-None-Match: *`); nothing: whichever is there. */
export function expectedIn({ headers }: FastifyRequest): { readonly expected?: string | null } {
  const tag = headers["if-match"];
  if (tag !== undefined) return { expected: tag.replace(/^"(.*)"$/, "$1") };
  return headers["if-none-match"] === "*" ? { expected: null } : {};
}

export const wantedVersion = z.strictObject({ version: z.string().optional() });

/** `{"version": "..."}` or nothing. @throws DocumentError for anything else: a guess would go live. */
export function versionIn(request: FastifyRequest): string | null {
  return jsonIn(request, wantedVersion)?.version ?? null;
}

/** The JSON of a body; `null`: there is none. @throws DocumentError */
export function jsonIn<Schema extends z.ZodType>(
  request: FastifyRequest,
  schema: Schema,
): z.output<Schema> | null {
  const text = request.body instanceof Uint8Array ? Buffer.from(request.body).toString() : "";
  return text === "" ? null : checkDocument("the body", parseJson("the body", text), schema);
}
