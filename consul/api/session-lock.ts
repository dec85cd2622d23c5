/**
 * A lock that one process of the cluster holds: a key in Consul KV bound to a session with a time to live. Keys that
 * are put under the same session are deleted together with it, however its holder ends.
 *
 * Source: Consul's API pages "Session" and "KV Store" (`acquire`).
 */
import { type Clock, systemClock } from "../watching/clock.ts";
import { deadline } from "./calls.ts";
import type { ConsulClient } from "./client.ts";
import { ConsulError, describeConsulError } from "./errors.ts";

export interface SessionLockOptions {
  readonly consul: ConsulClient;
  readonly key: string;
  /** Who holds it, for those who look. */
  readonly value: string;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Seconds without a renewal after which Consul may end the session; Consul takes 10 and up. Default 10. */
  readonly ttlSeconds?: number;
}

/** The lock while it is held. */
export interface HeldLock {
  /** Aborted when the lock may be lost: whoever holds it must stop. */
  readonly signal: AbortSignal;
  /** Puts a key that lives no longer than the lock. Rejects with a `ConsulError`. */
  put(key: string, text: string): Promise<void>;
  /** Ends the session. Resolves also when Consul does not answer; the session then ends by itself. */
  release(): Promise<void>;
}

export class SessionLock {
  readonly #options: SessionLockOptions;
  readonly #clock: Clock;

  constructor(options: SessionLockOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** `null`: somebody else holds it. Rejects with a `ConsulError`. */
  async acquire(): Promise<HeldLock | null> {
    const { consul, key, value, ttlSeconds = 10 } = this.#options;
    const { session, kv } = consul.api;
    const ttl = `${ttlSeconds}s`;
    // The delay keeps others out while a holder whose session was ended finds that out.
    const options = { name: key, ttl, behavior: "delete", lockdelay: "5s" } as const;
    const askedMs = this.#clock.now();
    const { ID } = await told(`creating a session for ${key}`, () =>
      session.create({ ...options, ...deadline }),
    );
    const held = new Held(this.#options, this.#clock, ID, ttlSeconds);
    held.lastsFrom(askedMs);
    try {
      const isOurs = await told(`writing ${key}`, () =>
        kv.set({ key, value, acquire: ID, ...deadline }),
      );
      if (isOurs) {
        held.keep();
        return held;
      }
    } catch (error) {
      await held.release();
      throw error;
    }
    await held.release();
    return null;
  }
}

class Held implements HeldLock {
  readonly #options: SessionLockOptions;
  readonly #clock: Clock;
  readonly #id: string;
  readonly #ttlMs: number;
  readonly #lost = new AbortController();
  #cancel: (() => void) | null = null;
  /** Takes back the end of the session as it is known here. */
  #cancelEnd: (() => void) | null = null;
  #isOver = false;

  constructor(options: SessionLockOptions, clock: Clock, id: string, ttlSeconds: number) {
    this.#options = options;
    this.#clock = clock;
    this.#id = id;
    this.#ttlMs = ttlSeconds * 1_000;
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  keep(): void {
    this.#cancel = this.#clock.after(this.#ttlMs / 4, () => void this.#renew());
  }

  /**
   * The session has been made or renewed by a request that was sent then. When no other one succeeds in time, the lock
   * counts as lost before Consul gives it to anybody else, whether or not Consul can be asked.
   */
  lastsFrom(askedMs: number): void {
    this.#cancelEnd?.();
    const leftMs = this.#ttlMs - (this.#clock.now() - askedMs);
    this.#cancelEnd = this.#clock.after(Math.max(leftMs, 0), () => this.#lose());
  }

  async put(key: string, text: string): Promise<void> {
    const { kv } = this.#options.consul.api;
    const isOurs = await told(`writing ${key}`, () =>
      kv.set({ key, value: text, acquire: this.#id, ...deadline }),
    );
    if (!isOurs) throw new ConsulError("status", `writing ${key}: another session holds it`);
  }

  async release(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancel?.();
    this.#cancelEnd?.();
    const { consul, key, value } = this.#options;
    const { kv, session } = consul.api;
    // The delay is for sessions that end otherwise: a key that was let go of can be taken at once.
    await kv.set({ key, value, release: this.#id, ...deadline }).catch(() => undefined);
    await session.destroy({ id: this.#id, ...deadline }).catch(() => undefined);
  }

  async #renew(): Promise<void> {
    const askedMs = this.#clock.now();
    try {
      await this.#options.consul.api.session.renew({ id: this.#id, ...deadline });
      if (!this.#isOver && !this.signal.aborted) this.lastsFrom(askedMs);
    } catch (error) {
      // A session that Consul does not know is over; what else fails may be well again in time.
      if (/404|not found/i.test(describeConsulError(error))) this.#lose();
    }
    if (!this.#isOver && !this.signal.aborted) this.keep();
  }

  #lose(): void {
    this.#cancel?.();
    this.#cancelEnd?.();
    this.#lost.abort(new Error("the lock in Consul is lost"));
  }
}

async function told<T>(what: string, send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    if (error instanceof ConsulError) throw error;
    throw new ConsulError("status", `${what}: ${describeConsulError(error)}`, 0, error);
  }
}
