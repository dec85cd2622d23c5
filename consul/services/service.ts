/**
 * One service in use: how it is kept up to date (a blocking query of its own, or polled), and what
 * its answers come to. Decides nothing about which services are in use.
 */
import type { Instance } from "../../gateway/model/index.ts";
import type { ConsulClient } from "../api/client.ts";
import { ConsulError, describeConsulError } from "../api/errors.ts";
import type { Clock } from "../watching/clock.ts";
import type { LedgerMemory } from "../watching/ledger.ts";
import { type Renewed, Watch, type WatchEvent, type WatchStatus } from "../watching/watch.ts";
import { type ReadMode, type Registration, readHealth } from "./health.ts";
import { type GuardLimits, ServiceInstances } from "./service-instances.ts";

export interface ServiceOptions {
  readonly key: string;
  readonly name: string;
  /** `null`: the agent's own. */
  readonly datacenter: string | null;
  readonly consul: ConsulClient;
  readonly clock: Clock;
  readonly random: () => number;
  /** How long its blocking query may wait; asked when that begins. */
  readonly waitMs: () => number;
  readonly guard: GuardLimits;
  /** How its blocking query is answered. */
  readonly reads: ReadMode;
  readonly previous?: readonly Instance[] | undefined;
  /** What was known of them beside. */
  readonly memory?: LedgerMemory | undefined;
  /** Called when Consul refuses a connection for its blocking query. */
  readonly onRefused: (service: Service) => void;
  /** After each answer. */
  readonly onInstances: (service: Service) => void;
}

export class Service {
  readonly key: string;
  readonly name: string;
  readonly datacenter: string | null;
  readonly instances: ServiceInstances;
  /** A request asked for it; a document names it. It is in use while either holds. */
  asked = false;
  named = false;
  /** When a request for it was heard of last. */
  usedAt: number;
  /** Since when only an earlier request keeps it in use. */
  unlistedSince: number | null = null;

  readonly #options: ServiceOptions;
  readonly #first = Promise.withResolvers<void>();
  #watch: Watch<readonly Registration[]> | null = null;
  #lastIndex: number | null = null;
  /** What the last query failed with; `null` when it did not. */
  #error: string | null = null;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.key = options.key;
    this.name = options.name;
    this.datacenter = options.datacenter;
    this.usedAt = options.clock.now();
    this.instances = new ServiceInstances(
      options.clock,
      options.previous,
      options.memory,
      options.guard,
    );
    this.#lastIndex = options.memory?.index ?? null;
  }

  get isWatched(): boolean {
    return this.#watch !== null;
  }

  /** Resolves once its first query has an answer or has failed, or when it is closed. */
  get firstOutcome(): Promise<void> {
    return this.#first.promise;
  }

  get error(): string | null {
    return this.#error;
  }

  /** Gives it a blocking query of its own. */
  watch(): void {
    const { clock, random, waitMs, consul, reads } = this.#options;
    this.#watch ??= new Watch({
      name: `service ${this.key}`,
      clock,
      random,
      waitMs: waitMs(),
      query: (query) =>
        this.#unlessRefused(readHealth(consul, this.name, this.datacenter, query, reads)),
      onAnswer: (event) => this.#take(event),
      onStateChange: ({ state, lastError }) => {
        if (state === "failing") this.#fail(lastError ?? "unknown");
      },
    });
    this.#watch.start();
  }

  /**
   * One query, at once. Rejects when it failed. It asks the leader, because a server other than the one that
   * reported a change may not have it yet.
   */
  async poll(signal: AbortSignal): Promise<void> {
    const { reads } = this.#options;
    this.#take(await this.#read(reads === "stale" ? "default" : reads, signal));
  }

  /** Asks Consul's leader, which makes sure that it still leads. Rejects when that failed. */
  async confirm(signal: AbortSignal): Promise<void> {
    this.#take(await this.#read("consistent", signal), true);
  }

  /** Makes its blocking query anew on another connection. */
  renew(which: Renewed): void {
    this.#watch?.renew(which);
  }

  /** Ends its blocking query; resolves when nothing of it is left. */
  async unwatch(): Promise<void> {
    const watch = this.#watch;
    this.#watch = null;
    await watch?.stop();
  }

  /** Nobody waits for it any more. */
  close(): void {
    this.#first.resolve();
  }

  watchStatus(): WatchStatus | null {
    return this.#watch?.status() ?? null;
  }

  async #unlessRefused<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof ConsulError && error.code === "refused") this.#options.onRefused(this);
      throw error;
    }
  }

  async #read(mode: ReadMode, signal: AbortSignal): Promise<WatchEvent<readonly Registration[]>> {
    const query = { index: null, waitMs: 0, signal };
    const { consul } = this.#options;
    try {
      const answer = await readHealth(consul, this.name, this.datacenter, query, mode);
      return { ...answer, backwards: false, afterError: false };
    } catch (error) {
      // Given up because it is watched now.
      if (!this.isWatched) this.#fail(describeConsulError(error));
      throw error;
    }
  }

  #take(event: WatchEvent<readonly Registration[]>, isConfirmed = false): void {
    // Kept here as well as in the watch, because polls do not remember it.
    const backwards =
      event.backwards || (this.#lastIndex !== null && event.index < this.#lastIndex);
    const afterError = event.afterError || this.#error !== null;
    this.instances.apply({ ...event, backwards, afterError }, isConfirmed);
    this.#lastIndex = event.index;
    this.#error = null;
    this.#options.onInstances(this);
    this.#first.resolve();
  }

  #fail(error: string): void {
    this.#error = error;
    this.#first.resolve();
  }
}
