/** A host document, `hosts/<host>`: which requests of a host go to which upstream. */
import * as z from "zod";
import { pluginUse, pluginUseSchema } from "../../plugins/schemas.ts";
import { normalisePrefix } from "../engine/message/path.ts";
import { isTrailerName } from "../engine/message/trailer.ts";
import {
  type Destination,
  destinationsOf,
  entryName,
  type HostDocument,
  type HstsRule,
  type IgnoredField,
  type PathRule,
  type PluginUse,
  type RouteRule,
} from "../model/index.ts";
import { destinationSchema, type Reading, readDestination } from "./destination.ts";
import { checkDocument, listProblems, parseJson } from "./document.ts";
import { DocumentError } from "./document-error.ts";
import { orderFault } from "./order-name.ts";
import { findPathProblem } from "./path-problem.ts";
import { mostCronTimes } from "./ramp.ts";
import { readTest, testsSchema } from "./route-tests.ts";
import { readRoutes, routesSchema } from "./routes.ts";

/** Marks the place of the host's script among the plugins. */
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

/** The JSON of a host document; the published JSON Schema is made from it. */
export const hostSchema = z
  .strictObject({
    enable: z
      .boolean()
      .default(true)
      .describe("False: the host answers as if the document were not there."),
    encoded_slashes: z
      .enum(["refuse", "pass"])
      .optional()
      .describe(
        "Paths with %2F, %5C or a backslash. Default: refused where a path rule or a script's match decides.",
      ),
    routes: routesSchema,
    paths: z
      .record(z.string(), destinationSchema)
      .optional()
      .describe("Path prefixes, of whole segments, and where each goes. The longest wins."),
    plugins: hostPlugins,
    client_certificate: z
      .strictObject({
        mode: z.enum(["off", "optional", "required"]),
        ca: z
          .string()
          .regex(entryName, { error: "is not a certificate's name" })
          .describe("The authorities: certificates/<name> in KV, or a file <name>.ca.pem."),
      })
      .optional()
      .describe("Client certificates. Default: clients are not asked for one."),
    certificate: z
      .literal("acme")
      .optional()
      .describe(
        "Gateways with --acme-directory order a certificate for this host. Not for *.domain.",
      ),
    redirect: z
      .literal("https")
      .optional()
      .describe("Requests in clear are redirected to the same place over TLS, with 308."),
    hsts: z
      .union(
        [
          z.literal(true),
          z.strictObject({
            max_age: z.int().min(0).max(315_360_000),
            include_subdomains: z.boolean().default(false),
            preload: z.boolean().default(false),
          }),
        ],
        { error: 'is not true or {"max_age": SECONDS}' },
      )
      .optional()
      .describe("Strict-Transport-Security on answers over TLS; true: for half a year."),
    trailers: z
      .array(trailerName)
      .max(100)
      .optional()
      .describe("Trailer fields in requests that are passed on, in lower case. Default: none."),
    tests: testsSchema,
  })
  .describe("Which requests of a host go to which upstream.");

