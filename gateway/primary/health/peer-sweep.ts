/** Has the health of addresses forgotten that no upstream names any more. */
import type { Tables } from "../../model/index.ts";
import { formatAddress } from "../../settings-values.ts";
import type { Clock } from "../clock.ts";
import type { PeerHealthBook } from "./peer-health.ts";

export interface PeerSweepOptions {
  readonly health: Pick<PeerHealthBook, "keep" | "size">;
  readonly tables: () => Pick<Tables, "upstream" | "service">;
  readonly clock: Pick<Clock, "after">;
}

/** It looks at every address that is served, so not often. */
const everyMs = 30_000;

export class PeerSweep {
  readonly #options: PeerSweepOptions;
  #cancel: (() => void) | null = null;

  constructor(options: PeerSweepOptions) {
    this.#options = options;
  }

  start(): void {
    this.#cancel = this.#options.clock.after(everyMs, () => {
      this.#sweep();
      this.start();
    });
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #sweep(): void {
    const { health, tables } = this.#options;
    if (health.size === 0) return;
    const { upstream, service } = tables();
    const named = new Set<string>();
    for (const { levels } of upstream.values())
      for (const { servers } of levels) for (const one of servers) named.add(formatAddress(one));
    for (const instances of service.values())
      for (const { address: host, port } of instances) named.add(formatAddress({ host, port }));
    health.keep((address) => named.has(address));
  }
}
