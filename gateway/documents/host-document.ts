/** A host document, `hosts/<host>`: which paths of a host go to which upstream. */
import * as z from "zod";
import { pluginUse, pluginUseSchema } from "../../plugins/schemas.ts";
import {
  hasBadEscape,
  hasEncodedSlash,
  normalisePath,
  normalisePrefix,
} from "../engine/message/path.ts";
import { isTrailerName } from "../engine/message/trailer.ts";
import {
  type HostDocument,
  type IgnoredField,
  type PathRule,
  type PluginUse,
  parseServiceName,
  type RouteOutcome,
  type RouteTest,
  type Share,
} from "../model/index.ts";
import { checkDocument, listProblems, parseJson } from "./document.ts";
import { DocumentError } from "./document-error.ts";
import { isUpstreamName } from "./entry-name.ts";

const upstream = z
  .string()
  .max(253)
  .refine((name) => isUpstreamName(name) || parseServiceName(name) !== null, {
    error: (issue) => `${JSON.stringify(issue.input)} is not the name of an upstream or a service`,
  })
  .describe("The name of an upstream document or, when there is none, a Consul service.");

const pathPlugins = z
  .array(pluginUseSchema)
  .max(50)
  .optional()
  .describe("Plugins of this path, in order; they run after those of the host.");

const target = z.union(
  [
    upstream,
    z.strictObject({ upstream, plugins: pathPlugins }),
    z.strictObject({
      split: z
        .record(upstream, z.int().min(0).max(1000))
        .describe("Upstreams and their shares of the requests, in proportion."),
      plugins: pathPlugins,
    }),
  ],
  { error: 'is not an upstream\'s name, {"upstream": ...} or {"split": {...}}' },
);

/** Where the host's script runs among the plugins. */
const scriptPlace = "script";

const hostPlugins = z
  .array(
    z.union([z.literal(scriptPlace), pluginUseSchema], {
      error: `is not "${scriptPlace}" or a plugin with its options, such as {"compress": {}}`,
    }),
  )
  .max(50)
  .refine((list) => list.filter((use) => use === scriptPlace).length < 2, {
    error: `has "${scriptPlace}" twice`,
  })
  .optional()
  .describe(
    'Plugins of all paths, in order. "script" among them says where the host\'s script runs; otherwise it runs before them.',
  );

const trailerName = z
  .string()
  .max(256)
  .refine(isTrailerName, {
    error: (issue) =>
      `${JSON.stringify(issue.input)} is not a name in lower case that a trailer may have: not of the gateway's own fields, nor of those that decide on framing, routing or rights`,
  })
  .describe("A field's name.");

const method = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/;
/** A path with or without a query: a slash and then printable ASCII (RFC 9112 section 3.2). */
const requestTarget = /^\/[\x21-\x7e]{0,8191}$/;

const requestLine = z
  .string()
  .refine(isRequestLine, {
    error: (issue) =>
      `${JSON.stringify(issue.input)} is not a method, a space and a path, such as "GET /api"`,
  })
  .describe('A method and a path: "GET /api/x".');

const test = z.strictObject({
  name: z.string().min(1).max(200).optional().describe("What it is called when it fails."),
  request: z.union(
    [
      requestLine,
      z.strictObject({
        method: z.string().regex(method, { error: "is not a method" }).default("GET"),
        path: z.string().regex(requestTarget, { error: "is not a path" }),
        headers: z
          .record(z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/), z.string().max(8_192))
          .optional(),
      }),
    ],
    { error: 'is not "GET /path" or {"method": ..., "path": ...}' },
  ),
  expect: z.union(
    [
      z.strictObject({ upstream }).describe("All such requests go there."),
      z.strictObject({ split: z.record(upstream, z.int().min(1).max(1000)) }),
      z.strictObject({
        status: z.int().min(400).max(599).describe("They are refused with this status."),
        code: z.string().max(64).optional().describe('And this error: "no_route".'),
      }),
    ],
    { error: 'is not {"upstream": ...}, {"split": {...}} or {"status": ...}' },
  ),
});

function isRequestLine(text: string): boolean {
  const [first = "", second = "", ...more] = text.split(" ");
  return method.test(first) && requestTarget.test(second) && more.length === 0;
}

/** What the JSON of a host document looks like; the published JSON Schema is made from it. */
export const hostSchema = z
  .strictObject({
    enable: z.boolean().default(true).describe("False: as if the document were not there."),
    encoded_slashes: z
      .enum(["refuse", "pass"])
      .optional()
      .describe(
        "Paths with %2F, %5C or a backslash. Default: refused where a path rule or a script's match decides.",
      ),
    paths: z
      .record(z.string(), target)
      .describe("Path prefixes, of whole segments, and where each goes. The longest wins."),
    plugins: hostPlugins,
    trailers: z
      .array(trailerName)
      .max(100)
      .optional()
      .describe("Trailer fields of requests that are passed on, in lower case. Default: none."),
    tests: z
      .array(test)
      .max(200)
      .optional()
      .describe("Requests and where this document must send them. Run before it goes live."),
  })
  .describe("Which paths of a host go to which upstream.");