/** Reads the text of `hosts/<host>`; `key` is the whole key and is named in errors. Throws a `DocumentError`. */
export function parseHostDocument(key: string, text: string): HostDocument {
  const document = checkDocument(key, parseJson(key, text), hostSchema);
  const reading: Reading = { problems: [], cronTimesLeft: mostCronTimes };
  const { problems } = reading;
  const passesEncodedSlashes = document.encoded_slashes === "pass";
  const routes = readRoutes(document.routes, passesEncodedSlashes, reading);
  const paths = readPaths(document.paths, passesEncodedSlashes, reading);
  if (paths.length + routes.length === 0)
    problems.push(
      document.paths === undefined ? "has neither paths nor routes" : "paths: is empty",
    );
  if (problems.length > 0) throw new DocumentError("bad_document", key, listProblems(problems));
  const { enable, trailers, encoded_slashes: encodedSlashes, tests = [] } = document;
  const ignored = looksAtHeaders(routes, paths) ? [] : tests.flatMap(ignoredIn);
  const { client_certificate: asked, hsts } = document;
  const name = key.slice(key.lastIndexOf("/") + 1);
  const fault = document.certificate === undefined ? null : orderFault(name);
  if (fault !== null) throw new DocumentError("bad_document", key, `certificate: ${fault}`);
  const plugins = document.plugins ?? [];
  const place = plugins.indexOf(scriptPlace);
  return {
    enable,
    paths,
    ...(routes.length === 0 ? {} : { routes }),
    ...(trailers === undefined ? {} : { trailers }),
    ...(asked === undefined || asked.mode === "off"
      ? {}
      : {
          clientCertificate: { required: asked.mode === "required", authorities: asked.ca },
        }),
    ...(document.certificate === undefined ? {} : { ordersCertificate: true as const }),
    ...(document.redirect === undefined ? {} : { redirectsToHttps: true as const }),
    ...(hsts === undefined ? {} : { hsts: hstsRule(hsts) }),
    ...(encodedSlashes === undefined ? {} : { encodedSlashes }),
    ...(place <= 0 ? {} : { pluginsBefore: readPlugins(plugins.slice(0, place)) }),
    ...(place === plugins.length - 1 ? {} : { plugins: readPlugins(plugins.slice(place + 1)) }),
    ...(tests.length === 0 ? {} : { tests: tests.map(readTest) }),
    ...(ignored.length === 0 ? {} : { ignored }),
  };
}

/** Returns the longest prefix first. */
function readPaths(
  written: z.output<typeof hostSchema>["paths"] = {},
  passesEncodedSlashes: boolean,
  reading: Reading,
): readonly PathRule[] {
  const rules = new Map<string, PathRule>();
  for (const [path, to] of Object.entries(written)) {
    const field = `paths[${JSON.stringify(path)}]`;
    const prefix = normalisePrefix(path) || "/";
    const problem =
      findPathProblem(path, passesEncodedSlashes) ??
      (rules.has(prefix) ? "the same prefix is there twice" : null);
    if (problem !== null) reading.problems.push(`${field}: ${problem}`);
    rules.set(prefix, { prefix, ...readDestination(field, to, reading) });
  }
  return [...rules.values()].sort(
    (a, b) => b.prefix.length - a.prefix.length || (a.prefix < b.prefix ? -1 : 1),
  );
}

/** What `hsts: true` stands for. For browsers' preload lists a host has to ask for more: a year (hstspreload.org). */
const halfYearSeconds = 15_768_000;

function hstsRule(hsts: NonNullable<z.output<typeof hostSchema>["hsts"]>): HstsRule {
  if (hsts === true)
    return { maxAgeSeconds: halfYearSeconds, includeSubdomains: false, preload: false };
  const { max_age: maxAgeSeconds, include_subdomains: includeSubdomains, preload } = hsts;
  return { maxAgeSeconds, includeSubdomains, preload };
}

/** Whether a header helps to decide where some request goes. */
function looksAtHeaders(routes: readonly RouteRule[], paths: readonly PathRule[]): boolean {
  const isOfHeader = (values: RouteRule["conditions"]["values"] = []) =>
    values.some(({ in: place }) => place !== "query");
  const isForced = ({ shares }: Destination) =>
    shares.some(({ forced = [] }) => forced.some(({ values }) => isOfHeader(values)));
  return (
    routes.some(({ conditions }) => isOfHeader(conditions.values)) ||
    Array.from(destinationsOf({ routes, paths })).some(([, to]) => isForced(to))
  );
}

function ignoredIn(
  { request }: NonNullable<z.output<typeof testsSchema>>[number],
  index: number,
): readonly IgnoredField[] {
  if (typeof request === "string" || request.headers === undefined) return [];
  const why = "has no effect: no rule of this document looks at headers";
  return [{ field: `tests[${index}].request.headers`, why }];
}

function readPlugins(
  uses: readonly (z.output<typeof pluginUseSchema> | typeof scriptPlace)[] = [],
): readonly PluginUse[] {
  return uses.filter((use) => use !== scriptPlace).map(pluginUse);
}
