/**
 * What a host document alone makes of a request, by the rules that decide real ones: for its own tests. Neither a
 * script of the host nor an upstream's state has a part in it.
 */
import { encodedSlash } from "../engine/message/answers.ts";
import { checkEscapes, hasEncodedSlash, normalisePath } from "../engine/message/path.ts";
import type { RouteOutcome } from "../model/index.ts";
import type { HostRules } from "./host-rules.ts";

/** `target`: path and query as a client would write them. A refusal has its code. */
export function decideByDocument(rules: HostRules, target: string): RouteOutcome {
  const unreadable = checkEscapes(target);
  if (unreadable !== null) return refusal(unreadable);
  const question = target.indexOf("?");
  const path = normalisePath(question === -1 ? target : target.slice(0, question));
  if (hasEncodedSlash(path) && rules.refusesEncodedSlash(false)) return refusal(encodedSlash);
  const rule = rules.find(path);
  if (rule === null) return { status: 404, code: "no_route" };
  const [only = "", ...others] = rule.upstreams;
  if (others.length === 0) return { upstream: only };
  const shares = rule.upstreams.map((name, at) => [name, rule.weights[at] ?? 0] as const);
  return { split: Object.fromEntries(shares) };
}

function refusal({ status, code }: { readonly status: number; readonly code: string }) {
  return { status, code };
}
