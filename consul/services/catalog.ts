/** The names of a datacenter's services with their tags: `GET /v1/catalog/services`. */
import { type Observed, serviceKey } from "../../gateway/model/index.ts";
import type { ConsulClient } from "../api/client.ts";
import { ConsulError } from "../api/errors.ts";
import type { Clock } from "../watching/clock.ts";
import { findSuspicion, type Hold, Ledger, type Shown } from "../watching/ledger.ts";
import type { Answer, WatchEvent, WatchQuery } from "../watching/watch.ts";
import { modeQuery, type ReadMode } from "./health.ts";

export type CatalogNames = ReadonlyMap<string, readonly string[]>;

/** Catalog API page, "List Services". `datacenter`: another than the own one. */
export async function readCatalog(
  consul: ConsulClient,
  query: WatchQuery,
  datacenter: string | null = null,
  mode: ReadMode = "default",
): Promise<Answer<CatalogNames>> {
  const { index, body, ...rest } = await consul.read({
    path: "/catalog/services",
    query: { ...(datacenter === null ? {} : { dc: datacenter }), ...modeQuery(mode) },
    ...query,
  });
  return {
    index: index ?? 0,
    value: decodeCatalog(`${consul.url}/v1/catalog/services`, body),
    ...rest,
  };
}

/**
 * Throws when it is no catalog. Names are in lower case: to Consul's DNS, and to its queries for one service, `Web` and
 * `web` are the same service. Tags are sorted: Consul gives them in any order.
 */
function decodeCatalog(where: string, body: unknown): CatalogNames {
  const bad = (problem: string) => new ConsulError("bad_answer", `${where}: ${problem}`);
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw bad("the answer is no catalog");
  const names = new Map<string, readonly string[]>();
  for (const [name, tags] of Object.entries(body)) {
    if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === "string"))
      throw bad(`the answer has no tags for ${name}`);
    // `@` divides a service from its datacenter in our keys; no name that can be asked for has one.
    if (name.includes("@")) continue;
    const service = name.toLowerCase();
    const others = names.get(service);
    const all = others === undefined ? tags : [...new Set([...others, ...tags])];
    names.set(service, all.toSorted());
  }
  return names;
}

export class Catalog {
  /** `null`: the own one. */
  readonly #datacenter: string | null;
  readonly #ledger: Ledger;
  readonly #values: Map<string, readonly string[]>;
  #answers = 0;
  #wasFiltered = false;

  constructor(clock: Clock, datacenter: string | null, previous: CatalogNames) {
    this.#datacenter = datacenter;
    this.#values = new Map(previous);
    this.#ledger = new Ledger(clock, this.#values.keys());
  }

  /** Whether the gateway knows which services there are. */
  get known(): boolean {
    return this.#answers > 0 || this.#values.size > 0;
  }

  /** It was read and lacks even the service `consul`, which only ACLs can hide. */
  get isHidden(): boolean {
    return this.#answers > 0 && this.#values.size === 0;
  }

  /** Also true for a name that is held. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  apply(event: WatchEvent<CatalogNames>): Observed[] {
    const present = new Map<string, Shown>();
    for (const [name, tags] of event.value)
      present.set(name, { fingerprint: tags.join("\n"), identity: null });
    const { shown } = this.#ledger;
    // A catalog has at least the service "consul" (a server) unless ACLs hide everything.
    const emptied = present.size === 0 && shown > 0 ? "Consul's catalog is empty" : null;
    const suspicion =
      findSuspicion({
        event,
        first: this.#answers === 0,
        wasFiltered: this.#wasFiltered,
        shown,
        survivors: this.#ledger.survivors(present),
      }) ?? emptied;
    this.#answers += 1;
    this.#wasFiltered = event.filtered;
    const { changed, gone } = this.#ledger.apply(event.index, present, suspicion);
    const changes: Observed[] = [];
    for (const key of changed) {
      const tags = event.value.get(key);
      if (tags === undefined) continue;
      this.#values.set(key, tags);
      changes.push({ kind: "catalog", key: this.#keyOf(key), value: tags });
    }
    for (const key of gone) this.#remove(key, changes);
    return changes;
  }

  held(): readonly Hold[] {
    return this.#ledger.held().map((hold) => ({ ...hold, name: this.#keyOf(hold.name) }));
  }

  release(): Observed[] {
    const changes: Observed[] = [];
    for (const key of this.#ledger.release()) this.#remove(key, changes);
    return changes;
  }

  #remove(key: string, changes: Observed[]): void {
    if (!this.#values.delete(key)) return;
    changes.push({ kind: "catalog", key: this.#keyOf(key), value: null });
  }

  #keyOf(name: string): string {
    return serviceKey({ name, datacenter: this.#datacenter });
  }
}
