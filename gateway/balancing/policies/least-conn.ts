/**
 * The slot with the fewest requests in flight for its weight, as nginx's `least_conn`
 * (`src/http/modules/ngx_http_upstream_least_conn_module.c`); among equals by turns, by weight.
 */
import type { Filter } from "../filter.ts";
import type { Slot } from "../slot.ts";
import type { Turns } from "../turns.ts";
import { LoadTree } from "./load-tree.ts";
import type { Policy } from "./policy.ts";

/** With so few a look at each is as cheap. */
const fewSlots = 8;

export class LeastConnections implements Policy {
  readonly #slots: readonly Slot[];
  readonly #turns: Turns;
  /** Made when it is first asked. */
  #tree: LoadTree | null = null;
  #isDisposed = false;

  constructor(slots: readonly Slot[], turns: Turns) {
    this.#slots = slots;
    this.#turns = turns;
  }

  choose(filter: Filter): Slot | null {
    const isQuick = filter.hasAll && this.#slots.length > fewSlots && !this.#isDisposed;
    if (isQuick) this.#tree ??= new LoadTree(this.#slots, this.#turns);
    const slot = isQuick ? (this.#tree?.first() ?? null) : this.#lookAtEach(filter);
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

  #lookAtEach(filter: Filter): Slot | null {
    const slots = this.#slots;
    let best: Slot | null = null;
    for (let i = 0; i < slots.length; i += 1) {
      const slot = slots[i];
      if (slot === undefined) break;
      // The comparison first: mostly it spares the question.
      if (best !== null && !this.#isBefore(slot, best)) continue;
      if (filter.has(slot)) best = slot;
    }
    return best;
  }

  #isBefore(a: Slot, b: Slot): boolean {
    const difference = a.peer.inFlight * b.weight - b.peer.inFlight * a.weight;
    if (difference !== 0) return difference < 0;
    return this.#turns.dueOf(a.index) < this.#turns.dueOf(b.index);
  }
}
