/**
 * The instances of one service as its answers show them: what may serve, and what is held although a
 * suspect answer left it out. Asks Consul nothing.
 */
import type { Instance } from "../../gateway/model/index.ts";
import type { Clock } from "../watching/clock.ts";
import { findSuspicion, type Hold, Ledger, type Shown } from "../watching/ledger.ts";
import type { WatchEvent } from "../watching/watch.ts";
import type { Registration } from "./health.ts";

/**
 * When a service that had instances held shows some again, those that it does not show by then are
 * dropped. Agents register everything they have again once a minute, less often in large clusters
 * (Consul documentation, "Anti-Entropy": 5 minutes at 2,048 nodes), so that what is missing for this
 * long ended while Consul could not say so. A service that shows no instance keeps what is held.
 */
export const reregistrationMs = 5 * 60_000;

export class ServiceInstances {
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  /** What may serve, by id. */
  readonly #values = new Map<string, Instance>();
  #answers = 0;
  #wasFiltered = false;
  /** When the held instances are dropped; `null` while there are none, or none else shows. */
  #settleAt: number | null = null;

  constructor(clock: Clock, previous: readonly Instance[] = []) {
    this.#clock = clock;
    for (const instance of previous) this.#values.set(instance.id, instance);
    this.#ledger = new Ledger(clock, this.#values.keys());
  }

  /** Whether any answer came. */
  get answered(): boolean {
    return this.#answers > 0;
  }

  /** Whether Consul has any registration of the service, healthy or not, or one is held. */
  get isRegistered(): boolean {
    return this.#ledger.shown > 0 || this.held().length > 0;
  }

  /** Takes an answer; returns what may serve now, sorted by id. */
  apply(event: WatchEvent<readonly Registration[]>): readonly Instance[] {
    const present = new Map<string, Shown>();
    for (const { id } of event.value) present.set(id, { fingerprint: "", identity: null });
    const suspicion = findSuspicion({
      event,
      first: this.#answers === 0,
      wasFiltered: this.#wasFiltered,
      shown: this.#ledger.shown,
      // A deployment gives every instance a new name: any instance at all speaks for this Consul.
      survivors: present.size,
    });
    this.#answers += 1;
    this.#wasFiltered = event.filtered;
    const { gone } = this.#ledger.apply(present, suspicion);
    for (const id of gone) this.#values.delete(id);
    for (const { id, instance } of event.value) {
      if (instance === null) this.#values.delete(id);
      else this.#values.set(id, instance);
    }
    if (this.held().length === 0 || present.size === 0) this.#settleAt = null;
    else if (suspicion !== null || this.#settleAt === null)
      this.#settleAt = this.#clock.now() + reregistrationMs;
    return this.instances();
  }

  instances(): readonly Instance[] {
    return [...this.#values.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Instances that may serve and are held. */
  held(): readonly Hold[] {
    return this.#ledger.held().filter(({ name }) => this.#values.has(name));
  }

  /** Drops what is held when its time has come; `true` when anything was dropped. */
  settle(): boolean {
    if (this.#settleAt === null || this.#clock.now() < this.#settleAt) return false;
    return this.release() > 0;
  }

  /** Ends the holds; returns how many instances that removes. */
  release(): number {
    this.#settleAt = null;
    let removed = 0;
    for (const id of this.#ledger.release()) if (this.#values.delete(id)) removed += 1;
    return removed;
  }
}
