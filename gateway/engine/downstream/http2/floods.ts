/**
 * What a client may send for nothing: frames that cost the gateway work and bring no answer. Each kind has a bucket that
 * fills with every frame and empties with time; a client whose bucket runs over is cut off. What nghttp2 itself bounds
 * (CONTINUATION, acknowledgements that nobody reads, empty frames) is not counted again here.
 */

/**
 * `reset`: a request was cancelled before it was answered (CVE-2023-44487), by the client or by an error that it brought
 * about (CVE-2025-8671). `ping`, `settings`: such a frame came.
 */
export type FloodKind = "reset" | "ping" | "settings";

interface Bucket {
  /** Frames that may come at once. */
  readonly burst: number;
  /** And how many more in each second. */
  readonly perSecond: number;
}

/**
 * A client of gRPC cancels what it raced for another answer, and pings for each window that it measures; it
 * changes its settings once or twice.
 */
const buckets: Readonly<Record<FloodKind, Bucket>> = {
  reset: { burst: 200, perSecond: 20 },
  ping: { burst: 500, perSecond: 100 },
  settings: { burst: 20, perSecond: 2 },
};

export class Floods {
  readonly #levels: Record<FloodKind, number> = { reset: 0, ping: 0, settings: 0 };
  /** When each was last brought up to date, in the engine's milliseconds. */
  readonly #at: Record<FloodKind, number> = { reset: 0, ping: 0, settings: 0 };

  /** Counts one; true: that was one too many. */
  count(kind: FloodKind, now: number): boolean {
    const { burst, perSecond } = buckets[kind];
    const drained = ((now - this.#at[kind]) / 1_000) * perSecond;
    this.#levels[kind] = Math.max(0, this.#levels[kind] - drained) + 1;
    this.#at[kind] = now;
    return this.#levels[kind] > burst;
  }
}
