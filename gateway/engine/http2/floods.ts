/**
 * Bounds the frames that cost work and move nothing. Each kind has a bucket, which every frame fills and time
 * empties; a connection whose bucket overflows is cut off.
 */

/**
 * `reset`: a request was cancelled before it was answered, by the client (CVE-2023-44487) or by an error that the
 * client caused (CVE-2025-8671). `ping`, `settings`, `window`: such a frame came. `empty`: DATA without content.
 * `ignored`: a frame without any effect.
 */
export type FloodKind = "reset" | "ping" | "settings" | "window" | "empty" | "ignored";

interface Bucket {
  /** How many frames may come at once. */
  readonly burst: number;
  /** How many more may come in each second. */
  readonly perSecond: number;
}

/**
 * A gRPC client cancels calls that it raced against another answer, pings for each window that it measures, and
 * changes its settings once or twice. A client may open its window after every few bytes that it reads.
 */
const buckets: Readonly<Record<FloodKind, Bucket>> = {
  reset: { burst: 200, perSecond: 20 },
  ping: { burst: 500, perSecond: 100 },
  settings: { burst: 20, perSecond: 2 },
  window: { burst: 50_000, perSecond: 10_000 },
  empty: { burst: 100, perSecond: 10 },
  ignored: { burst: 1_000, perSecond: 33 },
};

/**
 * The other side may open its windows once for so many bytes that it was sent, before that counts as a flood. The
 * smallest frame counts as more: whoever gets it may open its stream's window and the connection's.
 */
const bytesPerUpdate = 256;
const leastBytes = 2 * bytesPerUpdate;

interface Level {
  frames: number;
  /** When it was last brought up to date, in the clock's milliseconds. */
  at: number;
}

export class Floods {
  /** Only of kinds that came. */
  readonly #levels = new Map<FloodKind, Level>();
  /** What was sent as content, and for how much of that the other side has opened windows and sent pings. */
  #sent = 0;
  #updatedFor = 0;
  #pingedFor = 0;

  /** A frame with so many bytes of content was sent. */
  onSent(bytes: number): void {
    this.#sent += Math.max(leastBytes, bytes);
  }

  /** Counts a WINDOW_UPDATE, unless it is for content that was sent. Returns true when it is one too many. */
  countUpdate(now: number): boolean {
    if (this.#sent - this.#updatedFor < bytesPerUpdate) return this.count("window", now);
    this.#updatedFor += bytesPerUpdate;
    return false;
  }

  /**
   * Counts a PING. Libraries of gRPC measure the connection by a ping for each piece that they were sent, so those
   * are no flood. Returns true when it is one too many.
   */
  countPing(now: number): boolean {
    if (this.#sent - this.#pingedFor < leastBytes) return this.count("ping", now);
    this.#pingedFor += leastBytes;
    return false;
  }

  /** Counts one frame. Returns true when that was one too many. */
  count(kind: FloodKind, now: number): boolean {
    const { burst, perSecond } = buckets[kind];
    let level = this.#levels.get(kind);
    if (level === undefined) {
      level = { frames: 0, at: now };
      this.#levels.set(kind, level);
    }
    const drained = ((now - level.at) / 1_000) * perSecond;
    level.frames = Math.max(0, level.frames - drained) + 1;
    level.at = now;
    return level.frames > burst;
  }
}
