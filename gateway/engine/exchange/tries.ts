/** The tries of one request: how many there were, of whom, and whether there may be another. */
import type { EngineLimits } from "../engine.ts";
import type { Peer } from "../peer.ts";
import type { Target } from "../target.ts";

/**
 * Peers that one request is tried on at most, whatever fails: nothing is sent by a connection that is refused,
 * but a thousand refusals for each request to a dead service would be a storm of the gateway's own making.
 */
const maxPeersPerRequest = 100;

export class Tries {
  /** Those in which bytes of the request may have been sent. */
  sent = 0;
  /** Where the current one goes; `null` before the first. */
  target: Target | null = null;
  /** When it began. */
  beganMs = 0;
  readonly #peers: Peer[] = [];
  /** Engine clock: when the first began. */
  #firstMs = 0;

  reset(): void {
    this.sent = 0;
    this.target = null;
    this.#peers.length = 0;
  }

  /** `coarseMs` is the engine's clock. */
  begin(target: Target, nowMs: number, coarseMs: number): void {
    if (this.#peers.length === 0) this.#firstMs = coarseMs;
    this.target = target;
    this.beganMs = nowMs;
    this.#peers.push(target.peer);
  }

  get count(): number {
    return this.#peers.length;
  }

  has(peer: Peer): boolean {
    return this.#peers.includes(peer);
  }

  /** Whether the limits, and those of the current target, leave another. */
  leavesAnother(limits: EngineLimits, coarseMs: number): boolean {
    const tryTimeoutMs = this.target?.tryTimeoutMs ?? limits.tryTimeoutMs;
    return (
      this.sent < (this.target?.maxTries ?? limits.maxTries) &&
      (tryTimeoutMs === 0 || coarseMs - this.#firstMs < tryTimeoutMs) &&
      this.#peers.length < maxPeersPerRequest
    );
  }
}
