/** Turns what operators set by hand into claims about peers' health: it claims that a drained peer is out. */
import type { PeerSettings, Served, SiteNames } from "../../model/index.ts";
import type { PeerHealthBook } from "./peer-health.ts";

export interface DrainsOptions {
  readonly health: Pick<PeerHealthBook, "claim">;
  readonly names: () => SiteNames;
}

export class Drains {
  readonly #options: DrainsOptions;
  /** By name of upstream or service: what was said of which addresses, and under which names of upstreams. */
  readonly #drained = new Map<string, ReadonlyMap<string, readonly string[]>>();

  constructor(options: DrainsOptions) {
    this.#options = options;
  }

  take(changes: readonly Served[]): void {
    for (const { kind, key, value } of changes) if (kind === "peer") this.#set(key, value ?? {});
  }

  #set(name: string, settings: PeerSettings): void {
    const { health } = this.#options;
    const upstreams = this.#upstreamsOf(name);
    const drained = new Map<string, readonly string[]>();
    for (const [address, { isDrained, by }] of Object.entries(settings)) {
      if (!isDrained) continue;
      drained.set(address, upstreams);
      const message = by === "" ? "by hand" : `by ${by}`;
      for (const upstream of upstreams)
        health.claim(address, { source: "admin", upstream }, { code: "drained", message });
    }
    for (const [address, said] of this.#drained.get(name) ?? [])
      for (const upstream of said)
        if (!drained.has(address)) health.claim(address, { source: "admin", upstream }, null);
    if (drained.size === 0) this.#drained.delete(name);
    else this.#drained.set(name, drained);
  }

  /** The upstream of a service in another datacenter goes by the service's key. */
  #upstreamsOf(name: string): readonly string[] {
    const service = this.#options.names().find(name);
    const isService = service !== null && service.tag === null && service.site === name;
    return isService && service.key !== name ? [name, service.key] : [name];
  }
}
