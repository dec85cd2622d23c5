/** What would become of a request, as plain data: what is asked, and what a worker says. */

import type { PolicyName } from "./documents.ts";
import type { BoundsStatus, PeerStatus } from "./upstream-status.ts";

export interface Explanation {
  /** The version of the state that it is about. */
  readonly version: number;
  /** As everything decides by it, before any phase. */
  readonly request: ExplainedRequest;
  /** The sites that it meets: that of its host, then those of the hosts that phases give it. */
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
  /** The key of the host document that holds, without the prefix: `hosts/*.example.com`; `null`: none does. */
  readonly document: string | null;
  /** The service that the host names, with its tag. */
  readonly service: string | null;
  readonly phases: readonly ExplainedPhase[];
}

export interface ExplainedPhase {
  readonly name: string;
  /** What it says of itself. */
  readonly says: readonly string[];
  /** What it changes, each as `path: /old -> /new`. */
  readonly changes: readonly string[];
}

export type ExplainedOutcome =
  /** The gateway answers by itself. `code` and `message` of an error. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly code: string | null;
      readonly message: string | null;
      readonly headers: Readonly<Record<string, string | readonly string[]>>;
    }
  /** It would be held: by a phase, or until the service is watched. */
  | { readonly kind: "held"; readonly by: string }
  | ({ readonly kind: "forward" } & ExplainedRoute);

export interface ExplainedRoute {
  /** What decides: the key of a document or script, or `service`. */
  readonly by: string;
  /** The path of the document's rule, or its route: `routes[0] (beta)`; `null`: no rule decides. */
  readonly rule: string | null;
  /** Routes of the document that are asked before that rule, the first 50, and why each does not decide. */
  readonly passedOver: readonly { readonly route: string; readonly why: string }[];
  /** The side of the split that the request belongs to by itself; `null`: the shares decide. */
  readonly side: { readonly name: string; readonly by: "forced" | "cookie" | "hash" } | null;
  /** What its client stays with; `null`: with nothing. */
  readonly sticky: ExplainedSticky | null;
  /** The upstreams that may get it, with their shares. */
  readonly shares: readonly ExplainedShare[];
}

export interface ExplainedSticky {
  /** `hash`, or the cookie. */
  readonly by: string;
  readonly to: "side" | "server";
  /** What the request says of it. */
  readonly says: string;
}

export interface ExplainedShare {
  /** As the document, script or host names it; of a split with tags or metadata the side. */
  readonly upstream: string;
  /** Of the requests, in per cent. */
  readonly percent: number;
  /** How a peer is picked; `null`: it cannot be used. */
  readonly policy: PolicyName | null;
  /** Why it cannot be used; `null`: it can. */
  readonly why: string | null;
  readonly limits: ExplainedLimits | null;
  /** `null` as `limits`. */
  readonly bounds: BoundsStatus | null;
  readonly peers: readonly PeerStatus[];
  /** The address of the peer that the next request gets; `null`: none. */
  readonly next: string | null;
  /** The `Host` that this peer is sent; `null`: that of the request. */
  readonly host: string | null;
}

/** What holds for a try, and who says so. */
export type ExplainedLimits = {
  readonly [K in
    | "maxTries"
    | "tryTimeoutMs"
    | "connectTimeoutMs"
    | "sendTimeoutMs"
    | "readTimeoutMs"]: { readonly value: number; readonly by: "upstream" | "gateway" };
};
