/** Records and counts the streams of a worker. */
import { type FailureCode, isPeersFault, type Peer } from "../engine/engine.ts";
import { noUpstream } from "../model/index.ts";
import type { AccessLog } from "../observability/access-log.ts";
import type { StreamTraffic } from "../observability/stream-traffic.ts";
import type { Traffic } from "../observability/traffic.ts";
import type { StreamFailure, StreamObserver, StreamRecord, StreamTally } from "../streams/index.ts";
import type { FailureLog } from "./failure-log.ts";

export interface StreamObservationOptions {
  /** `null`: streams are not recorded. */
  readonly accessLog: AccessLog | null;
  readonly failures: FailureLog;
  readonly traffic: Traffic;
  readonly streams: StreamTraffic;
}

export class StreamObservation implements StreamObserver {
  readonly #options: StreamObservationOptions;

  constructor(options: StreamObservationOptions) {
    this.#options = options;
  }

  tally(listener: string, upstream: string): StreamTally {
    return this.#options.streams.tally(listener, upstream);
  }

  peerFailed(upstream: string, peer: Peer, code: FailureCode, message: string): void {
    const { failures, traffic } = this.#options;
    const failure = { code, message };
    if (isPeersFault(failure)) failures.record(upstream, peer.key, failure);
    else failures.recordOwn(failure);
    traffic.peerFailed(upstream, code);
  }

  dropped(listener: string, failure: StreamFailure): void {
    this.#options.streams.dropped(listener, noUpstream, failure);
  }

  ended(record: StreamRecord): void {
    const { accessLog, streams } = this.#options;
    streams.ended(record.listener, record.upstream || noUpstream, record.failure);
    accessLog?.recordStream({ ...record, peer: record.peer?.key ?? "" });
  }
}
