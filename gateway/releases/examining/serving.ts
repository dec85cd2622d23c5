/**
 * What serves, as the gate sees it. The gate tells it the outcome for each source, and asks which other
 * versions depend on a module. It knows nothing of the gate.
 */
import type { Candidate, Source } from "../../model/index.ts";
import type { Declared } from "../../sandbox/index.ts";
import type { Subject } from "../records/keys.ts";

export interface Serving {
  /** Consul has this source for a host, which is to be examined. */
  awaits(host: string, source: Source): void;
  /** Everything that Consul has for a host has been examined, whatever the outcome. */
  examined(host: string): void;
  /** A version passed its checks and declares this. */
  learn(version: string, declared: Declared): void;
  /** Changes that passed or need no check, in their order. */
  take(passed: readonly Candidate[]): void;
  /** Consul has what was let through before: out of a snapshot, after a refused version, or written again. */
  kept(host: string, source: Source): void;
  /** A source did not pass, for this reason; `null`: a module that is gone. */
  refused(subject: Subject, source: Source | null, reason: string): void;
  /** Versions that serve a host, or wait to, beside the accepted one: modules must not break them. */
  inService(host: string): readonly Source[];
  /** Whether the gateways agreed on this version before: those are examined first. */
  hasServed(host: string, version: string): boolean;
}
