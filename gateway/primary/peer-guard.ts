/**
 * Removes from Consul's entries the servers that cannot be peers, because the gateway's own admin API or
 * Consul's API is there. Remembers for each key what it removed.
 */

import type { Instance, Level, Observed } from "../model/index.ts";
import type { OwnAddresses } from "../own-addresses.ts";
import { formatAddress } from "../settings-values.ts";
import type { Finding } from "./without-effect.ts";

export class PeerGuard {
  readonly #own: Pick<OwnAddresses, "find">;
  readonly #prefix: string;
  /** By kind and key. */
  readonly #found = new Map<string, readonly Finding[]>();

  /** `prefix`: of all keys in Consul. */
  constructor(own: Pick<OwnAddresses, "find">, prefix: string) {
    this.#own = own;
    this.#prefix = prefix;
  }

  /** The changes without such servers; the same ones where there are none. */
  pass(changes: readonly Observed[]): readonly Observed[] {
    return changes.map((change) => {
      if (change.kind === "service") return this.#passService(change.key, change.value) ?? change;
      return this.passDocument(change);
    });
  }

  /** The same of one change. */
  passDocument<T extends Observed>(change: T): T {
    if (change.kind !== "upstream") return change;
    const { key, value } = change;
    const found: Finding[] = [];
    const levels = value?.levels.map((level) => this.#passLevel(key, level, found)) ?? [];
    this.#keep(`upstream/${key}`, found);
    return value === null || found.length === 0
      ? change
      : { ...change, value: { ...value, levels } };
  }

  warnings(): readonly Finding[] {
    return [...this.#found.values()].flat();
  }

  #passService(key: string, instances: readonly Instance[] | null): Observed | null {
    const found: Finding[] = [];
    const value = (instances ?? []).filter(({ id, address, port }) => {
      const what = this.#own.find(address, port);
      const where = formatAddress({ host: address, port });
      if (what !== null)
        found.push({
          key: `service ${key}`,
          warning: `instance ${id} at ${where}: ${isNoPeer(what)}`,
        });
      return what === null;
    });
    this.#keep(`service/${key}`, found);
    return found.length === 0 ? null : { kind: "service", key, value };
  }

  #passLevel(name: string, level: Level, found: Finding[]): Level {
    const servers = level.servers.filter(({ host, port }) => {
      const what = this.#own.find(host, port);
      const warning = `server ${formatAddress({ host, port })}: ${isNoPeer(what ?? "")}`;
      if (what !== null) found.push({ key: `${this.#prefix}upstreams/${name}`, warning });
      return what === null;
    });
    return servers.length === level.servers.length ? level : { ...level, servers };
  }

  #keep(id: string, found: readonly Finding[]): void {
    if (found.length === 0) this.#found.delete(id);
    else this.#found.set(id, found);
  }
}

function isNoPeer(what: string): string {
  return `is left out, since ${what} is there`;
}
