/**
 * What workers share through the primary, which counts it for all of them: the requests that each has at peers and
 * upstreams, what calls of scripts cost, and the tokens of rate limits.
 */
import { TokenBuckets } from "../limits/index.ts";
import type { Loads, ScriptReport, TokenAsk, TokenGrant, ToWorker } from "../model/index.ts";
import type { Clock } from "./clock.ts";
import { LoadSums } from "./load-sums.ts";
import { ScriptCosts } from "./script-costs.ts";

/** How often workers are told of the requests that the others have. */
const loadsMs = 50;

export class SharedCounts {
  readonly #clock: Clock;
  readonly #peers = new LoadSums();
  readonly #upstreams = new LoadSums();
  readonly #costs = new ScriptCosts();
  readonly #buckets: TokenBuckets;
  readonly #workers = new Map<number, (message: ToWorker) => void>();
  #cancel: (() => void) | null = null;

  /** @param shares how many workers share what a rate gives in advance. */
  constructor(shares: number, clock: Clock) {
    this.#buckets = new TokenBuckets(shares);
    this.#clock = clock;
  }

  /** From now on tells each worker what all others have. */
  start(): void {
    this.#cancel = this.#clock.after(loadsMs, () => {
      this.#peers.tellAll();
      this.#upstreams.tellAll();
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  /** A new worker, which has no requests: it is told what scripts cost now, and of the requests of the others later. */
  add(worker: number, send: (message: ToWorker) => void): void {
    this.#workers.set(worker, send);
    this.#peers.add(worker, (peers) => send({ type: "loads", loads: { peers, upstreams: [] } }));
    this.#upstreams.add(worker, (upstreams) =>
      send({ type: "loads", loads: { peers: [], upstreams } }),
    );
    send({ type: "scriptCosts", costs: this.#costs.all() });
  }

  /** It has ended, and its requests with it. */
  remove(worker: number): void {
    this.#workers.delete(worker);
    this.#peers.remove(worker);
    this.#upstreams.remove(worker);
  }

  takeLoads(worker: number, { peers, upstreams }: Loads): void {
    this.#peers.take(worker, peers);
    this.#upstreams.take(worker, upstreams);
  }

  /** Every worker is told of what costs something else than was known. */
  takeCosts(reports: readonly ScriptReport[]): void {
    const costs = this.#costs.take(reports);
    if (costs.length === 0) return;
    for (const send of this.#workers.values()) send({ type: "scriptCosts", costs });
  }

  /** Takes tokens out of the buckets that all workers share, in the order of `asks`. */
  grant(asks: readonly TokenAsk[]): readonly TokenGrant[] {
    const nowMs = this.#clock.ticks();
    return asks.map((ask) => this.#buckets.take(ask, nowMs));
  }
}
