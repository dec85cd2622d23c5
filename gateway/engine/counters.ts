/** What an engine counts for its `stats`. */
export class Counters {
  requests = 0;
  /** Requests that are still running. */
  exchanges = 0;
  droppedHeaders = 0;
  readonly #refused = new Map<string, number>();
  /** By error code: whom `countRefused` was last told of. */
  readonly #senders = new Map<string, string>();

  /** `sender`: the address of the connection's other end, where operators may have to find it. */
  countRefused(code: string, sender = ""): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
    if (sender !== "") this.#senders.set(code, sender);
  }

  /** The last known sender, by error code. */
  get lastRefused(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#senders);
  }

  /** How many requests were refused, by error code. */
  get refused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refused);
  }
}
