/**
 * What is known about the health of an address, as plain data. The primary puts it together from the claims of all
 * sources, and serves it as the kind `health`, with one entry for each address that is not simply well; so every
 * worker has it, even one that has just started. Nothing here decides which peer is picked; balancing/ does, by this
 * data.
 */

/** Slardar's words. `unstable`: the address may be picked, but with care or for want of a better one. */
export type HealthState = "ok" | "unstable" | "err";

/**
 * Who may say something about an address. Instances that fail Consul's checks are not listed at all, so they need no
 * claim.
 */
export type HealthSource =
  /** Active checks, which the primary makes. */
  | "check"
  /** What workers have met with requests. */
  | "passive"
  /** An operator, by hand. */
  | "admin";

/** The reason; operators read it in logs and in `/status` too. */
export type HealthCode =
  | "check_failed"
  /** As in nginx: too many failures within `fail_timeout`. */
  | "max_fails"
  | "consecutive_failures"
  | "success_rate"
  /** It was out because of failures, and has to prove itself with a few requests. */
  | "recovering"
  | "drained";

/** One reason why an address is not simply well. Each source gives at most one for an upstream. */
export interface HealthReason {
  readonly source: HealthSource;
  /** The upstream that the reason is about; `null`: every upstream that has the address. */
  readonly upstream: string | null;
  readonly code: HealthCode;
  /** For people, in one clause: `connect_failed: connection refused`. */
  readonly message: string;
  /** Since when, in milliseconds since the epoch. */
  readonly sinceMs: number;
  /** When it ends by itself, in milliseconds since the epoch; `null`: only its source ends it. */
  readonly untilMs: number | null;
}

/** The health of an address. One without an entry is `ok`. */
export interface PeerHealth {
  /** The worst state that any reason causes, whatever the upstream. */
  readonly state: HealthState;
  /** At least one. */
  readonly reasons: readonly HealthReason[];
  /** Since when it has this state, in milliseconds since the epoch. */
  readonly sinceMs: number;
}

/** What a worker has found out about an address by sending requests to it. */
export interface PeerFinding {
  /** `host:port`, with an IPv6 address in brackets. */
  readonly address: string;
  /** `null`: every upstream that has the address. */
  readonly upstream: string | null;
  /** `recovered` takes back the others. */
  readonly code: "max_fails" | "consecutive_failures" | "success_rate" | "recovered";
  readonly message: string;
  /** How long it has to be out, the first time; 0 with `recovered`. */
  readonly forMs: number;
  /** The longest time that it may be out, however often that happens. */
  readonly maxForMs: number;
}

export function stateOf(code: HealthCode): Exclude<HealthState, "ok"> {
  return code === "recovering" ? "unstable" : "err";
}
