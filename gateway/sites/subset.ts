/**
 * A part of a service's instances: those with a tag, with certain metadata, or both; or all of them, when they are reached in
 * a way of their own.
 */
import type { Instance, Subset, Transport } from "../model/index.ts";

export class InstanceSubset {
  /** Equal for equal subsets, and different for others. */
  readonly key: string;
  /** How an operator reads it, in front of the service's name. */
  readonly label: string;
  /** `null`: as its upstream is reached. */
  readonly transport: Transport | null;
  readonly #tag: string | null;
  readonly #meta: readonly (readonly [key: string, value: string])[];

  constructor({ tag, meta = {} }: Subset, transport: Transport | null = null) {
    this.transport = transport;
    this.#tag = tag ?? null;
    this.#meta = Object.entries(meta).sort(([a], [b]) => (a < b ? -1 : 1));
    this.key = JSON.stringify([this.#tag, this.#meta, transport]);
    const pairs = this.#meta.map(([key, value]) => `${key}=${value}`);
    const words = [...(this.#tag === null ? [] : [this.#tag]), ...pairs];
    this.label = words.length > 0 || transport === null ? words.join(",") : labelOf(transport);
  }

  has({ tags, meta }: Instance): boolean {
    if (this.#tag !== null && !includesTag(tags, this.#tag)) return false;
    return this.#meta.every(
      ([key, value]) => meta !== undefined && Object.hasOwn(meta, key) && meta[key] === value,
    );
  }
}

function labelOf({ protocol = "http1", tls }: Transport): string {
  return tls === undefined || protocol === "h2" ? protocol : "https";
}

/** Ignores case: DNS names have none, and Consul's tags do. `wanted` is in lower case. */
export function includesTag(tags: readonly string[] | undefined, wanted: string): boolean {
  return tags?.some((tag) => tag.toLowerCase() === wanted) ?? false;
}
