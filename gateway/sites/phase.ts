/**
 * The contract between the gateway and what takes part in a host's requests: scripts and plugins. A site has a flat
 * list of phases, made when a version is applied; a request keeps the index of its next phase.
 */
import type { Gate, Upstream } from "../balancing/index.ts";
import type { Exchange } from "../engine/engine.ts";
import type { Script, Steering } from "../sandbox/index.ts";
import type { Rule } from "./rule.ts";
import type { Site } from "./site.ts";
import type { Side } from "./split.ts";

/**
 * Takes part in the requests of a host. All methods run on the hot path and must not throw. One instance serves many
 * requests at once, so it has to keep what it knows about a request in the exchange.
 */
export interface Phase {
  /** The name that an operator sees in `explain`: `script`, or the plugin's name. */
  readonly name: string;
  /**
   * The request's head is there, and the host's rules have not been looked at. May change the exchange. Returns
   * whether the exchange goes on: `false` when the phase has ended it (`answer`, `fail`) or holds it (`hold`). After
   * `resume` the request goes on with the next phase.
   */
  onRequest?(exchange: Exchange<RequestContext>, context: RequestContext): boolean;
  /**
   * Does what `onRequest` does for a request that nobody sent: it changes nothing that outlives the request, and may
   * explain what it does. A phase without this method gets `onRequest` instead.
   */
  rehearse?(
    exchange: Exchange<RequestContext>,
    context: RequestContext,
    say: (text: string) => void,
  ): boolean;
  /**
   * The head of the origin's final answer is there. Called for the phases that the request has met, the last one
   * first. When one of them asks for another try, the others see the answer to that try.
   */
  onResponse?(exchange: Exchange<RequestContext>, context: RequestContext): void;
  /** The exchange is over, however it ended. Called for the phases that the request has met, the last one first. */
  onEnd?(exchange: Exchange<RequestContext>, context: RequestContext): void;
}

/** What takes part in the requests of a document's hosts beside their scripts, in order. */
export interface HostPhases {
  readonly beforeScript: readonly Phase[];
  readonly behindScript: readonly Phase[];
  /** By the prefix of the path rule that covers the request. These run after all others. */
  readonly byPath: ReadonlyMap<string, readonly Phase[]>;
  /** By the name of the route. These run after all others too. */
  readonly byRoute: ReadonlyMap<string, readonly Phase[]>;
}

export const noPhases: HostPhases = {
  beforeScript: [],
  behindScript: [],
  byPath: new Map(),
  byRoute: new Map(),
};

/** A stop on a request's way: a site, and how far the request came in the site's phases. */
export interface Stop {
  readonly site: Site;
  /** The request has met the phases before this index. */
  readonly at: number;
  /** The site's script that ran; `null`: none did. */
  readonly script: Script | null;
  /**
   * The rule whose phases the request met; `null` when the site's rules have no phases, or the request has not met
   * them yet.
   */
  readonly rule: Rule | null;
  /** The site whose phases gave the request this site's host; `null` when the client named the host. */
  readonly before: Stop | null;
}

/** What routing has decided for a request. */
export interface Choice {
  /** The rule that was found when the request met the phases of a rule; `null` when it has met none. */
  readonly rule: Rule | null;
  /** The rule that says where the request goes; `null` when none does, or before routing. */
  routedBy: Rule | null;
  /** The chosen side of that rule's split; `null` as above. */
  side: Side | null;
}

/** A request's state between its phases. */
export interface RequestContext extends Stop, Steering, Choice {
  /** The name under which the request is counted. */
  readonly name: string;
  site: Site;
  at: number;
  script: Script | null;
  rule: Rule | null;
  before: Stop | null;
  /** The host that led to `site`. */
  host: string;
  upstream: string;
  hashKey: string;
  authority: string;
  /** The upstream that the request goes to; `null` before routing, and when nothing serves it. */
  route: Upstream | null;
  /** The gate that the request passed and that counts it; `null`: none. */
  gate: Gate | null;
}
