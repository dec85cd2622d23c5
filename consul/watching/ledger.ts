/**
 * What one watch has seen, and the rule for what an answer may take away. Names and fingerprints
 * only; the values belong to whoever keeps the ledger.
 */
import { type Clock, timeText } from "./clock.ts";
import type { WatchEvent } from "./watch.ts";

export interface Hold {
  readonly name: string;
  /** ISO 8601. */
  readonly since: string;
  /** Why the answer that left it out was not believed. */
  readonly why: string;
}

/** What an answer shows of one name. */
export interface Shown {
  /** Changes whenever the value does. */
  readonly fingerprint: string;
  /** Stays for as long as the entry lives in one Consul (its CreateIndex); `null` when not known. */
  readonly identity: number | null;
}

/** What a ledger knows, for the next process: JSON. */
export interface LedgerMemory {
  /** The index of the last answer; `null`: there was none. */
  readonly index: number | null;
  /** The identities of what was shown, as far as they are known. */
  readonly identities: Readonly<Record<string, number>>;
  readonly held: readonly Hold[];
}

export interface Step {
  /** Names that are new or have another fingerprint; after a suspect answer, every name present. */
  readonly changed: readonly string[];
  /** Names that are gone for good. */
  readonly gone: readonly string[];
}

/**
 * **The rule.** Consul being ill must not remove what worked, and a real removal must work.
 *
 * 1. An error is no answer: nothing changes.
 * 2. An answer is *suspect* when it may come from a Consul that has lost its memory
 *    (`findSuspicion`). Of a suspect answer the names present are taken, and the names missing are
 *    *held*: they stay as they were.
 * 3. A name that an answer shows is no longer held. From then on it is removed as soon as an answer
 *    that is not suspect leaves it out.
 * 4. Only an answer whose index is above the index at which an entry was made can have removed it. One that is not, and
 *    shows no entry that it may know either, holds what it leaves out.
 * 5. Nothing else ends a hold but `release` (an operator accepts Consul's present content). Neither
 *    time nor further answers do: a Consul that came back empty answers "empty" for hours, with
 *    indexes that go up as other keys are written, and is in the right by every later measure. What
 *    it has never shown it cannot remove.
 *
 * To remove a held entry for good: `release`, or write its key again and delete it.
 */
export class Ledger {
  readonly #clock: Clock;
  /** What the last answer showed; `null`: known from before the first. */
  readonly #shown = new Map<string, Shown | null>();
  readonly #held = new Map<string, Hold>();
  #index: number | null;

  /** `known`: what worked before this process started; `memory`: what the ledger knew about it then. */
  constructor(clock: Clock, known: Iterable<string> = [], memory: LedgerMemory | null = null) {
    this.#clock = clock;
    this.#index = memory?.index ?? null;
    const held = new Map(memory?.held.map((hold) => [hold.name, hold]));
    for (const name of known) {
      const hold = held.get(name);
      const identity = memory?.identities[name];
      if (hold !== undefined) this.#held.set(name, hold);
      else this.#shown.set(name, identity === undefined ? null : { fingerprint: "", identity });
    }
  }

  /** The index of the last answer, of this process or the one before it. */
  get index(): number | null {
    return this.#index;
  }

  memory(): LedgerMemory {
    const identities: Record<string, number> = {};
    for (const [name, shown] of this.#shown)
      if (shown !== null && shown.identity !== null) identities[name] = shown.identity;
    return { index: this.#index, identities, held: this.held() };
  }

  /** How many names the last answers showed, those held not counted. */
  get shown(): number {
    return this.#shown.size;
  }

  has(name: string): boolean {
    return this.#shown.has(name) || this.#held.has(name);
  }

  /** How many of the names shown are in `present` as the same entries. */
  survivors(present: ReadonlyMap<string, Shown>): number {
    let count = 0;
    for (const [name, before] of this.#shown) {
      const now = present.get(name);
      if (now === undefined) continue;
      const identities = [before?.identity ?? null, now.identity];
      if (identities.includes(null) || identities[0] === identities[1]) count += 1;
    }
    return count;
  }

  /** Takes an answer: its index, its names with their fingerprints, and why it is suspect or `null`. */
  apply(index: number, present: ReadonlyMap<string, Shown>, suspicion: string | null): Step {
    const gone: string[] = [];
    const knowsEntries = this.#knowsEntries(index, present);
    for (const [name, shown] of this.#shown) {
      if (present.has(name)) continue;
      this.#shown.delete(name);
      const isOlder = !knowsEntries && shown !== null && index <= (shown.identity ?? -1);
      const why =
        suspicion ?? (isOlder ? "Consul's answer is older than what it leaves out" : null);
      if (why === null) gone.push(name);
      else this.#held.set(name, { name, since: timeText(this.#clock.now()), why });
    }
    this.#index = index;
    const changed: string[] = [];
    for (const [name, shown] of present) {
      this.#held.delete(name);
      // Another Consul counts anew, so that an equal ModifyIndex may stand for another value.
      const before = this.#shown.get(name);
      if (suspicion !== null || before?.fingerprint !== shown.fingerprint) changed.push(name);
      this.#shown.set(name, shown);
    }
    return { changed, gone };
  }

  held(): readonly Hold[] {
    return [...this.#held.values()];
  }

  /**
   * Whether an answer shows an entry as it was, made before the answer's index. After a list has lost its
   * last traces of what was deleted, its index is that of what is left.
   */
  #knowsEntries(index: number, present: ReadonlyMap<string, Shown>): boolean {
    for (const [name, { identity }] of present) {
      if (identity === null || identity > index) continue;
      if (this.#shown.get(name)?.identity === identity) return true;
    }
    return false;
  }

  /** Ends every hold; returns the names that this removes. */
  release(): readonly string[] {
    const names = [...this.#held.keys()];
    this.#held.clear();
    return names;
  }
}

/** The facts about an answer that decide whether it is suspect. */
export interface Suspect {
  readonly event: Pick<WatchEvent<unknown>, "backwards" | "afterError" | "filtered">;
  /** Whether this is the first answer of this process. */
  readonly first: boolean;
  /** Whether the answer before this one was filtered by ACLs. */
  readonly wasFiltered: boolean;
  /** Names that were shown before it, and how many of them the answer shows as the same entries. */
  readonly shown: number;
  readonly survivors: number;
}

/** Why an answer is suspect, as words for `/status`; `null` when it is not. */
export function findSuspicion(answer: Suspect): string | null {
  const { event, first, wasFiltered, shown, survivors } = answer;
  if (event.backwards) return "Consul's index went backwards";
  if (event.filtered && !wasFiltered && !first)
    return "Consul began to leave out what the ACL token may not read";
  if (survivors > 0 || shown === 0) return null;
  if (event.afterError) return "Consul had nothing left of what was there before an error";
  if (first) return "Consul had nothing left of what was there before the gateway stopped";
  return null;
}
