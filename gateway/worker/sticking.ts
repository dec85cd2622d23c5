/** Requests that stay with a server: finds the server, and tells the client how to ask for it again. */
import type { Upstream } from "../balancing/index.ts";
import type { Exchange, Target } from "../engine/engine.ts";
import type { RequestContext, Stickiness } from "../sites/index.ts";

/**
 * Like `Upstream.pick`: returns the server that the request stays with or, if that one may not be picked, another.
 */
export function pickStuck(
  route: Upstream,
  { toServer, keyOf, cookie }: Stickiness,
  exchange: Exchange<RequestContext>,
  { hashKey: ofScript }: RequestContext,
  nowMs: number,
): Target | null {
  const key = route.hashKey(exchange, ofScript);
  if (!toServer) return route.pick(exchange, nowMs, key);
  if (cookie !== null && ofScript === "") {
    const token = cookie.peerOf(cookie.valueOf(exchange));
    const target = token === "" ? null : route.pickStuck(exchange, nowMs, token, cookie.tokens);
    if (target !== null) return target;
  }
  return route.pick(exchange, nowMs, key === "" && keyOf !== null ? keyOf(exchange) : key);
}

/** The answer from `target` is there: tells the client what it stays with, unless it knows already. */
export function tellStuck(
  exchange: Exchange<RequestContext>,
  { side }: RequestContext,
  { cookie }: Stickiness,
  { peer }: Target,
): void {
  if (cookie === null || side === null) return;
  const field = cookie.fieldFor(exchange, exchange.scheme, side, peer);
  if (field !== null) exchange.addResponseHeader("Set-Cookie", field);
}
