/**
 * How many requests each worker has at each server and upstream, and for each worker what the others have
 * together.
 */
import type { Load } from "../model/index.ts";

interface Worker {
  readonly tell: (loads: readonly Load[]) => void;
  readonly own: Map<string, number>;
  /** What it was told the others have. */
  readonly told: Map<string, number>;
}

export class LoadSums {
  readonly #workers = new Map<number, Worker>();
  readonly #sums = new Map<string, number>();
  /** Those whose sum has changed since all workers were told. */
  readonly #changed = new Set<string>();

  /** A new worker knows of no requests and has none. */
  add(worker: number, tell: (loads: readonly Load[]) => void): void {
    this.#workers.set(worker, { tell, own: new Map(), told: new Map() });
    for (const of of this.#sums.keys()) this.#changed.add(of);
  }

  remove(worker: number): void {
    const left = this.#workers.get(worker);
    this.#workers.delete(worker);
    for (const [of, requests] of left?.own ?? []) this.#count(of, -requests);
  }

  take(worker: number, loads: readonly Load[]): void {
    const own = this.#workers.get(worker)?.own;
    if (own === undefined) return;
    for (const [of, requests] of loads) {
      this.#count(of, requests - (own.get(of) ?? 0));
      if (requests === 0) own.delete(of);
      else own.set(of, requests);
    }
  }

  /** Tells each worker what it does not know yet. */
  tellAll(): void {
    if (this.#changed.size === 0) return;
    for (const { tell, own, told } of this.#workers.values()) {
      const loads: Load[] = [];
      for (const of of this.#changed) {
        const requests = (this.#sums.get(of) ?? 0) - (own.get(of) ?? 0);
        if (requests === (told.get(of) ?? 0)) continue;
        loads.push([of, requests]);
        if (requests === 0) told.delete(of);
        else told.set(of, requests);
      }
      if (loads.length > 0) tell(loads);
    }
    this.#changed.clear();
  }

  #count(of: string, more: number): void {
    if (more === 0) return;
    const sum = (this.#sums.get(of) ?? 0) + more;
    if (sum === 0) this.#sums.delete(of);
    else this.#sums.set(of, sum);
    this.#changed.add(of);
  }
}
