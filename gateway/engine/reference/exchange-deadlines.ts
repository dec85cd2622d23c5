/**
 * Until when the client, and until when the peer, has to move. Looked at by the sweep; what follows when
 * one of them is late is the exchange's to decide.
 */
import type { EngineLimits } from "../engine.ts";

/** Coarse time, in ms. */
interface Clock {
  readonly clock: number;
  readonly limits: EngineLimits;
}

export class ExchangeDeadlines {
  readonly #engine: Clock;
  readonly #client: { readonly unsent: number };
  /** Engine clock; 0: none. */
  #clientAt = 0;
  #peerAt = 0;
  /** What the client had not taken when its deadline was set. */
  #unsent = 0;

  constructor(engine: Clock, client: { readonly unsent: number }) {
    this.#engine = engine;
    this.#client = client;
  }

  /** The client has to send more of its body. */
  awaitBody(): void {
    this.#clientAt = this.#engine.clock + this.#engine.limits.bodyTimeoutMs;
  }

  /** The client has to take its answer. */
  awaitClient(): void {
    this.awaitBody();
    this.#unsent = this.#client.unsent;
  }

  /** The peer has to move within `timeoutMs`. */
  awaitPeer(timeoutMs: number): void {
    this.#peerAt = this.#engine.clock + timeoutMs;
  }

  clearClient(): void {
    this.#clientAt = 0;
  }

  clearPeer(): void {
    this.#peerAt = 0;
  }

  /** True once for each deadline. */
  isPeerLate(now: number): boolean {
    if (this.#peerAt === 0 || now < this.#peerAt) return false;
    this.#peerAt = 0;
    return true;
  }

  /** True once for each deadline. */
  isClientLate(now: number): boolean {
    if (this.#clientAt === 0 || now < this.#clientAt) return false;
    if (this.#client.unsent < this.#unsent) {
      // Slowly, but it takes its answer.
      this.awaitClient();
      return false;
    }
    this.#clientAt = 0;
    return true;
  }
}
