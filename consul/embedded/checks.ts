/**
 * One running check of this agent: it waits for reports (TTL) or probes by itself (HTTP, TCP), and reports what it
 * found. Knows nothing of the catalog.
 */
import type { CheckReach } from "./check-reach.ts";
import type { Clock, Timer } from "./clock.ts";
import { longestOutput, type Outcome, probeHttp, probeTcp } from "./probes.ts";
import type { CheckDefinition } from "./records.ts";

/** A critical service leaves no sooner than this, as in Consul. */
const shortestDeregisterMs = 60_000;
const shortestIntervalMs = 1000;
const defaultTimeoutMs = 10_000;

export interface CheckEvents {
  /** The status or the output has changed. */
  changed(outcome: Outcome): void;
  /** The check has been critical for as long as `DeregisterCriticalServiceAfter` says. */
  overdue(): void;
}

export class RunningCheck {
  readonly definition: CheckDefinition;
  readonly #reach: CheckReach;
  readonly #clock: Clock;
  readonly #events: CheckEvents;
  readonly #stop = new AbortController();
  #outcome: Outcome;
  #next: Timer | null = null;
  #overdue: Timer | null = null;
  #successes = 0;
  #failures = 0;

  /** `random` from 0 to 1 spreads the first look over the interval. */
  constructor(
    definition: CheckDefinition,
    outcome: Outcome,
    reach: CheckReach,
    clock: Clock,
    random: () => number,
    events: CheckEvents,
  ) {
    this.definition = definition;
    this.#reach = reach;
    this.#outcome = outcome;
    this.#clock = clock;
    this.#events = events;
    if (definition.kind === "ttl") {
      this.#awaitReport(definition.ttlMs);
    } else if (definition.kind !== "maintenance") {
      this.#next = clock.after(random() * this.#intervalMs, () => this.#look());
    }
    this.#watchCritical();
  }

  get outcome(): Outcome {
    return this.#outcome;
  }

  /** Takes a report for a TTL check, whose TTL starts again. */
  report(outcome: Outcome): void {
    this.#awaitReport(this.definition.ttlMs);
    this.#become({ ...outcome, output: outcome.output.slice(0, longestOutput) });
  }

  close(): void {
    this.#stop.abort();
    this.#next?.cancel();
    this.#overdue?.cancel();
  }

  get #intervalMs(): number {
    return Math.max(this.definition.intervalMs, shortestIntervalMs);
  }

  get #timeoutMs(): number {
    const { timeoutMs } = this.definition;
    return timeoutMs > 0 ? timeoutMs : Math.min(defaultTimeoutMs, this.#intervalMs);
  }

  #awaitReport(delayMs: number): void {
    this.#next?.cancel();
    this.#next = this.#clock.after(delayMs, () => {
      const last = this.#outcome.output;
      const output =
        last === "" ? "TTL expired" : `TTL expired (last output before timeout follows): ${last}`;
      this.#become({ status: "critical", output });
    });
  }

  async #look(): Promise<void> {
    const probe = this.definition.kind === "http" ? probeHttp : probeTcp;
    const outcome = await probe(this.definition, this.#reach, this.#timeoutMs, this.#stop.signal);
    if (this.#stop.signal.aborted) return;
    this.#next = this.#clock.after(this.#intervalMs, () => this.#look());
    this.#count(outcome);
  }

  /** Consul's `SuccessBeforePassing` and `FailuresBeforeCritical`. */
  #count(outcome: Outcome): void {
    if (outcome.status === "critical") {
      this.#successes = 0;
      this.#failures += 1;
      if (this.#failures >= this.definition.failuresBeforeCritical) this.#become(outcome);
    } else {
      this.#failures = 0;
      this.#successes += 1;
      if (this.#successes >= this.definition.successBeforePassing) this.#become(outcome);
    }
  }

  #become(outcome: Outcome): void {
    const before = this.#outcome;
    if (before.status === outcome.status && before.output === outcome.output) return;
    this.#outcome = outcome;
    this.#watchCritical();
    this.#events.changed(outcome);
  }

  #watchCritical(): void {
    const { deregisterAfterMs } = this.definition;
    if (this.#outcome.status !== "critical") {
      this.#overdue?.cancel();
      this.#overdue = null;
    } else if (deregisterAfterMs > 0 && this.#overdue === null) {
      const delayMs = Math.max(deregisterAfterMs, shortestDeregisterMs);
      this.#overdue = this.#clock.after(delayMs, () => this.#events.overdue());
    }
  }
}
