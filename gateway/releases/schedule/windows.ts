/** The windows of the schedules of one host's versions, as they stand now; each worked out anew when it changes. */
import type { Schedule } from "../../sandbox/index.ts";
import { type Window, windowAt } from "./schedule.ts";

/** The version that is live and one on trial. */
const maxWindows = 2;

export class Windows {
  readonly #windows = new Map<string, Window>();
  #closedUntil: number | null = null;

  /** Of a version that is out of service for its schedule, since the last `begin`; `null` when none is. */
  get closedUntil(): number | null {
    return this.#closedUntil;
  }

  get isEmpty(): boolean {
    return this.#windows.size === 0;
  }

  /** What serves is worked out anew. */
  begin(): void {
    this.#closedUntil = null;
  }

  /** @param schedule `null`: always open. */
  isOpen(version: string, schedule: Schedule | null, nowMs: number): boolean {
    if (schedule === null) return true;
    const window = this.#at(version, schedule, nowMs);
    if (!window.isOpen) this.#closedUntil = window.until;
    return window.isOpen;
  }

  #at(version: string, schedule: Schedule, nowMs: number): Window {
    const known = this.#windows.get(version);
    if (known !== undefined && nowMs < known.until) return known;
    const window = windowAt(schedule, nowMs);
    if (this.#windows.size >= maxWindows) this.#windows.clear();
    this.#windows.set(version, window);
    return window;
  }
}
