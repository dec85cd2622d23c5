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

/** The part of the queries that is kept when Consul refuses one: the rest makes room for others. */
const kept = 0.8;
/** A cancelled query counts in Consul until its wait is over: before that, no room shows. */
const restMs = 40_000;
/** After so long without a refusal there may be room again. */
const growMs = 5 * 60_000;
const growBy = 1.25;
/** The fewest queries, which are always made. */
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

  /**
   * Consul has refused a connection while so many queries were under way. True when this made room for others.
   */
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

  /** To be called now and then: raises the number again. */
  grow(): void {
    const { clock, most } = this.#options;
    const now = clock.now();
    if (now < this.#growAt) return;
    this.#watches = Math.min(most, Math.ceil(this.#watches * growBy));
    this.#growAt = this.#watches === most ? Number.POSITIVE_INFINITY : now + growMs;
  }
}
