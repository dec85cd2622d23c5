/**
 * Tells the other workers, through the primary, how many requests this one has where limits or policies depend on
 * that, and hears the same from them.
 */
import type { Gate, PeerBook } from "../balancing/index.ts";
import type { Load, Loads } from "../model/index.ts";

/**
 * How often. The primary passes loads on as often, so another worker's load is known after twice that time at most.
 */
const shareMs = 50;

export interface LoadShareOptions {
  readonly book: PeerBook;
  /** The gates of all current upstreams, by upstream name. */
  readonly gates: () => ReadonlyMap<string, Gate>;
  readonly send: (loads: Loads) => void;
}

export class LoadShare {
  readonly #options: LoadShareOptions;
  /** What was last reported, by upstream. */
  #told = new Map<string, number>();

  constructor(options: LoadShareOptions) {
    this.#options = options;
  }

  start(): void {
    setInterval(() => this.share(), shareMs).unref();
  }

  share(): void {
    const peers = this.#options.book.takeLoads();
    const upstreams = this.#takeLoads();
    if (peers.length > 0 || upstreams.length > 0) this.#options.send({ peers, upstreams });
  }

  hear({ peers, upstreams }: Loads): void {
    const { book } = this.#options;
    const gates = this.#options.gates();
    for (const [address, requests] of peers) book.hearLoad(address, requests);
    for (const [name, requests] of upstreams) {
      const gate = gates.get(name);
      if (gate !== undefined) gate.elsewhere = requests;
    }
    for (const gate of gates.values()) gate.wake();
  }

  #takeLoads(): readonly Load[] {
    const gates = this.#options.gates();
    const loads: Load[] = [];
    const told = new Map<string, number>();
    for (const [name, { inFlight, options }] of gates) {
      if (options.maxRequests === 0 || inFlight === 0) continue;
      told.set(name, inFlight);
      if (this.#told.get(name) !== inFlight) loads.push([name, inFlight]);
    }
    for (const name of this.#told.keys()) if (!told.has(name)) loads.push([name, 0]);
    this.#told = told;
    return loads;
  }
}
