/**
 * By when an exchange's client and its peer have to have moved. Only the one that holds the other up has a
 * deadline; 0 is none. What happens then is the exchange's to decide.
 */
import type { Clock } from "../clock.ts";
import type { EngineLimits } from "../engine.ts";
import type { Target } from "../target.ts";
import type { Downstream } from "./ports.ts";

/** Body bytes of the exchange so far. */
interface Flow {
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export class Deadlines {
  /** On the engine's clock, as `peer` is. */
  client = 0;
  peer = 0;
  readonly #clock: Clock;
  readonly #limits: EngineLimits;
  readonly #downstream: Downstream;
  readonly #flow: Flow;
  /** What the client had not yet taken when its deadline was set, and how much it had been given. */
  #unsent = 0;
  #out = 0;
  /** What of the request had come when the peer's deadline was set. */
  #in = 0;

  constructor(clock: Clock, limits: EngineLimits, downstream: Downstream, flow: Flow) {
    this.#clock = clock;
    this.#limits = limits;
    this.#downstream = downstream;
    this.#flow = flow;
  }

  clear(): void {
    this.client = 0;
    this.peer = 0;
  }

  /** The client is to send more of its request. */
  awaitRequest(): void {
    this.#unsent = 0;
    this.#out = this.#flow.bytesOut;
    this.client = this.#clock.current + this.#limits.bodyTimeoutMs;
  }

  /** The client is to take what has been written. */
  awaitTaking(): void {
    this.awaitRequest();
    this.#unsent = this.#downstream.unsentBytes;
  }

  /** Either side of an upgraded connection is to send something. */
  awaitTunnel(): void {
    this.#unsent = 0;
    this.client = this.#clock.current + this.#limits.tunnelTimeoutMs;
  }

  /** Whether the client takes what it is given, though slowly. */
  get isClientTaking(): boolean {
    return this.#downstream.unsentBytes < this.#unsent;
  }

  /** Whether more of the answer was written meanwhile: an upload may wait for what the client reads of it. */
  get hasAnswerFlowed(): boolean {
    return this.#flow.bytesOut > this.#out;
  }

  /** The peer has the whole request, and is to answer. */
  awaitAnswer(target: Target | null): void {
    this.peer = this.#clock.current + (target?.readTimeoutMs ?? this.#limits.responseTimeoutMs);
  }

  /** The peer is to take what has been written. */
  awaitRoom(target: Target | null): void {
    this.peer = this.#clock.current + (target?.sendTimeoutMs ?? this.#limits.bodyTimeoutMs);
  }

  /** The peer is to send more of its answer. */
  awaitAnswerBody(target: Target | null): void {
    this.#in = this.#flow.bytesIn;
    this.peer = this.#clock.current + (target?.readTimeoutMs ?? this.#limits.bodyTimeoutMs);
  }

  /** The peer is done, and the tap is to give what is left of the answer. */
  awaitTap(): void {
    this.#out = this.#flow.bytesOut;
    this.peer = this.#clock.current + this.#limits.bodyTimeoutMs;
  }

  /** Whether more of the request came meanwhile: an answer may wait for what the peer reads of it. */
  get hasRequestFlowed(): boolean {
    return this.#flow.bytesIn > this.#in;
  }
}
