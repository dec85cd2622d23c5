/** The tries of one request: how many there were, on which peers, and whether there may be another. */
import type { EngineLimits } from "../engine.ts";
import type { Peer } from "../peer.ts";
import type { Target } from "../target.ts";

/**
 * The most peers that one request is tried on. A refused connection sends nothing and so does not count as sent,
 * but a thousand refusals for each request to a dead service would be a storm that the gateway itself makes.
 */
const maxPeersPerRequest = 100;

export class Tries {
  /** How many tries may have sent bytes of the request. */
  sent = 0;
  /** Where the current try goes; `null` before the first. */
  target: Target | null = null;
  /** When the current try began, on the exact clock. */
  beganMs = 0;
  readonly #peers: Peer[] = [];
  /** When the first try began, on the engine's clock. */
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

  /** Whether the engine's limits and the current target's allow another try. */
  leavesAnother(limits: EngineLimits, coarseMs: number): boolean {
    const tryTimeoutMs = this.target?.tryTimeoutMs ?? limits.tryTimeoutMs;
    return (
      this.sent < (this.target?.maxTries ?? limits.maxTries) &&
      (tryTimeoutMs === 0 || coarseMs - this.#firstMs < tryTimeoutMs) &&
      this.#peers.length < maxPeersPerRequest
    );
  }
}
