/**
 * The instances of one service as its answers show them: what may serve, and what is kept although an answer
 * left it out. Asks Consul nothing.
 */
import type { Instance } from "../../gateway/model/index.ts";
import { type Clock, timeText } from "../watching/clock.ts";
import {
  findSuspicion,
  type Hold,
  Ledger,
  type LedgerMemory,
  type Shown,
} from "../watching/ledger.ts";
import type { WatchEvent } from "../watching/watch.ts";
import type { Registration } from "./health.ts";

/**
 * When a service that had instances held shows some again, those that it does not show by then are
 * dropped. Agents register everything they have again once a minute, less often in large clusters
 * (Consul documentation, "Anti-Entropy": 5 minutes at 2,048 nodes), so that what is missing for this
 * long ended while Consul could not say so. A service that shows no instance keeps what is held.
 * What is missing within this time of a suspect answer is held, too.
 */
export const reregistrationMs = 5 * 60_000;

/** How much one update may take away from a service before Consul is asked again. */
export interface GuardLimits {
  /** The part of its instances, 0 to 1, above which it is too much. */
  readonly share: number;
  /** How long the missing instances are kept before Consul is asked; 0: they are not kept. */
  readonly forMs: number;
}

export const defaultGuard: GuardLimits = { share: 0.5, forMs: 10_000 };

/** Instances that are kept until a consistent read confirms that they are gone. */
export interface Guarded {
  /** ISO 8601. */
  readonly since: string;
  readonly why: string;
  readonly instances: number;
}

export class ServiceInstances {
  readonly #clock: Clock;
  readonly #limits: GuardLimits;
  readonly #ledger: Ledger;
  /** What may serve, by id. */
  #values = new Map<string, Instance>();
  /** Why registrations can never serve, by id. */
  #faults = new Map<string, string>();
  #answers = 0;
  #wasFiltered = false;
  /** When the held instances are dropped; `null` while there are none, or while no other instance shows. */
  #settleAt: number | null = null;
  #suspectAt = Number.NEGATIVE_INFINITY;
  /** `of`: how many instances there were before the first of them went. */
  #guarded:
    | (Guarded & { readonly until: number; readonly of: number; readonly ids: readonly string[] })
    | null = null;

  constructor(
    clock: Clock,
    previous: readonly Instance[] = [],
    memory: LedgerMemory | null = null,
    limits: GuardLimits = defaultGuard,
  ) {
    this.#clock = clock;
    this.#limits = limits;
    for (const instance of previous) this.#values.set(instance.id, instance);
    this.#ledger = new Ledger(clock, this.#values.keys(), memory);
    if (this.held().length > 0) this.#suspectAt = clock.now();
  }

  /** Whether any answer came. */
  get answered(): boolean {
    return this.#answers > 0;
  }

  /** Whether Consul has any registration of the service, healthy or not, or one is kept. */
  get isRegistered(): boolean {
    return this.#ledger.shown > 0 || this.held().length > 0 || this.#guarded !== null;
  }

