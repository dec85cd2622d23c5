/**
 * The slots of a level as the leaves of a tournament by load, so that the least loaded is known without a look at each: a
 * change of one costs as many comparisons as the tree is high.
 */
import type { LoadWatcher, Peer } from "../../engine/peer.ts";
import type { Slot } from "../slot.ts";
import type { Turns } from "../turns.ts";

export class LoadTree {
  readonly #slots: readonly Slot[];
  readonly #turns: Turns;
  /** Of the first slot; they stand behind one another. */
  readonly #firstIndex: number;
  readonly #leaves: number;
  /** By node, the root being 1: which slot wins there; -1: nobody is below. */
  readonly #winners: Int32Array;
  /** By slot, as far as the tree knows. */
  readonly #loads: Int32Array;
  readonly #weights: Int32Array;
  readonly #due: Float64Array;
  readonly #watchers: readonly Leaf[];
  /** Of the turns and of the marks that it was built with. */
  #turnsRevision = -1;
  #marksRevision = -1;

  constructor(slots: readonly Slot[], turns: Turns) {
    this.#slots = slots;
    this.#turns = turns;
    this.#firstIndex = slots[0]?.index ?? 0;
    let leaves = 1;
    while (leaves < slots.length) leaves *= 2;
    this.#leaves = leaves;
    this.#winners = new Int32Array(2 * leaves).fill(-1);
    this.#loads = new Int32Array(slots.length);
    this.#weights = Int32Array.from(slots, ({ weight }) => weight);
    this.#due = new Float64Array(slots.length);
    this.#watchers = slots.map((slot, at) => new Leaf(this, slot.peer, at));
  }

  /**
   * Of those with the least load the one whose turn is due first; `null`: each is marked.
   * @param marks by index: who does not take part.
   */
  first(marks: Uint8Array, revision: number): Slot | null {
    if (this.#turnsRevision !== this.#turns.revision || this.#marksRevision !== revision) {
      this.#turnsRevision = this.#turns.revision;
      this.#marksRevision = revision;
      this.#build(marks);
    }
    return this.#slots[this.#winners[1] ?? -1] ?? null;
  }

  /** Its turn or its load is another. */
  update({ index, peer }: Slot): void {
    this.set(index - this.#firstIndex, peer.load);
  }

  /** The slot at this place has this load. */
  set(at: number, load: number): void {
    this.#loads[at] = load;
    this.#due[at] = this.#turns.dueOf(this.#firstIndex + at);
    const winners = this.#winners;
    for (let node = (this.#leaves + at) >> 1; node > 0; node >>= 1) {
      winners[node] = this.#better(winners[2 * node] ?? -1, winners[2 * node + 1] ?? -1);
    }
  }

  /** Nobody tells it of loads any more. */
  dispose(): void {
    for (const watcher of this.#watchers) watcher.leave();
  }

  #build(marks: Uint8Array): void {
    const winners = this.#winners;
    for (const [at, { peer, index }] of this.#slots.entries()) {
      this.#loads[at] = peer.load;
      this.#due[at] = this.#turns.dueOf(index);
      winners[this.#leaves + at] = marks[index] === 1 ? -1 : at;
    }
    for (let node = this.#leaves - 1; node > 0; node -= 1)
      winners[node] = this.#better(winners[2 * node] ?? -1, winners[2 * node + 1] ?? -1);
  }

  #better(a: number, b: number): number {
    if (b === -1) return a;
    if (a === -1) return b;
    const loadA = (this.#loads[a] ?? 0) * (this.#weights[b] ?? 1);
    const loadB = (this.#loads[b] ?? 0) * (this.#weights[a] ?? 1);
    if (loadA !== loadB) return loadA < loadB ? a : b;
    return (this.#due[b] ?? 0) < (this.#due[a] ?? 0) ? b : a;
  }
}

class Leaf implements LoadWatcher {
  readonly #tree: LoadTree;
  readonly #peer: Peer;
  readonly #at: number;

  constructor(tree: LoadTree, peer: Peer, at: number) {
    this.#tree = tree;
    this.#peer = peer;
    this.#at = at;
    peer.watchers.push(this);
  }

  loadChanged(): void {
    this.#tree.set(this.#at, this.#peer.load);
  }

  leave(): void {
    const { watchers } = this.#peer;
    const at = watchers.indexOf(this);
    if (at !== -1) watchers.splice(at, 1);
  }
}
