/** What would become of a request, as plain data: the question, and a worker's answer. */

import type { PolicyName } from "./documents.ts";
import type { Exposure } from "./exposure.ts";
import type { ListenerProtocol } from "./listeners.ts";
import type { BoundsStatus, PeerStatus } from "./upstream-status.ts";

/** A connection, or a session of datagrams, that a client would begin. */
export interface ImaginedStream {
  readonly protocol: ListenerProtocol;
  /** The listener's name, and its upstream as in `ListenerTerms`. */
  readonly listener: string;
  readonly upstream: string | null;
  readonly exposes: Exposure;
  /** What was asked, as the operator wrote it. */
  readonly written: string;
  /** The name that the client would ask for, in lower case; empty: none. */
  readonly name: string;
  readonly clientAddress: string;
}

export interface Explanation {
  /** The version of the state that the explanation is about. */
  readonly version: number;
  /** The request in the form by which everything decides, before any phase. */
  readonly request: ExplainedRequest;
  /** The sites that the request meets: its host's, then those of the hosts that phases give it. */
  readonly sites: readonly ExplainedSite[];
  readonly outcome: ExplainedOutcome;
}

export interface ExplainedRequest {
  readonly method: string;
  readonly host: string;
  /** In normal form. */
  readonly path: string;
  readonly query: string;
}

export interface ExplainedSite {
  readonly host: string;
  /** The key of the host document that applies, without the prefix: `hosts/*.example.com`; `null`: none. */
  readonly document: string | null;
  /** The service that the host names, with its tag. */
  readonly service: string | null;
  readonly phases: readonly ExplainedPhase[];
}

export interface ExplainedPhase {
  readonly name: string;
  /** What the phase says about itself. */
  readonly says: readonly string[];
  /** What the phase changes, each as `path: /old -> /new`. */
  readonly changes: readonly string[];
}

export type ExplainedOutcome =
  /** The gateway itself answers. `code` and `message` belong to an error. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly code: string | null;
      readonly message: string | null;
      readonly headers: Readonly<Record<string, string | readonly string[]>>;
    }
  /** The gateway would end the connection. `code` is that of its record. */
  | { readonly kind: "ended"; readonly code: string; readonly message: string }
  /** The request would be held: by a phase, or until the service is watched. */
  | { readonly kind: "held"; readonly by: string }
  | ({ readonly kind: "forward" } & ExplainedRoute);

export interface ExplainedRoute {
  /** What decides: the key of a document or script, or `service`. */
  readonly by: string;
  /** The path of the document's rule, or its route: `routes[0] (beta)`; `null`: no rule decides. */
  readonly rule: string | null;
  /** The first 50 routes that were asked before that rule, and why each did not match. */
  readonly passedOver: readonly { readonly route: string; readonly why: string }[];
  /** The side of the split that the request itself determines; `null`: the shares decide. */
  readonly side: { readonly name: string; readonly by: "forced" | "cookie" | "hash" } | null;
  /** What the client stays with; `null`: nothing. */
  readonly sticky: ExplainedSticky | null;
  /** The upstreams that may get the request, with their shares. */
  readonly shares: readonly ExplainedShare[];
}

export interface ExplainedSticky {
  /** `hash`, or the cookie's name. */
  readonly by: string;
  readonly to: "side" | "server";
  /** What the request itself says about it. */
  readonly says: string;
}

export interface ExplainedShare {
  /** The name in the document, script or host; in a split by tags or metadata, the side's name. */
  readonly upstream: string;
  /** Part of the requests, in per cent. */
  readonly percent: number;
  /** How a peer is picked; `null` when the upstream cannot be used. */
  readonly policy: PolicyName | null;
  /** Why it cannot be used, or is left out while others are not; `null`: neither. */
  readonly why: string | null;
  readonly limits: ExplainedLimits | null;
  /** `null` like `limits`. */
  readonly bounds: BoundsStatus | null;
  readonly peers: readonly PeerStatus[];
  /** The address of the peer that the next request would get; `null`: none. */
  readonly next: string | null;
  /** The `Host` that this peer would get; `null`: the request's. */
  readonly host: string | null;
}

/** The limits for a try, and where each comes from. */
export type ExplainedLimits = {
  readonly [K in
    | "maxTries"
    | "tryTimeoutMs"
    | "connectTimeoutMs"
    | "sendTimeoutMs"
    | "readTimeoutMs"]: { readonly value: number; readonly by: "upstream" | "gateway" };
};
