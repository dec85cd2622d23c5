/**
 * Counts a worker's streams: bytes while they pass, so that a connection that lasts for days shows up, and
 * connections when they end. Counts are taken as increments.
 */
import { otherLabel, type StreamCounts } from "../model/index.ts";

/** How many pairs of listener and upstream are counted separately. Operators chose both names. */
const maxTallies = 1_000;

/** The sums for one listener and one upstream. Streams hold it and add to it. */
export class StreamTally {
  readonly listener: string;
  readonly upstream: string;
  bytesIn = 0;
  bytesOut = 0;
  ended = 0;
  /** By failure code. */
  failures = new Map<string, number>();

  constructor(listener: string, upstream: string) {
    this.listener = listener;
    this.upstream = upstream;
  }
}

export class StreamTraffic {
  readonly #tallies = new Map<string, StreamTally>();

  tally(listener: string, upstream: string): StreamTally {
    const key = `${listener} ${upstream}`;
    const known = this.#tallies.get(key);
    if (known !== undefined) return known;
    const isOther = listener === otherLabel;
    if (this.#tallies.size >= maxTallies && !isOther) return this.tally(otherLabel, otherLabel);
    const tally = new StreamTally(listener, upstream);
    this.#tallies.set(key, tally);
    return tally;
  }

  /** @param failure the code; empty when both sides closed the stream. */
  ended(listener: string, upstream: string, failure: string): void {
    this.tally(listener, upstream).ended += 1;
    if (failure !== "") this.dropped(listener, upstream, failure);
  }

  /** Counts a failure that was neither a connection nor a session. */
  dropped(listener: string, upstream: string, failure: string): void {
    const { failures } = this.tally(listener, upstream);
    failures.set(failure, (failures.get(failure) ?? 0) + 1);
  }

  /** Returns what was counted since the last call. */
  take(): readonly StreamCounts[] {
    const taken: StreamCounts[] = [];
    for (const tally of this.#tallies.values()) {
      const { listener, upstream, bytesIn, bytesOut, ended, failures } = tally;
      if (bytesIn === 0 && bytesOut === 0 && ended === 0 && failures.size === 0) continue;
      taken.push({
        listener,
        upstream,
        bytesIn,
        bytesOut,
        ended,
        failures: Object.fromEntries(failures),
      });
      Object.assign(tally, { bytesIn: 0, bytesOut: 0, ended: 0, failures: new Map() });
    }
    return taken;
  }
}
