/** What streams of one engine share: its time, its limits, its memory, and the counts of each listener. */
import type { Upstream } from "../balancing/index.ts";
import type { Clock } from "../engine/clock.ts";
import { addressTest } from "../engine/message/address-blocks.ts";
import type { ListenerTerms } from "../model/index.ts";
import type { Routes, StreamObserver } from "./contract.ts";
import type { ReadBuffers } from "./read-buffers.ts";

/** Milliseconds; 0 is no limit where a count is meant. */
export interface StreamLimits {
  /** Connections of all listeners at once. */
  readonly maxConnections: number;
  /** What must be said before a connection goes anywhere, has to be said in this time. */
  readonly greetingTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** So long after the first try began no other begins; 0: no limit. */
  readonly tryTimeoutMs: number;
  /** How long a connection waits for the first word about a service. */
  readonly watchTimeoutMs: number;
}

/** What surrounds every stream. */
export interface StreamWorld {
  readonly clock: Clock;
  readonly limits: StreamLimits;
  readonly routes: Routes;
  readonly observer: StreamObserver;
  /** What is at this address, if no peer may be there. */
  readonly forbids: (address: string, port: number) => string | null;
  /** Something failed that ends no stream. */
  readonly onError: (error: unknown) => void;
}

/** @typeParam S a stream over TCP */
export interface StreamHost<S> extends StreamWorld {
  readonly buffers: ReadBuffers;
  /** Resumes the stream when what it awaits may be there. False: too many wait. */
  wait(stream: S): boolean;
  /** The stream is over. */
  remove(stream: S): void;
}

/** A listener with what is on it now. */
export class StreamListener {
  #terms: ListenerTerms;
  #believes: (address: string) => boolean;
  /** Connections, or sessions, that were not turned away. */
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

  /** New ones hold for what comes from now on, and its time limits for what is there. */
  setTerms(terms: ListenerTerms): void {
    this.#terms = terms;
    this.#believes = addressTest(terms.proxyProtocol);
  }

  /** Whether connections from this address begin with the PROXY protocol. */
  believes(address: string): boolean {
    return this.#believes(address);
  }

  /** Why one more from this address is too many; `null`: it is not, and counts from now on. */
  admit(address: string): "too_many_connections" | "too_many_from_address" | null {
    const { maxConnections, maxConnectionsPerAddress: perAddress } = this.terms.limits;
    if (maxConnections > 0 && this.open >= maxConnections) return "too_many_connections";
    if (perAddress > 0 && (this.#addresses.get(address) ?? 0) >= perAddress)
      return "too_many_from_address";
    this.open += 1;
    step(this.#addresses, address, 1);
    return null;
  }

  /** One that was admitted is over. */
  leave(address: string): void {
    this.open -= 1;
    step(this.#addresses, address, -1);
  }

  /** Whether the upstream has room for one more, which counts from now on, and its gate is open. Nobody waits for that. */
  enter({ name, gate }: Upstream, nowMs: number): boolean {
    const most = this.terms.limits.maxConnectionsPerUpstream;
    if (most > 0 && (this.#upstreams.get(name) ?? 0) >= most) return false;
    if (gate !== null && gate.admit(nowMs) !== "pass") return false;
    step(this.#upstreams, name, 1);
    return true;
  }

  /** One that entered at `beganMs` is over. */
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
