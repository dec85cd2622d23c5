/**
 * What a host document alone makes of a request, by the rules that decide real ones: for its own tests. Neither a
 * script of the host nor an upstream's state has a part in it.
 */
import { encodedSlash } from "../engine/message/answers.ts";
import { checkEscapes, hasEncodedSlash, normalisePath } from "../engine/message/path.ts";
import type { RouteOutcome, RouteTest } from "../model/index.ts";
import type { HostRules } from "./host-rules.ts";
import type { RoutedRequest } from "./request-values.ts";

/** A request that a test is about. */
export type DecidedRequest = Pick<RouteTest, "method" | "target" | "headers" | "clientAddress">;

/** `target`: path and query as a client would write them. A refusal has its code. */
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
  // What a ramp ends with: a test says what the document says, whatever the time.
  const shares = split.sides.filter(({ share }) => share.weight > 0);
  const [only, ...others] = shares;
  if (only !== undefined && others.length === 0) return { upstream: only.name };
  return { split: Object.fromEntries(shares.map(({ name, share }) => [name, share.weight])) };
}

function refusal({ status, code }: { readonly status: number; readonly code: string }) {
  return { status, code };
}
