/**
 * How many queries for services may wait at Consul at once: fewer once Consul has refused connections, since others use the
 * same address and want room as well, and slowly more again. Closes and opens nothing itself.
 */
import type { Clock } from "../watching/clock.ts";

export interface AllowanceOptions {
  readonly clock: Pick<Clock, "now">;
  /** Where it begins, and what it never exceeds. */
  readonly most: number;
}

/** Of the queries that were served when one was refused, what is kept: the rest is room for others. */
const kept = 0.8;
/** A query that is taken back counts in Consul until its wait is over: before that, no room shows. */
const restMs = 40_000;
/** Without a refusal for so long there may be room again. */
const growMs = 5 * 60_000;
const growBy = 1.25;
/** What is always taken. */
const least = 8;

export class Allowance {
  readonly #options: AllowanceOptions;
  #watches: number;
  /** When room is made for others again. */
  #roomAt = Number.NEGATIVE_INFINITY;
  #growAt = Number.POSITIVE_INFINITY;

  constructor(options: AllowanceOptions) {
    this.#options = options;
    this.#watches = options.most;
  }

  get watches(): number {
    return this.#watches;
  }

  /** Consul has refused a connection, with so many queries under way. True when room has been made for others. */
  refused(underWay: number): boolean {
    const { clock, most } = this.#options;
    const now = clock.now();
    const makesRoom = now >= this.#roomAt;
    const allowed = makesRoom ? Math.floor(underWay * kept) : underWay - 1;
    this.#watches = Math.max(Math.min(least, most), Math.min(this.#watches, allowed));
    if (makesRoom) this.#roomAt = now + restMs;
    this.#growAt = now + growMs;
    return makesRoom;
  }

  /** To be called now and then: there may be more. */
  grow(): void {
    const { clock, most } = this.#options;
    const now = clock.now();
    if (now < this.#growAt) return;
    this.#watches = Math.min(most, Math.ceil(this.#watches * growBy));
    this.#growAt = this.#watches === most ? Number.POSITIVE_INFINITY : now + growMs;
  }
}
