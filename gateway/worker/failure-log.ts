/**
 * Logs failing peers: at most one record for each peer in a while, with the number of records left out. A dead peer
 * under load must not drown the log.
 */
import type { PeerFailure } from "../engine/engine.ts";
import type { Log } from "../observability/logger.ts";

const quietMs = 1_000;
/** How many peers are remembered; the oldest are forgotten first. */
const capacity = 10_000;

interface Quiet {
  readonly loggedMs: number;
  leftOut: number;
}

export class FailureLog {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #descriptors: number | null;
  readonly #peers = new Map<string, Quiet>();
  #own: Quiet | null = null;

  /** `now`: monotonic milliseconds. `descriptors`: how many this process may have open, if known. */
  constructor(log: Log, now: () => number, descriptors: number | null = null) {
    this.#log = log;
    this.#now = now;
    this.#descriptors = descriptors;
  }

  /** Records that the gateway itself lacks something, which is not a peer's failure. */
  recordOwn({ code, message }: PeerFailure): void {
    const now = this.#now();
    if (this.#own !== null && now - this.#own.loggedMs < quietMs) {
      this.#own.leftOut += 1;
      return;
    }
    const leftOut = this.#own?.leftOut ?? 0;
    this.#log.error({ code, leftOut, descriptors: this.#descriptors }, message);
    this.#own = { loggedMs: now, leftOut: 0 };
  }

  record(upstream: string, peer: string, failure: PeerFailure): void {
    const now = this.#now();
    const known = this.#peers.get(peer);
    if (known !== undefined && now - known.loggedMs < quietMs) {
      known.leftOut += 1;
      return;
    }
    const { code, message } = failure;
    const leftOut = known?.leftOut ?? 0;
    this.#log.warn({ upstream, peer, code, leftOut }, message);
    this.#peers.delete(peer);
    this.#peers.set(peer, { loggedMs: now, leftOut: 0 });
    const oldest = this.#peers.keys().next();
    if (this.#peers.size > capacity && !oldest.done) this.#peers.delete(oldest.value);
  }
}
