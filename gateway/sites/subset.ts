/** A subset of a service's instances: those with a tag, with certain metadata, or both. */
import type { Instance, Subset } from "../model/index.ts";

export class InstanceSubset {
  /** Equal for equal subsets, and different for others. */
  readonly key: string;
  /** How an operator reads it, in front of the service's name. */
  readonly label: string;
  readonly #tag: string | null;
  readonly #meta: readonly (readonly [key: string, value: string])[];

  constructor({ tag, meta = {} }: Subset) {
    this.#tag = tag ?? null;
    this.#meta = Object.entries(meta).sort(([a], [b]) => (a < b ? -1 : 1));
    this.key = JSON.stringify([this.#tag, this.#meta]);
    const pairs = this.#meta.map(([key, value]) => `${key}=${value}`);
    this.label = [...(this.#tag === null ? [] : [this.#tag]), ...pairs].join(",");
  }

  has({ tags, meta }: Instance): boolean {
    if (this.#tag !== null && !includesTag(tags, this.#tag)) return false;
    return this.#meta.every(
      ([key, value]) => meta !== undefined && Object.hasOwn(meta, key) && meta[key] === value,
    );
  }
}

/** Ignores case: DNS names have none, and Consul's tags do. `wanted` is in lower case. */
export function includesTag(tags: readonly string[] | undefined, wanted: string): boolean {
  return tags?.some((tag) => tag.toLowerCase() === wanted) ?? false;
}