  /**
   * Takes an answer; returns what may serve now, sorted by id. `isConfirmed`: it is the consistent read that was
   * wanted before much is taken away.
   */
  apply(event: WatchEvent<readonly Registration[]>, isConfirmed = false): readonly Instance[] {
    const now = this.#clock.now();
    const present = new Map<string, Shown>();
    for (const { id, createIndex } of event.value)
      present.set(id, { fingerprint: "", identity: createIndex });
    const found = findSuspicion({
      event,
      first: this.#answers === 0,
      wasFiltered: this.#wasFiltered,
      shown: this.#ledger.shown,
      survivors: this.#survivors(present),
    });
    if (found !== null) this.#suspectAt = now;
    const isRecent = now - this.#suspectAt < reregistrationMs;
    const suspicion = found ?? (isRecent ? "Consul may have lost it a moment ago" : null);
    this.#answers += 1;
    this.#wasFiltered = event.filtered;
    this.#ledger.apply(event.index, present, suspicion);
    const next = new Map<string, Instance>();
    for (const { name } of this.#ledger.held()) {
      const instance = this.#values.get(name);
      if (instance !== undefined) next.set(name, instance);
    }
    this.#faults = new Map();
    for (const { id, instance, fault } of event.value) {
      if (instance !== null) next.set(id, instance);
      if (fault !== null) this.#faults.set(id, fault);
    }
    this.#guard(next, isConfirmed);
    this.#values = next;
    if (this.held().length === 0 || present.size === 0) this.#settleAt = null;
    else if (found !== null || this.#settleAt === null) this.#settleAt = now + reregistrationMs;
    return this.instances();
  }

  instances(): readonly Instance[] {
    return [...this.#values.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Instances that may serve and are held. */
  held(): readonly Hold[] {
    return this.#ledger.held().filter(({ name }) => this.#values.has(name));
  }

  /** The instances that are kept until they are confirmed to be gone; `null`: none are. */
  get guarded(): Guarded | null {
    return this.#guarded;
  }

  /** Whether it is time to ask if the kept instances are gone. */
  get wantsConfirmation(): boolean {
    return this.#guarded !== null && this.#clock.now() >= this.#guarded.until;
  }

  /** Registrations that can never serve, and why. */
  get faults(): ReadonlyMap<string, string> {
    return this.#faults;
  }

  /** For the next process. */
  memory(): LedgerMemory {
    return this.#ledger.memory();
  }

  /** Drops what is held when its time has come; `true` when anything was dropped. */
  settle(): boolean {
    if (this.#settleAt === null || this.#clock.now() < this.#settleAt) return false;
    this.#suspectAt = Number.NEGATIVE_INFINITY;
    return this.#endHolds() > 0;
  }

  /** Keeps nothing any more that Consul no longer has; returns how many instances that removes. */
  release(): number {
    const kept = this.#guarded?.ids ?? [];
    this.#guarded = null;
    this.#suspectAt = Number.NEGATIVE_INFINITY;
    return this.#endHolds() + this.#drop(kept);
  }

  #endHolds(): number {
    this.#settleAt = null;
    return this.#drop(this.#ledger.release());
  }

  #drop(ids: readonly string[]): number {
    let removed = 0;
    for (const id of ids) if (this.#values.delete(id)) removed += 1;
    return removed;
  }

  /**
   * How many registrations show that this is the same Consul as before: unchanged ones, and new ones that it
   * made later. A deployment gives every instance a new name.
   */
  #survivors(present: ReadonlyMap<string, Shown>): number {
    const { index } = this.#ledger;
    let newer = 0;
    for (const [name, { identity }] of present) {
      if (index !== null && identity !== null) newer += identity > index ? 1 : 0;
      else if (!this.#ledger.has(name)) newer += 1;
    }
    return newer + this.#ledger.survivors(present);
  }

  /** Puts back into `next` what an answer left out that takes too much away. */
  #guard(next: Map<string, Instance>, isConfirmed: boolean): void {
    const { share, forMs } = this.#limits;
    const before = this.#values.size;
    const lost = [...this.#values.values()].filter(({ id }) => !next.has(id));
    const least = before * (1 - share);
    // The end of one instance is ordinary, and new instances make up for those that are gone.
    const isTooMuch = lost.length > before * share && next.size < least && before > 1;
    // What comes back meanwhile says nothing of the rest, until there are as many as before.
    const isStill = this.#guarded !== null && lost.length > 0 && next.size < this.#guarded.of;
    if (isConfirmed || forMs === 0 || !(isTooMuch || isStill)) {
      this.#guarded = null;
      return;
    }
    const now = this.#clock.now();
    const of = this.#guarded?.of ?? before;
    for (const instance of lost) next.set(instance.id, instance);
    this.#guarded = {
      since: this.#guarded?.since ?? timeText(now),
      until: this.#guarded?.until ?? now + forMs,
      why: this.#guarded?.why ?? `one update took away ${lost.length} of ${before} instances`,
      instances: lost.length,
      of,
      ids: lost.map(({ id }) => id),
    };
  }
}
