/**
 * What a host document alone decides for a request, for the document's own tests. It uses the rules that decide real
 * requests, but neither the host's scripts nor the state of upstreams.
 */
import { encodedSlash } from "../engine/message/answers.ts";
import { checkEscapes, hasEncodedSlash, normalisePath } from "../engine/message/path.ts";
import type { RouteOutcome, RouteTest } from "../model/index.ts";
import type { HostRules } from "./host-rules.ts";
import type { RoutedRequest } from "./request-values.ts";

/** The request in a test. */
export type DecidedRequest = Pick<RouteTest, "method" | "target" | "headers" | "clientAddress">;

/** `target`: the path and query, as a client would write them. A refusal is returned with its code. */
export function decideByDocument(
  rules: HostRules,
  { method, target, headers, clientAddress }: DecidedRequest,
): RouteOutcome {
  const unreadable = checkEscapes(target);
  if (unreadable !== null) return refusal(unreadable);
  const question = target.indexOf("?");
  const path = normalisePath(question === -1 ? target : target.slice(0, question));
  if (hasEncodedSlash(path) && rules.refusesEncodedSlash(false)) return refusal(encodedSlash);
  const request: RoutedRequest = {
    method,
    host: rules.name,
    path,
    query: question === -1 ? "" : target.slice(question + 1),
    clientAddress,
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : undefined),
  };
  const split = rules.find(request)?.split ?? null;
  if (split === null) return { status: 404, code: "no_route" };
  const forced = split.forced(request);
  if (forced !== null) return { upstream: forced.name };
  // The weights that ramps end with: a test shows what the document says, whatever the time.
  const shares = split.sides.filter(({ share }) => share.weight > 0);
  const [only, ...others] = shares;
  if (only !== undefined && others.length === 0) return { upstream: only.name };
  return { split: Object.fromEntries(shares.map(({ name, share }) => [name, share.weight])) };
}

function refusal({ status, code }: { readonly status: number; readonly code: string }) {
  return { status, code };
}
