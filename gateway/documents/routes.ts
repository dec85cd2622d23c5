/**
 * The routes in a host document: match requests by path, method, headers, cookies, query and client, in an explicit
 * order.
 */
import * as z from "zod";
import { normalisePrefix } from "../engine/message/path.ts";
import type { PathTest, RouteRule } from "../model/index.ts";
import { conditionFields, costOf, readConditions } from "./conditions.ts";
import { destinationFields, type Reading, readDestination, upstreamName } from "./destination.ts";
import { findPathProblem } from "./path-problem.ts";

/**
 * How many tests a request may need until its route is known. With a head that is made to be expensive, that takes a
 * worker up to a millisecond. Routes that no single path leads to do not add up.
 */
const mostTests = 1_000;

/**
 * How many different headers the routes may test. Each is searched for once in a request's head, which may be long.
 */
const mostHeaders = 50;

const pathText = z.string().max(1_024);

const onePath = z.union([pathText, z.strictObject({ exact: pathText })], {
  error: 'is not a path or {"exact": PATH}',
});

const match = z
  .strictObject({
    path: z
      .union([onePath, z.array(onePath).min(1).max(100)], {
        error: 'is not a path, {"exact": PATH} or a list of them',
      })
      .optional()
      .describe("A prefix of whole segments, one exact path, or a list of which one must match."),
    ...conditionFields,
  })
  .describe("What a request must have; all of it must match. Empty: every request matches.");

const route = z.strictObject({
  name: z.string().min(1).max(200).optional().describe("Its name in explain."),
  match,
  priority: z
    .int()
    .min(-1_000_000)
    .max(1_000_000)
    .default(0)
    .describe("Higher ones are asked first; equal ones in the order of the list. Default 0."),
  to: upstreamName.optional().describe("The upstream, when the route says nothing else about it."),
  ...destinationFields,
});

export const routesSchema = z
  .array(route)
  .max(10_000)
  .optional()
  .describe("Asked before the paths, the highest priority first. The first that matches decides.");

export function readRoutes(
  written: z.output<typeof routesSchema> = [],
  passesEncodedSlashes: boolean,
  reading: Reading,
): readonly RouteRule[] {
  const { problems } = reading;
  const read = written.map(({ name, match, priority, to, ...given }, at) => {
    const field = `routes[${at}]`;
    const { path, ...conditions } = match;
    const paths = (path === undefined ? [] : [path].flat()).map((one) =>
      readPath(`${field}.match.path`, one, passesEncodedSlashes, problems),
    );
    if (to !== undefined && Object.values(given).some((one) => one !== undefined))
      problems.push(`${field}.to: goes with match, name and priority only`);
    const destination = readDestination(field, to ?? given, reading);
    const rule: RouteRule = {
      name: name === undefined ? field : `${field} (${name})`,
      paths,
      conditions: readConditions(conditions),
      ...destination,
    };
    return { rule, priority };
  });
  // Sorting is stable, so equal routes stay in their written order.
  const routes = read.sort((a, b) => b.priority - a.priority).map(({ rule }) => rule);
  const tests = mostTestsOf(routes);
  if (tests > mostTests)
    problems.push(
      `routes: a request may have to go through ${tests} tests, more than ${mostTests}; say more paths, or make it fewer`,
    );
  const headers = headersOf(routes);
  if (headers.size > mostHeaders)
    problems.push(
      `routes: they look at ${headers.size} different headers, more than ${mostHeaders}`,
    );
  return routes;
}

function headersOf(routes: readonly RouteRule[]): ReadonlySet<string> {
  const values = routes.flatMap(({ conditions }) => conditions.values ?? []);
  return new Set(values.filter((one) => one.in === "header").map(({ name }) => name));
}

function readPath(
  field: string,
  written: z.output<typeof onePath>,
  passesEncodedSlashes: boolean,
  problems: string[],
): PathTest {
  const path = typeof written === "string" ? written : written.exact;
  const problem = findPathProblem(path, passesEncodedSlashes);
  if (problem !== null) problems.push(`${field}: ${JSON.stringify(path)} ${problem}`);
  const prefix = normalisePrefix(path) || "/";
  return typeof written === "string" ? { prefix } : { prefix, exact: true };
}

/** The costs of all routes that one path may lead to, for the path that leads to the most expensive ones. */
function mostTestsOf(routes: readonly RouteRule[]): number {
  const byPrefix = new Map<string, number>();
  for (const { paths, conditions } of routes)
    for (const prefix of prefixesOf(paths))
      byPrefix.set(prefix, (byPrefix.get(prefix) ?? 0) + costOf(conditions));
  const sums = new Map<string, number>();
  // Shorter prefixes first, so that each adds to the sum of the longest one above it.
  for (const prefix of [...byPrefix.keys()].sort((a, b) => a.length - b.length)) {
    let above = prefix;
    let sum = byPrefix.get(prefix) ?? 0;
    while (above !== "") {
      above = above.slice(0, above.lastIndexOf("/"));
      const known = sums.get(above);
      if (known === undefined) continue;
      sum += known;
      break;
    }
    sums.set(prefix, sum);
  }
  return Math.max(0, ...sums.values());
}

function prefixesOf(paths: readonly PathTest[]): ReadonlySet<string> {
  return new Set(paths.length === 0 ? [""] : paths.map(({ prefix }) => withoutSlash(prefix)));
}

function withoutSlash(prefix: string): string {
  return prefix === "/" ? "" : prefix;
}
