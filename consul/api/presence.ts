/**
 * A key that is in Consul KV for as long as this process lives: bound to a session with a time to live,
 * which deletes it when it is not renewed. Shows who is there; elects nobody.
 *
 * Source: Consul's API pages "Session" and "KV Store" (`acquire`).
 */

import { type Clock, systemClock } from "../watching/clock.ts";
import type { Log } from "../watching/log.ts";
import { deadline } from "./calls.ts";
import type { ConsulClient } from "./client.ts";
import { describeConsulError } from "./errors.ts";

export interface PresenceOptions {
  readonly consul: ConsulClient;
  readonly key: string;
  readonly value: string;
  readonly log: Log;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Seconds without a renewal after which Consul may delete the key; Consul takes 10 and up. Default 15. */
  readonly ttlSeconds?: number;
}

export class Presence {
  readonly #options: PresenceOptions;
  readonly #clock: Clock;
  #value: string;
  #session: string | null = null;
  #cancel: (() => void) | null = null;
  #isStopped = false;
  #error: string | null = null;
  #working: Promise<void> = Promise.resolve();

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#value = options.value;
    this.#clock = options.clock ?? systemClock;
  }

  /** Puts the key there and keeps it; tries for ever. */
  start(): void {
    this.#working = this.#keep();
  }

  /** Gives the key another value, soon. */
  update(value: string): void {
    if (value === this.#value || this.#isStopped) return;
    this.#value = value;
    this.#working = this.#working.then(() => this.#keep());
  }

  /** Takes the key away; resolves also when Consul does not answer. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    await this.#working;
    if (this.#session === null) return;
    // When Consul cannot be told now, the session ends by itself and removes the key.
    await this.#options.consul.api.session
      .destroy({ id: this.#session, ...deadline })
      .catch(() => undefined);
    this.#session = null;
  }

  async #keep(): Promise<void> {
    const { ttlSeconds = 15 } = this.#options;
    this.#cancel?.();
    if (this.#isStopped) return;
    try {
      await this.#renew(ttlSeconds);
      this.#error = null;
    } catch (error) {
      this.#session = null;
      const reason = describeConsulError(error);
      if (reason !== this.#error && !this.#isStopped) {
        const { key, log } = this.#options;
        log.warn({ key, reason }, `this gateway is not registered as ${key}: ${reason}`);
      }
      this.#error = reason;
    }
    if (this.#isStopped) return;
    const pauseMs = this.#session === null ? 2_000 : (ttlSeconds * 1_000) / 3;
    this.#cancel = this.#clock.after(pauseMs, () => this.start());
  }

  async #renew(ttlSeconds: number): Promise<void> {
    const { consul, key } = this.#options;
    const { session, kv } = consul.api;
    if (this.#session !== null) {
      await session.renew({ id: this.#session, ...deadline });
    } else {
      const ttl = `${ttlSeconds}s`;
      const options = { name: key, ttl, behavior: "delete", lockdelay: "0s" } as const;
      const { ID } = await session.create({ ...options, ...deadline });
      this.#session = ID;
    }
    // Also after a renewal: the key may have been deleted by hand.
    const isOurs = await kv.set({ key, value: this.#value, acquire: this.#session, ...deadline });
    if (!isOurs) throw new Error(`${key} is held by another session`);
  }
}
