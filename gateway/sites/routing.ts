/** Where a request of a host with a document goes: rule, side, upstream. And the same described, for whoever asks why. */
import type { Upstream } from "../balancing/index.ts";
import type { ServiceSite } from "../model/index.ts";
import type { HostRules } from "./host-rules.ts";
import type { Missing } from "./missing.ts";
import type { Choice } from "./phase.ts";
import type { RoutedRequest } from "./request-values.ts";
import type { Rule } from "./rule.ts";
import type { Side, SideReason } from "./split.ts";
import type { Upstreams } from "./upstreams.ts";

/** What a request may be sent to, and what decides that. */
export interface Routes {
  /** The key of a document, or `service`. */
  readonly by: string;
  /** The route or path of the document, as it is written; `null`: no rule decides. */
  readonly rule: Rule | null;
  /** Routes that are asked before the one that decides, and why each does not. */
  readonly passedOver: readonly { readonly rule: Rule; readonly why: string }[];
  /** The side that the request belongs to by itself; `null`: the shares decide. */
  readonly decided: { readonly side: Side; readonly by: SideReason } | null;
  readonly shares: readonly RouteShare[];
}

export interface RouteShare {
  readonly name: string;
  /** Of all requests, 0 to 1. */
  readonly part: number;
  /** `null`: there is none, and `why`. */
  readonly upstream: Upstream | null;
  readonly why: string | null;
}

interface RoutingOptions {
  readonly random: () => number;
  /** Milliseconds of the epoch. */
  readonly date: () => number;
}

export class Routing {
  readonly #upstreams: Upstreams;
  readonly #missing: Missing;
  readonly #options: RoutingOptions;

  constructor(upstreams: Upstreams, missing: Missing, options: RoutingOptions) {
    this.#upstreams = upstreams;
    this.#missing = missing;
    this.#options = options;
  }

  /** `null`: nothing serves it. What decides is written into `choice`. Allocates nothing, unless a side is empty. */
  resolve(
    rules: HostRules,
    service: ServiceSite | null,
    request: RoutedRequest,
    choice: Choice,
  ): Upstream | null {
    const rule = rules.decide(request, choice.rule);
    choice.routedBy = rule;
    choice.side = null;
    if (rule === null) return null;
    const { only } = rule;
    if (only !== null) {
      choice.side = only;
      return this.#upstreams.side(only, service);
    }
    return this.#resolveSplit(rule, service, request, choice);
  }

  #resolveSplit(
    rule: Rule,
    service: ServiceSite | null,
    request: RoutedRequest,
    choice: Choice,
  ): Upstream | null {
    const { split } = rule;
    split.follow(this.#options.date);
    const forced = split.forced(request);
    const side = forced ?? stuckSide(rule, request) ?? this.#draw(rule, request);
    choice.side = side;
    if (side === null) return null;
    const upstream = this.#upstreams.side(side, service);
    // Who asks for a side is told that it has nobody; everyone else is served by the others.
    if (upstream === null || upstream.size > 0 || forced !== null) return upstream;
    const other = this.#draw(rule, request, (one) => this.#isUsable(one, service));
    if (other === null) return upstream;
    choice.side = other;
    return this.#upstreams.side(other, service);
  }

  #draw(
    { split, sticky }: Rule,
    request: RoutedRequest,
    isUsable: ((side: Side) => boolean) | null = null,
  ): Side | null {
    const key = sticky?.keyOf?.(request) ?? "";
    return key === "" ? split.draw(this.#options.random, isUsable) : split.ofKey(key, isUsable);
  }

  #isUsable(side: Side, service: ServiceSite | null): boolean {
    const upstream = this.#upstreams.side(side, service);
    return upstream === null || upstream.size > 0;
  }

  /** All that `resolve` may give; `null` where nothing decides. */
  describe(
    rules: HostRules,
    service: ServiceSite | null,
    request: RoutedRequest,
    known: Rule | null,
  ): Routes | null {
    const rule = rules.decide(request, known);
    if (rule === null) return null;
    const { split } = rule;
    split.follow(this.#options.date);
    const { parts } = split;
    const shares = split.sides.map((side, at): RouteShare => {
      const upstream = this.#upstreams.side(side, service);
      const why = upstream === null ? this.#missing.explainSide(side, request.host, service) : null;
      return { name: side.name, part: parts[at] ?? 0, upstream, why };
    });
    return {
      by: rules.by,
      rule,
      passedOver: rules.passedOver(request),
      decided: rule.only === null ? decidedSide(rule, request) : null,
      shares,
    };
  }
}

/** The side that the request's cookie names, if requests still come to it. */
function stuckSide({ split, sticky }: Rule, request: RoutedRequest): Side | null {
  const cookie = sticky === null ? null : sticky.cookie;
  const side = cookie === null ? null : cookie.sideOf(cookie.valueOf(request));
  return side !== null && split.isOpen(side) ? side : null;
}

function decidedSide(rule: Rule, request: RoutedRequest): Routes["decided"] {
  const forced = rule.split.forced(request);
  if (forced !== null) return { side: forced, by: "forced" };
  const stuck = stuckSide(rule, request);
  if (stuck !== null) return { side: stuck, by: "cookie" };
  const key = rule.sticky?.keyOf?.(request) ?? "";
  const side = key === "" ? null : rule.split.ofKey(key);
  return side === null ? null : { side, by: "hash" };
}
