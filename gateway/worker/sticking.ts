/** Requests that stay with a server: which one that is, and how the client is told to bring it up again. */
import type { Upstream } from "../balancing/index.ts";
import type { Exchange, Target } from "../engine/engine.ts";
import type { RequestContext, Stickiness } from "../sites/index.ts";

/** As `Upstream.pick`: the server that the request stays with or, where that may not be picked, another one. */
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

/** The answer of `target` is there: where the client does not know yet what it stays with, it is told. */
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
