/** What operators set by hand for single peers, by the upstream document or service that the peers belong to. */
import type { PeerSettings, SiteNames } from "../model/index.ts";

export class PeersByHand {
  readonly #table: ReadonlyMap<string, PeerSettings>;
  readonly #names: SiteNames;

  constructor(table: ReadonlyMap<string, PeerSettings>, names: SiteNames) {
    this.#table = table;
    this.#names = names;
  }

  /** The settings for an upstream document; `null`: none. */
  of(name: string): PeerSettings | null {
    return this.#table.get(name) ?? null;
  }

  /** The settings for a service by its key, `shop` or `shop@dc2`. They are stored under the name of its site. */
  ofService(key: string): PeerSettings | null {
    if (this.#table.size === 0) return null;
    const [name = "", datacenter] = key.split("@");
    return this.of(datacenter === undefined ? name : `${name}.service.${datacenter}.consul`);
  }

  /** The keys of the services that these names refer to; `null` for any. */
  servicesOf(names: ReadonlySet<string> | null): ReadonlySet<string> | null {
    if (names === null) return null;
    const keys = Array.from(names, (name) => this.#names.find(name)?.key ?? null);
    return new Set(keys.filter((key) => key !== null));
  }
}
