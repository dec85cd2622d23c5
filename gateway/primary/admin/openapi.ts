/**
 * `GET /openapi.json`: the admin API as OpenAPI 3.1, for clients and their generators. What a query or a body may
 * have comes from the schemas that check it.
 */
import type { FastifyInstance } from "fastify";
import * as z from "zod";
import { documentSchemas } from "../../documents/index.ts";
import { readVersion } from "../../version.ts";
import { waitQuery, writeQuery } from "./arrivals.ts";
import { explainQuery } from "./explain.ts";
import { whoHeader } from "./journal.ts";
import { wantedWeight } from "./peers.ts";
import { wantedVersion } from "./requests.ts";
import { viewQuery } from "./views.ts";

interface Operation {
  readonly method: "get" | "put" | "post" | "delete";
  readonly path: string;
  readonly summary: string;
  /** Why it may be answered otherwise than with 200, beside what every request may be refused for. */
  readonly failures?: Readonly<Record<number, string>>;
  readonly query?: z.ZodObject;
  /** Media type and schema. */
  readonly body?: Readonly<Record<string, object>>;
  /** Default `application/json`. */
  readonly answers?: readonly string[];
  /** Everybody may ask, wherever the API listens. */
  readonly isProbe?: true;
}

const text = { type: "string" };
const notFound = "there is nothing of this name";
const conflict = "somebody else wrote meanwhile";
const consulFailed = "Consul does not answer, or refuses";
const notEverywhere = "it is written; `behind` names the workers that do not have it yet";

const fixed: readonly Operation[] = [
  get("/status", "Versions, workers, scripts, what is refused and what is held"),
  {
    ...get("/fleet", "All gateways at this Consul, what each has applied, and who is behind"),
    failures: { 502: consulFailed },
  },
  { ...get("/healthz", "Whether the process answers"), isProbe: true },
  {
    ...get("/readyz", "Whether requests are served"),
    isProbe: true,
    failures: { 503: "not yet; `message` says why" },
  },
  {
    ...get("/metrics", "Metrics for Prometheus; OpenMetrics for who accepts it"),
    answers: ["text/plain", "application/openmetrics-text"],
  },
  {
    ...get("/upstreams", "Upstreams with each peer's state in each worker"),
    query: viewQuery,
    failures: { 404: notFound },
  },
  {
    ...get("/hosts", "Hosts with their rules, their script and how their requests ended"),
    query: viewQuery,
    failures: { 404: notFound },
  },
  { ...get("/explain", "What would become of a request"), query: explainQuery },
  get("/scripts", "The scripts in Consul"),
  get("/modules", "The modules in Consul"),
  get("/schemas", "The kinds of document that have a JSON Schema"),
  {
    ...get("/schemas/{kind}", "The JSON Schema of a kind of document"),
    answers: ["application/schema+json"],
    failures: { 404: notFound },
  },
  get("/openapi.json", "This description"),
  { method: "post", path: "/resync", summary: "Lets go of what Consul no longer has" },
];

/** What is done by hand with one peer of an upstream. */
function ofPeers(): readonly Operation[] {
  const path = "/upstream/{name}/peer/{address}";
  const failures = { 202: notEverywhere, 404: notFound, 409: conflict, 502: consulFailed };
  const one = { method: "post", failures, query: waitQuery } as const;
  return [
    {
      ...one,
      path: `${path}/drain`,
      summary: "Lets a peer finish what it has, and get nothing new",
    },
    { ...one, path: `${path}/enable`, summary: "Takes that back" },
    {
      ...one,
      path: `${path}/weight`,
      summary: "Gives a peer another weight than its own, or its own again",
      body: { "application/json": jsonSchema(wantedWeight) },
    },
  ];
}

/** What may be done with everything that has versions. */
function versioned(kind: string, one: string, body: Operation["body"]): readonly Operation[] {
  const path = `/${kind}/{name}`;
  const refused = `the ${one} is faulty, or its tests fail; \`message\` says where`;
  const reads = { 404: notFound, 502: consulFailed };
  const writes = { 409: conflict, 422: refused, 502: consulFailed };
  const given = body === undefined ? {} : { body };
  return [
    { ...get(path, `A ${one}, as it is in Consul`), failures: reads },
    { method: "put", path, summary: `Writes a ${one} that passes`, failures: writes, ...given },
    {
      method: "delete",
      path,
      summary: `Removes a ${one}`,
      failures: { 404: notFound, 409: conflict, 502: consulFailed },
    },
    {
      method: "post",
      path: `${path}/test`,
      summary: `Tests a ${one}, and writes nothing`,
      failures: { 422: refused, 502: consulFailed },
      ...given,
    },
    { ...get(`${path}/history`, `The last versions of a ${one}`), failures: reads },
    {
      method: "post",
      path: `${path}/rollback`,
      summary: `Puts the last good version of a ${one} back, or the one that is named`,
      failures: { 404: notFound, ...writes },
      body: { "application/json": jsonSchema(wantedVersion) },
    },
  ];
}

