/**
 * Watches this thread's calls into isolates: the watchdog ends a call that runs too long, the stall
 * guard ends the process when nothing else helps.
 */
import type ivm from "isolated-vm";
import { CallMarker } from "./call-marker.ts";
import {
  createStallGuard,
  type GuardedScript,
  type StallGuard,
  type StallGuardOptions,
} from "./stall-guard.ts";
import { Watchdog } from "./watchdog.ts";

export interface SupervisorOptions extends StallGuardOptions {
  /** For a call. */
  readonly limitMs: number;
  /** Called with the reason why nothing guards against stalls for the moment. */
  readonly onGuardLost: (message: string) => void;
}

export class Supervisor {
  readonly #marker = new CallMarker();
  readonly #watchdog: Watchdog;
  readonly #guard: StallGuard;

  constructor({ limitMs, onGuardLost, ...guard }: SupervisorOptions) {
    this.#watchdog = new Watchdog(this.#marker, limitMs);
    this.#guard = createStallGuard(this.#marker, guard, onGuardLost);
  }

  /** Starts the threads that watch; they are started when they are needed, otherwise. */
  start(): void {
    this.#watchdog.start();
    this.#guard.start();
  }

  /** False while the guard's thread starts, and where the system does not count: the wall's clock judges then. */
  get countsProcessorTime(): boolean {
    return this.#marker.hasAnswers;
  }

  /** A number for an isolate that is about to be made. */
  announce(host: string, version: string): number {
    const number = this.#marker.next();
    this.#guard.name(number, { host, version, methods: null, paths: null, onError: "deny" });
    return number;
  }

  /** The isolate is there. The watchdog ends a stay of more than `factor` limits. */
  limitLoading(number: number, isolate: ivm.Isolate, factor: number): void {
    this.#watchdog.guard(number, isolate, factor);
  }

  /** The script is loaded: from now on the limit is a call's. */
  limit(number: number, isolate: ivm.Isolate, script: GuardedScript): void {
    this.#guard.name(number, script);
    this.#watchdog.guard(number, isolate);
  }

  /** The isolate is gone. */
  forget(number: number): void {
    this.#watchdog.release(number);
    this.#guard.forget(number);
  }

  /** @param isTimed whether the stay has a timer of its own: the watchdog leaves it alone. */
  enter(number: number, isTimed: boolean): void {
    this.#marker.begin(isTimed ? -number : number);
    if (!isTimed) this.#watchdog.wake();
  }

  leave(): void {
    this.#marker.end();
  }

  dispose(): void {
    this.#watchdog.dispose();
    this.#guard.dispose();
  }
}
