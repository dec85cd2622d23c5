/**
 * Bounds the frames that cost the gateway work and bring no answer. Each kind has a bucket, which every frame fills
 * and time empties; a client whose bucket overflows is cut off. Frames that nghttp2 itself bounds (CONTINUATION,
 * acknowledgements that nobody reads, empty frames) are not counted again here.
 */

/**
 * `reset`: a request was cancelled before it was answered, by the client (CVE-2023-44487) or by an error that the
 * client caused (CVE-2025-8671). `ping`, `settings`: such a frame came.
 */
export type FloodKind = "reset" | "ping" | "settings";

interface Bucket {
  /** How many frames may come at once. */
  readonly burst: number;
  /** How many more may come in each second. */
  readonly perSecond: number;
}

/**
 * A gRPC client cancels calls that it raced against another answer, pings for each window that it measures, and
 * changes its settings once or twice.
 */
const buckets: Readonly<Record<FloodKind, Bucket>> = {
  reset: { burst: 200, perSecond: 20 },
  ping: { burst: 500, perSecond: 100 },
  settings: { burst: 20, perSecond: 2 },
};

export class Floods {
  readonly #levels: Record<FloodKind, number> = { reset: 0, ping: 0, settings: 0 };
  /** When each level was last brought up to date, in the engine's milliseconds. */
  readonly #at: Record<FloodKind, number> = { reset: 0, ping: 0, settings: 0 };

  /** Counts one frame. Returns true when that was one too many. */
  count(kind: FloodKind, now: number): boolean {
    const { burst, perSecond } = buckets[kind];
    const drained = ((now - this.#at[kind]) / 1_000) * perSecond;
    this.#levels[kind] = Math.max(0, this.#levels[kind] - drained) + 1;
    this.#at[kind] = now;
    return this.#levels[kind] > burst;
  }
}
