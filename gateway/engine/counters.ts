/** What an engine counts for its `stats`. */
export class Counters {
  requests = 0;
  /** Requests that are still running. */
  exchanges = 0;
  droppedHeaders = 0;
  readonly #refused = new Map<string, number>();

  countRefused(code: string): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  /** How many requests were refused, by error code. */
  get refused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refused);
  }
}