/** One document in Slardar's words. */
function oneDocument(word: string, one: string, schema: object): readonly Operation[] {
  const path = `/${word}/{name}`;
  const body = { "application/json": schema };
  const refused = `the ${one} is faulty; \`message\` says where`;
  const isSlardars = word === "upstream";
  const writes = {
    202: notEverywhere,
    ...(isSlardars ? {} : { 404: notFound, 422: refused }),
    ...{ 409: `${conflict}; \`current\` is what is there`, 502: consulFailed },
  };
  const changes = { failures: writes, query: writeQuery };
  const reads = { 404: notFound, 502: consulFailed };
  return [
    { ...get(path, `A ${one} as it is in Consul`), failures: reads, query: writeQuery },
    { method: "put", path, summary: `Writes a ${one}`, body, ...changes },
    {
      method: "post",
      path,
      summary: isSlardars ? "The same; beside `servers` old fields stay" : "The same",
      body,
      ...changes,
    },
    { method: "delete", path, summary: `Removes a ${one}`, ...changes },
    { ...get(`${path}/history`, `The last versions of a ${one}`), failures: reads },
    {
      method: "post",
      path: `${path}/test`,
      summary: `Tests a ${one}, and writes nothing`,
      failures: { 422: refused, 502: consulFailed },
      body,
    },
    {
      method: "post",
      path: `${path}/rollback`,
      summary: `Puts the last good version of a ${one} back, or the one that is named`,
      failures: { ...writes, 404: notFound, 422: refused },
      query: waitQuery,
      body: { "application/json": jsonSchema(wantedVersion) },
    },
  ];
}

function get(path: string, summary: string): Operation {
  return { method: "get", path, summary };
}

/** The description, made once. */
export function openApi(): object {
  const documents = documentSchemas();
  const source = { "text/javascript": text, "application/typescript": text };
  const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
  const operations = [
    ...fixed,
    ...versioned("scripts", "script", source),
    ...versioned("modules", "module", source),
    ...oneDocument("upstream", "upstream document", ref("UpstreamDocument")),
    ...ofPeers(),
    ...oneDocument("host", "host document", ref("HostDocument")),
    ...versioned("hosts", "host document", { "application/json": ref("HostDocument") }),
    ...versioned("upstreams", "upstream document", { "application/json": ref("UpstreamDocument") }),
    ...versioned("peers", "list of peers' settings", { "application/json": ref("PeerSettings") }),
  ];
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operations) {
    const methods = paths[operation.path] ?? {};
    paths[operation.path] = methods;
    methods[operation.method] = describe(operation);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Sluice, the admin API",
      version: readVersion().version,
      description: "docs/admin-api.md tells who may do what.",
    },
    paths,
    components: {
      schemas: {
        Failure: {
          type: "object",
          required: ["status", "error", "message"],
          properties: { status: { type: "integer" }, error: text, message: text },
        },
        HostDocument: withoutDialect(documents.host),
        UpstreamDocument: withoutDialect(documents.upstream),
        PeerSettings: withoutDialect(documents.peers),
      },
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
    },
  };
}

export function addOpenApi(server: FastifyInstance): void {
  let made: string | null = null;
  server.get("/openapi.json", (_request, reply) => {
    made ??= JSON.stringify(openApi());
    return reply.header("content-type", "application/json; charset=utf-8").send(made);
  });
}

function describe(operation: Operation): object {
  const { method, path, summary, failures = {}, query, body, answers, isProbe } = operation;
  const isRead = method === "get";
  const types = answers ?? ["application/json"];
  const refusals = isProbe ? {} : { 400: "the request is faulty", 401: "it needs the token" };
  const all: Readonly<Record<string, string>> = { ...refusals, 403: "it is foreign", ...failures };
  const failed = { "application/json": { schema: { $ref: "#/components/schemas/Failure" } } };
  return {
    operationId: `${method}${path.replaceAll(/[/{.](\w)/g, (_, first: string) => first.toUpperCase()).replaceAll("}", "")}`,
    summary,
    // On loopback reads are open.
    security: isProbe ? [] : [{ token: [] }, ...(isRead ? [{}] : [])],
    parameters: [
      ...Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => ({
        name,
        in: "path",
        required: true,
        schema: text,
      })),
      ...(query === undefined ? [] : queryParameters(query)),
      ...(isRead ? [] : [{ name: whoHeader, in: "header", schema: text }]),
    ],
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: !path.endsWith("/rollback"),
            content: mapped(body, (schema) => ({ schema })),
          },
        }),
    responses: {
      200: {
        description: "done",
        content: Object.fromEntries(types.map((type) => [type, {}])),
      },
      ...mapped(all, (description) => ({ description, content: failed })),
    },
  };
}

function queryParameters(query: z.ZodObject): readonly object[] {
  const { properties = {}, required = [] } = z.toJSONSchema(query, { io: "input" });
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
}

function jsonSchema(schema: z.ZodType): object {
  return withoutDialect(z.toJSONSchema(schema, { io: "input" }));
}

/** OpenAPI 3.1 has this dialect anyway. */
function withoutDialect(schema: object): object {
  const { $schema: _, ...rest } = schema as { readonly $schema?: string };
  return rest;
}

function mapped<From, To>(
  record: Readonly<Record<string, From>>,
  change: (value: From) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
