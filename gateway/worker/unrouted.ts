/** Why a request has no upstream: what it has to wait for, or the answer that says what is missing. */
import type { Exposure } from "../model/index.ts";
import type { RequestContext, RoutedRequest, Router, Site } from "../sites/index.ts";

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

export interface Unrouted {
  /** A `serviceKey`, or `@` and a datacenter; `null`: watching would not help. */
  readonly awaited: string | null;
  readonly refusal: Refusal;
}

/** After the router found no upstream. `site`: that of the exchange's host. */
export function whyUnrouted(
  router: Router,
  site: Site,
  request: RoutedRequest,
  { upstream: chosen }: Pick<RequestContext, "upstream">,
  exposes: Exposure,
): Unrouted {
  if (chosen !== "") {
    const message = router.missing.explainUpstream(chosen);
    return { awaited: router.missing.unwatchedUpstream(chosen), refusal: missing(message) };
  }
  const message = router.missing.explain(site, request, exposes);
  const refusal = router.missing.isRouted(site, request)
    ? missing(message)
    : { status: 404, code: "no_route", message };
  return { awaited: router.missing.unwatched(site, request, exposes), refusal };
}

function missing(message: string): Refusal {
  return { status: 503, code: "no_upstream", message };
}
