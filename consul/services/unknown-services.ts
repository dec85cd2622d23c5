/**
 * Services that requests asked for and that do not exist. They get an empty list at once, which is removed
 * after a while, so that made-up names leave nothing behind.
 */
import type { Observed } from "../../gateway/model/index.ts";
import type { Clock } from "../watching/clock.ts";

const keptMs = 10_000;
const maxKept = 1_000;

export class UnknownServices {
  readonly #clock: Clock;
  /** Key -> when it is forgotten; the oldest first. */
  readonly #keys = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  keys(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** The empty list for `key`, and what is taken back to keep the number of them bounded. */
  add(key: string): Observed[] {
    this.#keys.delete(key);
    this.#keys.set(key, this.#clock.now() + keptMs);
    const changes: Observed[] = [{ kind: "service", key, value: [] }];
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > maxKept && oldest !== undefined) changes.push(this.#take(oldest));
    return changes;
  }

  /** The service exists after all: it has, or will have, a list of its own. */
  delete(key: string): void {
    this.#keys.delete(key);
  }

  /** What is taken back because its time is over. */
  expire(): Observed[] {
    const now = this.#clock.now();
    const over = [...this.#keys].filter(([, until]) => until <= now);
    return over.map(([key]) => this.#take(key));
  }

  #take(key: string): Observed {
    this.#keys.delete(key);
    return { kind: "service", key, value: null };
  }
}
