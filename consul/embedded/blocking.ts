/**
 * Blocking queries (Consul API, "Blocking Queries"): a read with an index waits until its own result has
 * a higher one, or its wait is over. A waiting read is woken only by commits that concern it.
 */
import type { Clock, Timer } from "./clock.ts";
import type { Commit, Write } from "./store.ts";

/** A read of the state, and the records that its result depends on. */
export interface Query<T> {
  /** `kv:<key>`, `kvs:<prefix>`, or the key of an entry in the table `index`. */
  readonly topics: readonly string[];
  run(): Result<T>;
}

export interface Result<T> {
  /** Above 0. */
  readonly index: number;
  readonly value: T;
}

export interface Wait {
  /** 0: do not wait. */
  readonly index: number;
  /** 0: the default of 5 minutes; at most 10 minutes. A random part of up to a sixteenth comes on top. */
  readonly waitMs: number;
}

const defaultWaitMs = 5 * 60_000;
const longestWaitMs = 10 * 60_000;

export class BlockingQueries {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #byTopic = new Map<string, Set<() => void>>();
  readonly #ends = new Set<() => void>();
  #closed = false;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** How many queries wait now. */
  get waiting(): number {
    return this.#ends.size;
  }

  /** Resolves to the result, or to `null` once `signal` says that nobody waits for it any more. */
  async answer<T>(query: Query<T>, wait: Wait, signal: AbortSignal): Promise<Result<T> | null> {
    const first = query.run();
    if (wait.index === 0 || first.index > wait.index || this.#closed) return first;
    if (signal.aborted) return null;
    return new Promise((resolve) => {
      let timer: Timer | null = null;
      const settle = (result: Result<T> | null) => {
        timer?.cancel();
        signal.removeEventListener("abort", leave);
        this.#ends.delete(end);
        for (const topic of query.topics) this.#unsubscribe(topic, wake);
        resolve(result);
      };
      const leave = () => settle(null);
      const end = () => settle(query.run());
      const wake = () => {
        const result = query.run();
        if (result.index > wait.index) settle(result);
      };
      const baseMs = Math.min(wait.waitMs > 0 ? wait.waitMs : defaultWaitMs, longestWaitMs);
      timer = this.#clock.after(baseMs + (this.#random() * baseMs) / 16, end);
      signal.addEventListener("abort", leave);
      this.#ends.add(end);
      for (const topic of query.topics) this.#subscribe(topic, wake);
    });
  }

  /** Wakes the queries that a commit concerns. */
  notify(commit: Commit): void {
    const woken = new Set<() => void>();
    const touch = (topic: string) => {
      for (const wake of this.#byTopic.get(topic) ?? []) woken.add(wake);
    };
    for (const write of commit.writes) {
      for (const topic of this.#topicsOf(write)) touch(topic);
    }
    for (const wake of woken) wake();
  }

  /** Answers all waiting queries with the current state. From now on no query waits. */
  close(): void {
    this.#closed = true;
    for (const end of [...this.#ends]) end();
  }

  #topicsOf([table, key]: Write): readonly string[] {
    if (table === "index") return [key];
    if (table === "session") return [`session:${key}`];
    if (table !== "kv") return [];
    const prefixes = [...this.#byTopic.keys()].filter(
      (topic) => topic.startsWith("kvs:") && key.startsWith(topic.slice(4)),
    );
    return [`kv:${key}`, ...prefixes];
  }

  #subscribe(topic: string, wake: () => void): void {
    const wakes = this.#byTopic.get(topic);
    if (wakes === undefined) this.#byTopic.set(topic, new Set([wake]));
    else wakes.add(wake);
  }

  #unsubscribe(topic: string, wake: () => void): void {
    const wakes = this.#byTopic.get(topic);
    wakes?.delete(wake);
    if (wakes?.size === 0) this.#byTopic.delete(topic);
  }
}