/**
 * Reads the text of `hosts/<host>`; `key` is the whole key and is named in errors. Throws a
 * `DocumentError`.
 */
export function parseHostDocument(key: string, text: string): HostDocument {
  const document = checkDocument(key, parseJson(key, text), hostSchema);
  const rules = new Map<string, PathRule>();
  const problems: string[] = [];
  for (const [path, to] of Object.entries(document.paths)) {
    const field = `paths[${JSON.stringify(path)}]`;
    const prefix = normalisePrefix(path) || "/";
    const problem =
      findPathProblem(path, document.encoded_slashes === "pass") ??
      (rules.has(prefix) ? "the same prefix is there twice" : null);
    if (problem !== null) problems.push(`${field}: ${problem}`);
    const shares = readShares(to);
    if (!shares.some((share) => share.weight > 0))
      problems.push(`${field}.split: ${shares.length === 0 ? "is empty" : "every share is 0"}`);
    const plugins = readPlugins(typeof to === "string" ? undefined : to.plugins);
    rules.set(prefix, { prefix, shares, ...(plugins.length === 0 ? {} : { plugins }) });
  }
  if (rules.size === 0) problems.push("paths: is empty");
  if (problems.length > 0) throw new DocumentError("bad_document", key, listProblems(problems));
  const paths = [...rules.values()].sort(
    (a, b) => b.prefix.length - a.prefix.length || (a.prefix < b.prefix ? -1 : 1),
  );
  const { enable, trailers, encoded_slashes: encodedSlashes, tests = [] } = document;
  const ignored = tests.flatMap(ignoredIn);
  const plugins = document.plugins ?? [];
  const place = plugins.indexOf(scriptPlace);
  return {
    enable,
    paths,
    ...(trailers === undefined ? {} : { trailers }),
    ...(encodedSlashes === undefined ? {} : { encodedSlashes }),
    ...(place <= 0 ? {} : { pluginsBefore: readPlugins(plugins.slice(0, place)) }),
    ...(place === plugins.length - 1 ? {} : { plugins: readPlugins(plugins.slice(place + 1)) }),
    ...(tests.length === 0 ? {} : { tests: tests.map(readTest) }),
    ...(ignored.length === 0 ? {} : { ignored }),
  };
}

function readTest({ name, request, expect }: z.output<typeof test>, index: number): RouteTest {
  const line = typeof request === "string" ? request : `${request.method} ${request.path}`;
  const target = line.slice(line.indexOf(" ") + 1);
  return { name: `tests[${index}] (${name ?? line})`, target, expect: readOutcome(expect) };
}

function readOutcome(expect: z.output<typeof test>["expect"]): RouteOutcome {
  if (!("status" in expect)) return expect;
  const { status, code } = expect;
  return code === undefined ? { status } : { status, code };
}

/** No rule of a host document looks at a header yet. */
function ignoredIn({ request }: z.output<typeof test>, index: number): readonly IgnoredField[] {
  if (typeof request === "string" || request.headers === undefined) return [];
  const why = "has no effect: no rule of this document looks at headers";
  return [{ field: `tests[${index}].request.headers`, why }];
}

function readPlugins(
  uses: readonly (z.output<typeof pluginUseSchema> | typeof scriptPlace)[] = [],
): readonly PluginUse[] {
  return uses.filter((use) => use !== scriptPlace).map(pluginUse);
}

function readShares(to: z.output<typeof target>): readonly Share[] {
  if (typeof to === "string") return [{ upstream: to, weight: 1 }];
  if ("upstream" in to) return [{ upstream: to.upstream, weight: 1 }];
  return Object.entries(to.split).map(([name, weight]) => ({ upstream: name, weight }));
}

/** What keeps `path` from being a prefix that a request's path can start with. */
function findPathProblem(path: string, passesEncodedSlashes: boolean): string | null {
  if (!path.startsWith("/")) return "does not start with /";
  if (/[?#]/.test(path)) return "has a ? or #; a prefix is a path alone";
  // A request's path is printable ASCII (RFC 9112 section 3.2): anything else would never match.
  if (/[^\x21-\x7e]/.test(path)) return "has a character that must be percent-encoded";
  if (path.split("/").some((segment) => /^(\.|%2e){1,2}$/i.test(segment)))
    return 'has a "." or ".." segment';
  if (hasBadEscape(path)) return "has a malformed percent-escape, or %00";
  if (!passesEncodedSlashes && hasEncodedSlash(normalisePath(path)))
    return 'no path has an encoded slash or a backslash unless encoded_slashes is "pass"';
  return null;
}
