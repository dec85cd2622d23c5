/**
 * What is known of the health of an address, as plain data. The primary puts it together from the claims of all who
 * may have one, and serves it as the kind `health`, one entry for each address that is not simply well; so every
 * worker has it, one that has just started included. Nothing here decides who is picked: balancing/ asks it.
 */

/** Slardar's words. `unstable`: it may be picked, and with care or for want of a better one. */
export type HealthState = "ok" | "unstable" | "err";

/** Who may say something about an address. What Consul's checks fail is not listed at all, so it needs no claim. */
export type HealthSource =
  /** Active checks, made by the primary. */
  | "check"
  /** What workers have met with requests. */
  | "passive"
  /** An operator, by hand. */
  | "admin";

/** What is said; also what an operator reads in logs and in `/status`. */
export type HealthCode =
  | "check_failed"
  /** As in nginx: so many failures within `fail_timeout`. */
  | "max_fails"
  | "consecutive_failures"
  | "success_rate"
  /** It was out because of failures, and has to prove itself with a few requests. */
  | "recovering"
  | "drained";

/** One thing that keeps an address from being simply well. There is at most one of a source for an upstream. */
export interface HealthReason {
  readonly source: HealthSource;
  /** The upstream that it is about; `null`: every one that names the address. */
  readonly upstream: string | null;
  readonly code: HealthCode;
  /** For people, in one clause: `connect_failed: connection refused`. */
  readonly message: string;
  /** Since when, in milliseconds since the epoch. */
  readonly sinceMs: number;
  /** When it ends by itself, likewise; `null`: when whoever said it takes it back. */
  readonly untilMs: number | null;
}

/** Of an address; one without an entry is `ok`. */
export interface PeerHealth {
  /** Whatever the upstream: the worst that a reason makes of it. */
  readonly state: HealthState;
  /** At least one. */
  readonly reasons: readonly HealthReason[];
  /** When `state` became what it is. */
  readonly sinceMs: number;
}

/** What a worker has found out about an address by sending requests to it. */
export interface PeerFinding {
  /** `host:port`, an IPv6 address in brackets. */
  readonly address: string;
  /** `null`: every upstream that names the address. */
  readonly upstream: string | null;
  /** `recovered` takes the others back. */
  readonly code: "max_fails" | "consecutive_failures" | "success_rate" | "recovered";
  readonly message: string;
  /** How long it is to be out, the first time; 0 with `recovered`. */
  readonly forMs: number;
  /** How long at most, however often it comes to that. */
  readonly maxForMs: number;
}

export function stateOf(code: HealthCode): Exclude<HealthState, "ok"> {
  return code === "recovering" ? "unstable" : "err";
}
