/**
 * The contract between the gateway and what takes part in the requests of a host: its script, its plugins. A site has
 * a flat list of phases, made when a version is applied; a request keeps the index of the next one.
 */
import type { Gate, Upstream } from "../balancing/index.ts";
import type { Exchange } from "../engine/engine.ts";
import type { Script, Steering } from "../sandbox/index.ts";
import type { Rule } from "./rule.ts";
import type { Site } from "./site.ts";
import type { Side } from "./split.ts";

/**
 * What takes part in the requests of a host. All methods run on the hot path, one request after the other, and must not
 * throw. An instance serves many requests at once, so what it knows of one of them has to be in the exchange.
 */
export interface Phase {
  /** As an operator knows it, for `explain`: `script`, or the name of a plugin. */
  readonly name: string;
  /**
   * The request's head is there; the host's rules have not been looked at. May change the exchange. Returns whether the
   * exchange goes on: `false` when the phase has ended it (`answer`, `fail`) or holds it (`hold`). After `resume` the
   * request goes on with the phase behind this one.
   */
  onRequest?(exchange: Exchange<RequestContext>, context: RequestContext): boolean;
  /**
   * As `onRequest`, for a request that nobody sent: changes nothing that outlives it, and may say why it does what it does.
   * Without it `onRequest` is called.
   */
  rehearse?(
    exchange: Exchange<RequestContext>,
    context: RequestContext,
    say: (text: string) => void,
  ): boolean;
  /**
   * The head of the origin's final answer is there. Called for the phases that the request has met, the last one first.
   * When one of them asks for another try, the others see the answer of that one.
   */
  onResponse?(exchange: Exchange<RequestContext>, context: RequestContext): void;
  /** The exchange is over, however it ended. Called for the phases that the request has met, the last one first. */
  onEnd?(exchange: Exchange<RequestContext>, context: RequestContext): void;
}

/** What takes part in the requests of the hosts of a document, beside their scripts, each list in its order. */
export interface HostPhases {
  readonly beforeScript: readonly Phase[];
  readonly behindScript: readonly Phase[];
  /** By the prefix of the path rule that covers the request; behind all others. */
  readonly byPath: ReadonlyMap<string, readonly Phase[]>;
  /** The same by the name of the route. */
  readonly byRoute: ReadonlyMap<string, readonly Phase[]>;
}

export const noPhases: HostPhases = {
  beforeScript: [],
  behindScript: [],
  byPath: new Map(),
  byRoute: new Map(),
};

/** A stop of a request: a site, and how far the request came in its phases. */
export interface Stop {
  readonly site: Site;
  /** The phases before this index were met. */
  readonly at: number;
  /** What ran of the site's scripts; `null`: none. */
  readonly script: Script | null;
  /** The rule whose phases it met; `null`: none of the site's has any, or they were not met yet. */
  readonly rule: Rule | null;
  /** The site whose phases gave the request this one's host; `null`: its client did. */
  readonly before: Stop | null;
}

/** What routing has decided for a request. */
export interface Choice {
  /** What was found when the request met the phases of a rule; `null`: it has met none. */
  readonly rule: Rule | null;
  /** The rule that says where it goes; `null`: none does, or it is not routed yet. */
  routedBy: Rule | null;
  /** The side of that rule's split; `null` as above. */
  side: Side | null;
}

/** A request's state between the phases. */
export interface RequestContext extends Stop, Steering, Choice {
  /** What the request is counted under. */
  readonly name: string;
  site: Site;
  at: number;
  script: Script | null;
  rule: Rule | null;
  before: Stop | null;
  /** The host by which `site` was found. */
  host: string;
  upstream: string;
  hashKey: string;
  authority: string;
  /** Where it goes; `null` before it is routed and when nothing serves it. */
  route: Upstream | null;
  /** The gate that it went through, and is counted at; `null`: none. */
  gate: Gate | null;
}
