/**
 * Publishes versions to workers and knows what each has applied. Sends messages through functions that
 * it is given; knows nothing of processes.
 */

import type { Delta, Snapshot, ToWorker } from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import type { Clock } from "./clock.ts";

export interface ReplicationOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly source: {
    readonly boot: string;
    readonly version: number;
    snapshot(): Snapshot;
  };
}

/** How far a worker is. */
export interface Progress {
  /** The last version of this boot that it acknowledged; `null` before the first. */
  readonly version: number | null;
  /** Milliseconds since the oldest version that it has not acknowledged was published; 0 when none. */
  readonly lagMs: number;
}

interface Replica {
  readonly send: (message: ToWorker) => void;
  version: number | null;
  /** Asked for a snapshot before there was one to give. */
  isWaiting: boolean;
  /** It has a snapshot, which deltas continue. */
  isFollowing: boolean;
  /** What was sent and is not acknowledged, oldest first. */
  readonly unacknowledged: { readonly version: number; readonly atMs: number }[];
  snapshotSentMs: number;
}

const counterIntervalMs = 1000;
/** When a worker asks again this soon after a snapshot, the one that is on its way answers it. */
const snapshotGraceMs = 1000;

export class Replication {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #source: ReplicationOptions["source"];
  readonly #replicas = new Map<number, Replica>();
  #isOpen = false;
  #cancelCounter: (() => void) | null = null;

  constructor({ clock, log, source }: ReplicationOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#source = source;
  }

  /** False until there is a state that may be served. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** From now on there is a state to serve: answers the workers that wait for one. */
  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    for (const replica of this.#replicas.values()) {
      if (replica.isWaiting) this.#sendSnapshot(replica);
    }
    this.#scheduleCounter();
  }

  close(): void {
    this.#cancelCounter?.();
    this.#cancelCounter = null;
    this.#isOpen = false;
  }

  add(id: number, send: (message: ToWorker) => void): void {
    this.#replicas.set(id, {
      send,
      version: null,
      isWaiting: false,
      isFollowing: false,
      unacknowledged: [],
      snapshotSentMs: Number.NEGATIVE_INFINITY,
    });
  }

  remove(id: number): void {
    this.#replicas.delete(id);
  }

  /** The step that was just committed, to every worker that has the version before it. */
  publish(delta: Delta): void {
    if (!this.#isOpen) return;
    const atMs = this.#clock.ticks();
    for (const replica of this.#replicas.values()) {
      if (!replica.isFollowing) continue;
      replica.unacknowledged.push({ version: delta.to, atMs });
      replica.send({ type: "delta", delta });
    }
  }

  /** Worker `id` wants a snapshot: now, or as soon as there is one. */
  resync(id: number, reason: string): void {
    const replica = this.#replicas.get(id);
    if (replica === undefined) return;
    if (!this.#isOpen) {
      replica.isWaiting = true;
      return;
    }
    const isOnItsWay =
      replica.unacknowledged.length > 0 &&
      this.#clock.ticks() - replica.snapshotSentMs < snapshotGraceMs;
    if (isOnItsWay) return;
    this.#log.debug({ worker: id, reason }, "worker asks for a snapshot");
    this.#sendSnapshot(replica);
  }

  acknowledge(id: number, boot: string, version: number): void {
    const replica = this.#replicas.get(id);
    if (replica === undefined || boot !== this.#source.boot) return;
    replica.version = version;
    const { unacknowledged } = replica;
    const applied = unacknowledged.findIndex((sent) => sent.version > version);
    unacknowledged.splice(0, applied === -1 ? unacknowledged.length : applied);
  }

  progress(id: number): Progress {
    const replica = this.#replicas.get(id);
    const oldest = replica?.unacknowledged[0];
    return {
      version: replica?.version ?? null,
      lagMs: oldest === undefined ? 0 : Math.max(0, this.#clock.ticks() - oldest.atMs),
    };
  }

  #sendSnapshot(replica: Replica): void {
    const snapshot = this.#source.snapshot();
    const atMs = this.#clock.ticks();
    replica.isWaiting = false;
    replica.isFollowing = true;
    replica.snapshotSentMs = atMs;
    // Versions that were sent before keep their place: the lag counts from the oldest of them.
    if (replica.unacknowledged.at(-1)?.version !== snapshot.version) {
      replica.unacknowledged.push({ version: snapshot.version, atMs });
    }
    replica.send({ type: "snapshot", snapshot });
  }

  /** Sends the counter itself, so that a worker that lost a message finds out. */
  #scheduleCounter(): void {
    this.#cancelCounter = this.#clock.after(counterIntervalMs, () => {
      const { boot, version } = this.#source;
      for (const replica of this.#replicas.values()) {
        if (replica.isFollowing) replica.send({ type: "counter", boot, version });
      }
      this.#scheduleCounter();
    });
  }
}
