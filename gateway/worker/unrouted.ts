/** Why a request has no upstream: what it has to wait for, or the answer that says what is missing. */
import type { Upstream, WhyNone } from "../balancing/index.ts";
import type { Exposure } from "../model/index.ts";
import type { RequestContext, RoutedRequest, Router, Site } from "../sites/index.ts";

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

export interface Unrouted {
  /** A `serviceKey`, or `@` and a datacenter; `null` when watching would not help. */
  readonly awaited: string | null;
  readonly refusal: Refusal;
}

/** Call it after the router found no upstream. `site`: the site of the exchange's host. */
export function whyUnrouted(
  router: Router,
  site: Site,
  request: RoutedRequest,
  { upstream: chosen, rule }: Pick<RequestContext, "upstream" | "rule">,
  exposes: Exposure,
): Unrouted {
  if (chosen !== "") {
    const message = router.missing.explainUpstream(chosen);
    return { awaited: router.missing.unwatchedUpstream(chosen), refusal: missing(message) };
  }
  const message = router.missing.explain(site, request, exposes, rule);
  const refusal = router.missing.isRouted(site, request, rule)
    ? missing(message)
    : { status: 404, code: "no_route", message };
  return { awaited: router.missing.unwatched(site, request, exposes, rule), refusal };
}

/** Call it after an upstream had no peer for a request that has not been tried yet. */
export function whyNoPeer(router: Router, upstream: Upstream, nowMs: number): Refusal {
  const unregistered = router.missing.explainEmpty(upstream);
  if (unregistered !== null) {
    const code = router.missing.isDocumented(upstream) ? "no_instance" : "no_upstream";
    return { status: 503, code, message: unregistered };
  }
  const why = upstream.whyNone(nowMs);
  // Instances that Consul has but does not list are those that fail their checks.
  if (why === "no_instance")
    return {
      status: 503,
      code: "checks_failing",
      message: `no instance of ${upstream.name} passes its checks in Consul`,
    };
  const code = why === "all_full" ? "queue_full" : why;
  return { status: 503, code, message: `${upstream.name}: ${whyNoneWords[why]}` };
}

const whyNoneWords: Readonly<Record<Exclude<WhyNone, "no_instance">, string>> = {
  checks_failing: "all servers fail their checks",
  all_ejected: "all servers are out because requests failed there",
  all_drained: "all servers are down in their document or drained",
  all_full: "all servers have as many requests as max_conns allows",
};

function missing(message: string): Refusal {
  return { status: 503, code: "no_upstream", message };
}
