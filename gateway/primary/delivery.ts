/**
 * Tells when a write to Consul has reached the workers of this gateway: the gateway has seen it in Consul and
 * decided on it, and each worker has acknowledged it. Writes nothing itself.
 */
import { ConsulError } from "../../consul/index.ts";
import type { Subject } from "../releases/index.ts";
import type { Clock } from "./clock.ts";
import type { BehindWorker } from "./workers.ts";

export interface Delivered {
  /** Whether the gateway has seen it in Consul. */
  readonly isSeen: boolean;
  /** Workers that do not have it yet. */
  readonly behind: readonly BehindWorker[];
}

export interface DeliveryOptions {
  /** The ModifyIndex of what Consul has of a document now; `null`: it has none. Rejects with a `ConsulError`. */
  readonly written: (subject: Subject) => Promise<number | null>;
  /** The ModifyIndex of what this gateway decided on last; `null`: it has none. */
  readonly decided: (subject: Subject) => number | null;
  /** Makes a version of everything that was decided so far; returns its number. */
  readonly commit: () => number;
  /** Workers that are not at this version yet. */
  readonly behind: (version: number) => readonly BehindWorker[];
  readonly clock: Pick<Clock, "after" | "ticks">;
}

const lookAgainMs = 5;

export class Delivery {
  readonly #options: DeliveryOptions;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /**
   * Resolves when every worker has what Consul has of `subject` now, or something later; at the latest after
   * `withinMs`.
   */
  async arrived(subject: Subject, withinMs: number): Promise<Delivered> {
    const { written, decided } = this.#options;
    const untilMs = this.#options.clock.ticks() + withinMs;
    let wanted: number | null;
    try {
      wanted = await written(subject);
    } catch (error) {
      if (!(error instanceof ConsulError)) throw error;
      // The write stands; only what Consul has now is unknown.
      return { isSeen: false, behind: [] };
    }
    const isSeen = () => {
      const index = decided(subject);
      return wanted === null ? index === null : index !== null && index >= wanted;
    };
    if (!(await this.#until(isSeen, untilMs))) return { isSeen: false, behind: [] };
    return this.#everywhere(untilMs);
  }

  /** The same for a change that was made here alone and is not in Consul. */
  everywhere(withinMs: number): Promise<Delivered> {
    return this.#everywhere(this.#options.clock.ticks() + withinMs);
  }

  async #everywhere(untilMs: number): Promise<Delivered> {
    const { commit, behind } = this.#options;
    const version = commit();
    await this.#until(() => behind(version).length === 0, untilMs);
    return { isSeen: true, behind: behind(version) };
  }

  /** Resolves to whether it came to hold. */
  async #until(holds: () => boolean, untilMs: number): Promise<boolean> {
    const { clock } = this.#options;
    while (!holds()) {
      if (clock.ticks() >= untilMs) return false;
      await new Promise<void>((resolve) => void clock.after(lookAgainMs, resolve));
    }
    return true;
  }
}
