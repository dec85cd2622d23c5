/** What the streams of one engine share: its clock, its limits, its memory, and the counts of each listener. */
import type { Upstream } from "../balancing/index.ts";
import type { Clock } from "../engine/clock.ts";
import { addressTest } from "../engine/message/address-blocks.ts";
import type { ListenerTerms } from "../model/index.ts";
import type { Routes, StreamObserver } from "./contract.ts";
import type { ReadBuffers } from "./read-buffers.ts";

/** Times are in milliseconds. Where a number counts something, 0 means no limit. */
export interface StreamLimits {
  /** Connections at once on all listeners together. */
  readonly maxConnections: number;
  /** How long a client may take to say what must be said before its connection goes anywhere. */
  readonly greetingTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** No further try begins so long after the first began; 0: no limit. */
  readonly tryTimeoutMs: number;
  /** How long a connection waits until a service is watched for the first time. */
  readonly watchTimeoutMs: number;
}

/** What surrounds every stream. */
export interface StreamWorld {
  readonly clock: Clock;
  readonly limits: StreamLimits;
  readonly routes: Routes;
  readonly observer: StreamObserver;
  /** Names what is at this address when no peer may be there; `null` when one may. */
  readonly forbids: (address: string, port: number) => string | null;
  /** Receives errors that do not end a stream. */
  readonly onError: (error: unknown) => void;
}

/** @typeParam S a stream over TCP */
export interface StreamHost<S> extends StreamWorld {
  readonly buffers: ReadBuffers;
  /** Resumes the stream when what it awaits may be there. Returns false when too many streams wait. */
  wait(stream: S): boolean;
  /** The stream is over. */
  remove(stream: S): void;
}

/** A listener, and its open streams. */
export class StreamListener {
  #terms: ListenerTerms;
  #believes: (address: string) => boolean;
  /** Admitted connections or sessions. */
  open = 0;
  readonly #addresses = new Map<string, number>();
  readonly #upstreams = new Map<string, number>();

  constructor(terms: ListenerTerms) {
    this.#terms = terms;
    this.#believes = addressTest(terms.proxyProtocol);
  }

  get terms(): ListenerTerms {
    return this.#terms;
  }

  /** Sets new terms: all of them for later streams, and the time limits also for those that are open. */
  setTerms(terms: ListenerTerms): void {
    this.#terms = terms;
    this.#believes = addressTest(terms.proxyProtocol);
  }

  /** Whether connections from this address begin with the PROXY protocol. */
  believes(address: string): boolean {
    return this.#believes(address);
  }

  /**
   * Why no further stream from this address may be admitted; `null` when it was admitted, and counts from now on.
   * `address`: `null` when a sender has still to say whose connection it is.
   */
  admit(address: string | null): "too_many_connections" | "too_many_from_address" | null {
    const { maxConnections } = this.terms.limits;
    if (maxConnections > 0 && this.open >= maxConnections) return "too_many_connections";
    const refusal = address === null ? null : this.countFor(address);
    if (refusal === null) this.open += 1;
    return refusal;
  }

  /** Why no further stream may count for this address; `null` when it counts from now on. */
  countFor(address: string): "too_many_from_address" | null {
    const { maxConnectionsPerAddress: most } = this.terms.limits;
    if (most > 0 && (this.#addresses.get(address) ?? 0) >= most) return "too_many_from_address";
    step(this.#addresses, address, 1);
    return null;
  }

  /** An admitted stream is over. `address`: for which it counts. */
  leave(address: string | null): void {
    this.open -= 1;
    if (address !== null) step(this.#addresses, address, -1);
  }

  /**
   * Whether the upstream has room for one more stream and its breaker lets it through. If so, the stream counts from
   * now on. Streams do not wait for room.
   */
  enter({ name, gate }: Upstream, nowMs: number): boolean {
    const most = this.terms.limits.maxConnectionsPerUpstream;
    if (most > 0 && (this.#upstreams.get(name) ?? 0) >= most) return false;
    if (gate !== null && gate.admit(nowMs) !== "pass") return false;
    step(this.#upstreams, name, 1);
    return true;
  }

  /** A stream that entered at `beganMs` is over. */
  leaveUpstream({ name, gate }: Upstream, beganMs: number): void {
    step(this.#upstreams, name, -1);
    gate?.leave(beganMs);
  }
}

function step(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
