/**
 * Sessions (Consul API, "Session"). A session belongs to a node and ends by hand, by its TTL or when one of its checks
 * becomes critical. Its keys are then released or deleted, and nobody may lock them until the lock delay is over.
 */
import { randomUUID } from "node:crypto";
import { ApiError } from "./api-error.ts";
import type { Clock, Timer } from "./clock.ts";
import { parseDuration } from "./duration.ts";
import { deleteKey, releaseKey, requireSessionId } from "./kv.ts";
import { rowKey, type SessionRecord } from "./records.ts";
import type { Store } from "./store.ts";

export interface SessionRequest {
  readonly name: string;
  readonly node: string;
  readonly lockDelayMs: number;
  readonly behavior: string;
  readonly ttl: string;
  readonly nodeChecks: readonly string[];
  readonly serviceChecks: readonly string[] | null;
}

const shortestTtlMs = 10_000;
const longestTtlMs = 24 * 3_600_000;
/** Consul lets a session live for twice its TTL. */
const ttlGrace = 2;

export class Sessions {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #timers = new Map<string, Timer>();
  /** Until when a key may not be locked again, milliseconds since the epoch. */
  readonly #lockDelays = new Map<string, number>();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    for (const session of store.rows("session").values()) this.#arm(session);
  }

  create(request: SessionRequest): string {
    const { node, behavior, ttl } = request;
    if (this.#store.get("node", node) === undefined) {
      throw new ApiError(500, "Missing node registration");
    }
    if (behavior !== "release" && behavior !== "delete") {
      throw new ApiError(500, `Invalid Behavior setting '${behavior}'`);
    }
    checkTtl(ttl);
    for (const id of request.nodeChecks) {
      const check = this.#store.get("check", rowKey(node, id));
      if (check === undefined) throw new ApiError(500, `Missing check '${id}' registration`);
      if (check.Status === "critical") {
        throw new ApiError(500, `Check '${id}' is in ${check.Status} state`);
      }
    }
    const session = this.#store.commit((tx) => {
      const record: SessionRecord = {
        ID: randomUUID(),
        Name: request.name,
        Node: node,
        LockDelay: request.lockDelayMs * 1e6,
        Behavior: behavior,
        TTL: ttl,
        NodeChecks: request.nodeChecks,
        ServiceChecks: request.serviceChecks,
        CreateIndex: tx.index,
        ModifyIndex: tx.index,
      };
      tx.set("session", record.ID, record);
      tx.set("index", "sessions", tx.index);
      return record;
    });
    this.#arm(session);
    return session.ID;
  }

  /** Starts the TTL again. `null` when there is no such session. */
  renew(id: string): SessionRecord | null {
    requireSessionId(id);
    const session = this.#store.get("session", id);
    if (session === undefined) return null;
    this.#arm(session);
    return session;
  }

  /** Ends a session. One that is not there is no error. */
  destroy(id: string): void {
    requireSessionId(id);
    this.#invalidate(id);
  }

  /** Whether the lock delay of a key is over. */
  mayLock(key: string): boolean {
    const until = this.#lockDelays.get(key);
    if (until === undefined) return true;
    if (this.#clock.now() < until) return false;
    this.#lockDelays.delete(key);
    return true;
  }

  /** Ends the sessions whose node is gone, or one of whose checks is critical or gone. */
  review(): void {
    for (const session of [...this.#store.rows("session").values()]) {
      const alive =
        this.#store.get("node", session.Node) !== undefined &&
        session.NodeChecks.every((id) => {
          const check = this.#store.get("check", rowKey(session.Node, id));
          return check !== undefined && check.Status !== "critical";
        });
      if (!alive) this.#invalidate(session.ID);
    }
  }

  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #invalidate(id: string): void {
    const session = this.#store.get("session", id);
    if (session === undefined) return;
    this.#timers.get(id)?.cancel();
    this.#timers.delete(id);
    const locked = [...this.#store.rows("kv").values()].filter(({ Session }) => Session === id);
    // The delay is set before the release wakes anybody.
    if (session.LockDelay > 0) {
      const until = this.#clock.now() + session.LockDelay / 1e6;
      for (const entry of locked) this.#lockDelays.set(entry.Key, until);
    }
    this.#store.commit((tx) => {
      tx.delete("session", id);
      tx.set("index", "sessions", tx.index);
      for (const entry of locked) {
        if (session.Behavior === "delete") deleteKey(tx, entry.Key);
        else releaseKey(tx, entry);
      }
    });
  }

  #arm(session: SessionRecord): void {
    const ttlMs = parseDuration(session.TTL);
    if (ttlMs === null || ttlMs === 0) return;
    this.#timers.get(session.ID)?.cancel();
    const timer = this.#clock.after(ttlMs * ttlGrace, () => this.#invalidate(session.ID));
    this.#timers.set(session.ID, timer);
  }
}

function checkTtl(ttl: string): void {
  if (ttl === "") return;
  const ttlMs = parseDuration(ttl);
  if (ttlMs === null) {
    throw new ApiError(500, `Session TTL '${ttl}' invalid: time: invalid duration "${ttl}"`);
  }
  if (ttlMs !== 0 && (ttlMs < shortestTtlMs || ttlMs > longestTtlMs)) {
    throw new ApiError(500, `Invalid Session TTL '${ttlMs * 1e6}', must be between [10s=24h0m0s]`);
  }
}
