/**
 * Decides where a request goes whose host has a document: rule, side, upstream. It also describes the decision for
 * anyone who asks why.
 */
import type { Upstream } from "../balancing/index.ts";
import type { ServiceSite } from "../model/index.ts";
import type { HostRules } from "./host-rules.ts";
import type { Missing } from "./missing.ts";
import type { Choice } from "./phase.ts";
import type { RoutedRequest } from "./request-values.ts";
import type { Rule } from "./rule.ts";
import type { Side, SideReason } from "./split.ts";
import type { Upstreams } from "./upstreams.ts";

/** Where a request may be sent, and what decides that. */
export interface Routes {
  /** The key of a document, or `service`. */
  readonly by: string;
  /** The route or path rule that decides; `null`: none does. */
  readonly rule: Rule | null;
  /** The routes that were asked before it, and why each did not match. */
  readonly passedOver: readonly { readonly rule: Rule; readonly why: string }[];
  /** The side that the request itself determines; `null`: the shares decide. */
  readonly decided: { readonly side: Side; readonly by: SideReason } | null;
  readonly shares: readonly RouteShare[];
}

export interface RouteShare {
  readonly name: string;
  /** The part of all requests, from 0 to 1. */
  readonly part: number;
  /** `null` when there is none. */
  readonly upstream: Upstream | null;
  /** Why there is none, or why a side is left out; `null`: neither. */
  readonly why: string | null;
}

interface RoutingOptions {
  readonly random: () => number;
  /** Milliseconds on the clock that upstreams use. */
  readonly now: () => number;
  /** Milliseconds since the epoch. */
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

  /**
   * Returns `null` when nothing serves the request. Writes into `choice` what decided. Allocates nothing, unless a
   * side has no server that is available.
   */
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
    // A request that asks for a side gets what the side has; every other request goes to another side.
    if (forced !== null || this.#canServe(upstream)) return upstream;
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
    return this.#canServe(this.#upstreams.side(side, service));
  }

  /** One that is not known yet counts: the request waits for it, or is told what is missing. */
  #canServe(upstream: Upstream | null): boolean {
    return upstream === null || upstream.hasWell || upstream.isAvailable(this.#options.now());
  }

  /** Returns everything that `resolve` may return; `null` when nothing decides. */
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
    const { sides, weights } = split;
    const isUsable = (side: Side) => this.#isUsable(side, service);
    const isServed = sides.map((side, at) => (weights[at] ?? 0) > 0 && isUsable(side));
    const takesAll = !isServed.includes(true);
    const taken = weights.map((weight, at) => (takesAll || isServed[at] ? weight : 0));
    const total = taken.reduce((all, weight) => all + weight, 0);
    const shares = sides.map((side, at): RouteShare => {
      const upstream = this.#upstreams.side(side, service);
      const isPassedOver = taken[at] !== weights[at];
      let why = isPassedOver
        ? "no server of it is available, so other sides get its requests"
        : null;
      if (upstream === null) why = this.#missing.explainSide(side, request.host, service);
      return { name: side.name, part: total === 0 ? 0 : (taken[at] ?? 0) / total, upstream, why };
    });
    return {
      by: rules.by,
      rule,
      passedOver: rules.passedOver(request),
      decided: rule.only === null ? decidedSide(rule, request, isUsable) : null,
      shares,
    };
  }
}

/** The side that the request's cookie names, if that side still gets requests. */
function stuckSide({ split, sticky }: Rule, request: RoutedRequest): Side | null {
  const cookie = sticky === null ? null : sticky.cookie;
  const side = cookie === null ? null : cookie.sideOf(cookie.valueOf(request));
  return side !== null && split.isOpen(side) ? side : null;
}

function decidedSide(
  rule: Rule,
  request: RoutedRequest,
  isUsable: (side: Side) => boolean,
): Routes["decided"] {
  const forced = rule.split.forced(request);
  if (forced !== null) return { side: forced, by: "forced" };
  const stuck = stuckSide(rule, request);
  const hasUsable = rule.split.sides.some((side) => rule.split.isOpen(side) && isUsable(side));
  if (stuck !== null && (isUsable(stuck) || !hasUsable)) return { side: stuck, by: "cookie" };
  const key = rule.sticky?.keyOf?.(request) ?? "";
  const side = key === "" ? null : rule.split.ofKey(key, hasUsable ? isUsable : null);
  return side === null ? null : { side, by: "hash" };
}
