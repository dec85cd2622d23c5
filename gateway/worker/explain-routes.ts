/**
 * The part of `explain` about where a request may go: which route decides, how its split falls, and which server
 * would get it.
 */
import type { Upstream } from "../balancing/index.ts";
import { defaultLimits, type EngineLimits, type Exchange } from "../engine/engine.ts";
import type {
  ExplainedLimits,
  ExplainedRoute,
  ExplainedShare,
  ExplainedSticky,
} from "../model/index.ts";
import type { RequestContext, Router, Routes, Stickiness } from "../sites/index.ts";
import { whyNoPeer } from "./unrouted.ts";

interface RouteOptions {
  readonly router: Router;
  /** The engine's limits. */
  readonly limits: Partial<EngineLimits>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** How many routes that did not match are listed; a document may have thousands. */
const mostPassedOver = 50;

export function explainRoutes(
  { by, rule, passedOver, decided, shares }: Routes,
  exchange: Exchange<RequestContext>,
  context: RequestContext,
  options: RouteOptions,
): ExplainedRoute {
  const sticky = rule === null ? null : rule.sticky;
  const explained = shares.map(({ name, part, upstream, why }): ExplainedShare => {
    const percent = Math.round(1000 * part) / 10;
    if (upstream === null)
      return {
        upstream: name,
        percent,
        policy: null,
        why,
        limits: null,
        bounds: null,
        peers: [],
        next: null,
        host: null,
      };
    const nowMs = options.now();
    const next = peek(upstream, sticky, exchange, context, nowMs);
    const said = rule === null ? null : rule.sentHost;
    const ownHost = said === "peer" ? (next?.peerAuthority ?? null) : (said?.name ?? null);
    const { bounds, peers } = upstream.describe(nowMs);
    return {
      upstream: name,
      percent,
      policy: upstream.policy,
      why: next === null ? whyNoPeer(options.router, upstream, nowMs).message : why,
      limits: limitsOf(upstream, options.limits),
      bounds,
      peers,
      next: next?.peer.key ?? null,
      host: ownHost ?? (next === null || next.authority === "" ? null : next.authority),
    };
  });
  return {
    by,
    rule: rule?.written ?? null,
    passedOver: passedOver
      .slice(0, mostPassedOver)
      .map(({ rule: other, why }) => ({ route: other.written, why })),
    side: decided === null ? null : { name: decided.side.name, by: decided.by },
    sticky: sticky === null ? null : explainSticky(sticky, exchange, shares),
    shares: explained,
  };
}

/** The server in this upstream that would get the request. Changes nothing. */
function peek(
  upstream: Upstream,
  sticky: Stickiness | null,
  exchange: Exchange<RequestContext>,
  { hashKey }: RequestContext,
  nowMs: number,
) {
  const key = upstream.hashKey(exchange, hashKey);
  if (sticky === null || !sticky.toServer) return upstream.peek(nowMs, key);
  const { cookie, keyOf } = sticky;
  if (cookie !== null && hashKey === "") {
    const token = cookie.peerOf(cookie.valueOf(exchange));
    const stuck = token === "" ? null : upstream.pickStuck(exchange, nowMs, token, cookie.tokens);
    if (stuck !== null) return stuck;
  }
  return upstream.peek(nowMs, key === "" && keyOf !== null ? keyOf(exchange) : key);
}

function explainSticky(
  { cookie, keyOf, toServer }: Stickiness,
  exchange: Exchange<RequestContext>,
  shares: Routes["shares"],
): ExplainedSticky {
  const to = toServer ? "server" : "side";
  if (cookie === null) {
    const key = keyOf?.(exchange) ?? "";
    return { by: "hash", to, says: key === "" ? "the request has nothing to hash" : `of ${key}` };
  }
  const by = `cookie ${cookie.name}`;
  const value = cookie.valueOf(exchange);
  if (value === "") return { by, to, says: "the request has none of this gateway: one is set" };
  const side = cookie.sideOf(value);
  if (side === null)
    return { by, to, says: "it names a side that is not here: another one is set" };
  if (!toServer) return { by, to, says: `it names the side ${side.name}` };
  const token = cookie.peerOf(value);
  const upstream = shares.find(({ name }) => name === side.name)?.upstream ?? null;
  const peer = upstream?.find((one) => cookie.tokens.of(one) === token) ?? null;
  const server = peer === null ? "a server that is not here" : `the server ${peer.key}`;
  return {
    by,
    to,
    says: shares.length > 1 ? `it names the side ${side.name} and ${server}` : `it names ${server}`,
  };
}

function limitsOf({ limits: own }: Upstream, engine: Partial<EngineLimits>): ExplainedLimits {
  const all = { ...defaultLimits, ...engine };
  const of = (value: number | null | undefined, otherwise: number) =>
    value === null || value === undefined
      ? ({ value: otherwise, by: "gateway" } as const)
      : ({ value, by: "upstream" } as const);
  return {
    maxTries: of(own?.maxTries, all.maxTries),
    tryTimeoutMs: of(own?.tryTimeoutMs, all.tryTimeoutMs),
    connectTimeoutMs: of(own?.connectTimeoutMs, all.connectTimeoutMs),
    sendTimeoutMs: of(own?.sendTimeoutMs, all.bodyTimeoutMs),
    readTimeoutMs: of(own?.readTimeoutMs, all.responseTimeoutMs),
  };
}
