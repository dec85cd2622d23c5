/**
 * By when an exchange's client and its peer have to move. Only the side that holds up the other has a deadline; 0 is
 * none. The exchange decides what happens when a deadline has passed.
 */
import type { Clock } from "../clock.ts";
import type { EngineLimits } from "../engine.ts";
import type { Target } from "../target.ts";
import type { Downstream } from "./ports.ts";

/** Body bytes that the exchange has moved so far. */
interface Flow {
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export class Deadlines {
  /** The client's deadline on the engine's clock. `peer` is the peer's. */
  client = 0;
  peer = 0;
  readonly #clock: Clock;
  readonly #limits: EngineLimits;
  readonly #downstream: Downstream;
  readonly #flow: Flow;
  /** What the client had not yet taken when its deadline was set, and how much it had been given by then. */
  #unsent = 0;
  #out = 0;
  /** How many bytes of the request had come when the peer's deadline was set. */
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

  /** The client has to send more of its request. */
  awaitRequest(): void {
    this.#unsent = 0;
    this.#out = this.#flow.bytesOut;
    this.client = this.#clock.current + this.#limits.bodyTimeoutMs;
  }

  /** The client has to take what has been written. */
  awaitTaking(): void {
    this.awaitRequest();
    this.#unsent = this.#downstream.unsentBytes;
  }

  /** Either side of an upgraded connection has to send something. */
  awaitTunnel(): void {
    this.#unsent = 0;
    this.client = this.#clock.current + this.#limits.tunnelTimeoutMs;
  }

  /** Whether the client takes what it is given, however slowly. */
  get isClientTaking(): boolean {
    return this.#downstream.unsentBytes < this.#unsent;
  }

  /** Whether the client was given more since: a client may read the answer before it goes on with its upload. */
  get hasAnswerFlowed(): boolean {
    return this.#flow.bytesOut > this.#out;
  }

  /** The peer has the whole request, and has to answer. */
  awaitAnswer(target: Target | null): void {
    this.peer = this.#clock.current + (target?.readTimeoutMs ?? this.#limits.responseTimeoutMs);
  }

  /** The peer has to take what has been written. */
  awaitRoom(target: Target | null): void {
    this.peer = this.#clock.current + (target?.sendTimeoutMs ?? this.#limits.bodyTimeoutMs);
  }

  /** The peer has to send more of its answer. */
  awaitAnswerBody(target: Target | null): void {
    this.#in = this.#flow.bytesIn;
    this.peer = this.#clock.current + (target?.readTimeoutMs ?? this.#limits.bodyTimeoutMs);
  }

  /** The peer is done, and the tap has to give the rest of the answer. */
  awaitTap(): void {
    this.#out = this.#flow.bytesOut;
    this.peer = this.#clock.current + this.#limits.bodyTimeoutMs;
  }

  /** Whether more of the request came since: a peer may read the request before it goes on with its answer. */
  get hasRequestFlowed(): boolean {
    return this.#flow.bytesIn > this.#in;
  }
}
