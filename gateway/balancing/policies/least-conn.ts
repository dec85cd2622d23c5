/**
 * The slot with the fewest requests in flight for its weight; among equals smooth weighted round robin, as nginx's
 * `least_conn` (`src/http/modules/ngx_http_upstream_least_conn_module.c`).
 */
import type { Filter } from "../filter.ts";
import type { Slot } from "../slot.ts";
import type { Turns } from "../turns.ts";
import type { Policy } from "./policy.ts";

export class LeastConnections implements Policy {
  readonly #slots: readonly Slot[];
  readonly #turns: Turns;
  /** Those with the least load; used again for each choice. */
  readonly #least: Slot[] = [];

  constructor(slots: readonly Slot[], turns: Turns) {
    this.#slots = slots;
    this.#turns = turns;
  }

  choose(filter: Filter): Slot | null {
    const slots = this.#slots;
    const least = this.#least;
    let first: Slot | null = null;
    let count = 0;
    for (let i = 0; i < slots.length; i += 1) {
      const slot = slots[i];
      if (slot === undefined) break;
      const difference =
        first === null ? -1 : slot.peer.inFlight * first.weight - first.peer.inFlight * slot.weight;
      // The comparison first: mostly it spares the question.
      if (difference > 0 || !filter.has(slot)) continue;
      if (difference < 0) {
        first = slot;
        count = 0;
      }
      least[count] = slot;
      count += 1;
    }
    if (count === 1 || first === null) return first;
    if (count === slots.length) return this.#turns.next(slots, filter);
    least.length = count;
    return this.#turns.nextAmong(least);
  }
}
