/**
 * Says where a connection, or a session of datagrams, would go, by what decides for real ones (`stream-routes.ts`). It
 * changes nothing.
 */
import type { Upstream } from "../balancing/index.ts";
import type { ExplainedOutcome, Explanation, ImaginedStream } from "../model/index.ts";
import type { Router } from "../sites/index.ts";
import { describeSite } from "./explain.ts";
import { StreamRoutes } from "./stream-routes.ts";
import { whyNoPeer } from "./unrouted.ts";

interface StreamOptions {
  readonly router: Router;
  readonly version: number;
  /** Monotonic. */
  readonly nowMs: number;
}

export function explainStream(asked: ImaginedStream, options: StreamOptions): Explanation {
  const { protocol, written, listener, upstream, name, clientAddress, exposes } = asked;
  const { router, version } = options;
  const routes = new StreamRoutes(() => router, { note: () => {} });
  const site = upstream === null ? describeSite(name, router.site(name)) : null;
  const route =
    upstream === null ? routes.host(name, clientAddress, { exposes }) : routes.upstream(upstream);
  let outcome: ExplainedOutcome;
  if ("awaited" in route) outcome = { kind: "held", by: `until ${route.awaited} is watched` };
  else if ("why" in route) outcome = { kind: "ended", code: "no_route", message: route.why };
  else {
    const by = site === null ? `listener ${listener}` : (site.document ?? "service");
    outcome = forward(route.upstream, by, clientAddress, options);
  }
  return {
    version,
    request: { method: protocol, host: written, path: "", query: "" },
    sites: site === null ? [] : [site],
    outcome,
  };
}

function forward(
  upstream: Upstream,
  by: string,
  clientAddress: string,
  { router, nowMs }: StreamOptions,
): ExplainedOutcome {
  const next = upstream.peek(nowMs, upstream.policy === "hash" ? clientAddress : "");
  const { bounds, peers } = upstream.describe(nowMs);
  const share = {
    ...{ upstream: upstream.name, percent: 100, policy: upstream.policy },
    why: next === null ? whyNoPeer(router, upstream, nowMs).message : null,
    // Those of requests: a connection has a listener's times, and no answer to wait for.
    limits: null,
    ...{ bounds, peers, next: next?.peer.key ?? null, host: null },
  };
  const none = { rule: null, passedOver: [], side: null, sticky: null };
  return { kind: "forward", by, ...none, shares: [share] };
}
