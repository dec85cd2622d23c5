/**
 * Picks the slot with the fewest requests in flight for its weight, like nginx's `least_conn`
 * (`src/http/modules/ngx_http_upstream_least_conn_module.c`). Equal slots take turns by weight.
 */
import type { Filter } from "../filter.ts";
import type { Slot } from "../slot.ts";
import type { Turns } from "../turns.ts";
import { LoadTree } from "./load-tree.ts";
import type { Policy } from "./policy.ts";

/** Up to so many slots, looking at each costs no more than the tree. */
const fewSlots = 8;

export class LeastConnections implements Policy {
  readonly #slots: readonly Slot[];
  readonly #turns: Turns;
  /** Made for the first request. */
  #tree: LoadTree | null = null;
  #isDisposed = false;

  constructor(slots: readonly Slot[], turns: Turns) {
    this.#slots = slots;
    this.#turns = turns;
  }

  choose(filter: Filter): Slot | null {
    const { marks } = filter;
    const isQuick = marks !== null && this.#slots.length > fewSlots && !this.#isDisposed;
    const slot = isQuick ? this.#askTree(filter, marks) : this.#lookAtEach(filter);
    if (slot === null) return null;
    this.#turns.take(slot, slot.share(filter.nowMs));
    this.#tree?.update(slot);
    return slot;
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#tree?.dispose();
    this.#tree = null;
  }

  /** The tree holds all slots that are well. */
  #askTree(filter: Filter, marks: Uint8Array): Slot | null {
    const slots = this.#slots;
    this.#tree ??= new LoadTree(slots, this.#turns);
    let best = this.#tree.first(marks, filter.revision);
    const { toLookAt } = filter;
    const from = slots[0]?.index ?? 0;
    for (let i = 0; i < toLookAt.length; i += 1) {
      const at = toLookAt[i] ?? 0;
      if (at < from) continue;
      const slot = slots[at - from];
      if (slot === undefined) break;
      if (best !== null && !this.#isBefore(slot, best)) continue;
      if (filter.has(slot)) best = slot;
    }
    return best;
  }

  #lookAtEach(filter: Filter): Slot | null {
    const slots = this.#slots;
    let best: Slot | null = null;
    for (let i = 0; i < slots.length; i += 1) {
      const slot = slots[i];
      if (slot === undefined) break;
      // Compares first, because that mostly saves asking the filter.
      if (best !== null && !this.#isBefore(slot, best)) continue;
      if (filter.has(slot)) best = slot;
    }
    return best;
  }

  #isBefore(a: Slot, b: Slot): boolean {
    const difference = a.peer.load * b.weight - b.peer.load * a.weight;
    if (difference !== 0) return difference < 0;
    return this.#turns.dueOf(a.index) < this.#turns.dueOf(b.index);
  }
}
