/**
 * The slots of a level as the leaves of a tournament by load. Its root is the least loaded slot, so no look at each
 * slot is needed; one changed load costs as many comparisons as the tree is high.
 */
import type { LoadWatcher, Peer } from "../../engine/peer.ts";
import type { Slot } from "../slot.ts";
import type { Turns } from "../turns.ts";
import { markWell } from "../ward.ts";

export class LoadTree {
  readonly #slots: readonly Slot[];
  readonly #turns: Turns;
  /** The index of the first slot; the others follow without gaps. */
  readonly #firstIndex: number;
  readonly #leaves: number;
  /** By node, with the root at 1: the slot that wins there; -1 when there is none below. */
  readonly #winners: Int32Array;
  /** By slot: the load that the tree has seen. */
  readonly #loads: Int32Array;
  readonly #weights: Int32Array;
  readonly #due: Float64Array;
  readonly #watchers: readonly Leaf[];
  /** By slot: 1 for a slot that takes part. */
  readonly #takesPart: Uint8Array;
  /** The revisions of the turns and of the marks that the tree shows. */
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
    this.#takesPart = new Uint8Array(slots.length);
    this.#watchers = slots.map((slot, at) => new Leaf(this, slot.peer, at));
  }

  /**
   * Of the slots with the least load, the one whose turn is due first; `null` when none is well.
   * @param marks by slot index: those that are well take part.
   */
  first(marks: Uint8Array, revision: number): Slot | null {
    if (this.#turnsRevision !== this.#turns.revision) {
      this.#turnsRevision = this.#turns.revision;
      this.#marksRevision = revision;
      this.#build(marks);
    } else if (this.#marksRevision !== revision) {
      this.#marksRevision = revision;
      this.#follow(marks);
    }
    return this.#slots[this.#winners[1] ?? -1] ?? null;
  }

  /** The slot's turn or its load has changed. */
  update({ index, peer }: Slot): void {
    this.set(index - this.#firstIndex, peer.load);
  }

  /** Sets the load of the slot at this place. */
  set(at: number, load: number): void {
    this.#loads[at] = load;
    this.#due[at] = this.#turns.dueOf(this.#firstIndex + at);
    this.#rise(at);
  }

  #rise(at: number): void {
    const winners = this.#winners;
    for (let node = (this.#leaves + at) >> 1; node > 0; node >>= 1) {
      winners[node] = this.#better(winners[2 * node] ?? -1, winners[2 * node + 1] ?? -1);
    }
  }

  /** Stops listening for loads. */
  dispose(): void {
    for (const watcher of this.#watchers) watcher.leave();
  }

  /** Some marks have changed, mostly one. */
  #follow(marks: Uint8Array): void {
    const takesPart = this.#takesPart;
    for (let at = 0; at < takesPart.length; at += 1) {
      const isIn = marks[this.#firstIndex + at] === markWell ? 1 : 0;
      if (takesPart[at] === isIn) continue;
      takesPart[at] = isIn;
      this.#winners[this.#leaves + at] = isIn === 1 ? at : -1;
      this.#rise(at);
    }
  }

  #build(marks: Uint8Array): void {
    const winners = this.#winners;
    for (const [at, { peer, index }] of this.#slots.entries()) {
      this.#loads[at] = peer.load;
      this.#due[at] = this.#turns.dueOf(index);
      const isIn = marks[index] === markWell;
      this.#takesPart[at] = isIn ? 1 : 0;
      winners[this.#leaves + at] = isIn ? at : -1;
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
