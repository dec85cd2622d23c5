/**
 * One script's isolate and what its calls take: the isolate is made by the first call, may be put away and made
 * again, and a call that a busy machine cut short is made a second time. Knows nothing of exchanges.
 */
import type { Source } from "../../model/index.ts";
import type { ProcessorTime } from "../guard/processor-time.ts";
import { ScriptTime, type Took, type Wait, type WorkerTime } from "../guard/script-time.ts";
import { loadTimeoutFactor } from "../limits.ts";
import { CutError, faultAt, ScriptError, sameColumn } from "./faults.ts";
import type { Arguments, ScriptIsolate, Settings } from "./script-isolate.ts";
import type { Awaited } from "./waiting-line.ts";

/** What a script needs from its sandbox. */
export interface RuntimeHousing {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** The limit of a call. */
  readonly callTimeoutMs: number;
  readonly processorTime: ProcessorTime;
  readonly workerTime: WorkerTime;
  /**
   * Makes an isolate and may put another one away.
   * @param isPatient whether the clock on the wall is of no interest.
   * @throws ScriptError
   */
  open(runtime: ScriptRuntime, isPatient: boolean): ScriptIsolate;
  /** The isolate cannot be used any more. */
  close(runtime: ScriptRuntime): void;
  /** A number that grows with each use of any isolate. */
  tick(): number;
}

/** A script that did not load is tried again after this time: memory may have been short. */
const retryLoadMs = 5_000;
/** A call that had the processor for this part of its limit ran out of time through its own fault. */
const ownPart = 0.75;
/** For this time after it ran out of time, a script gets a timer, which costs more and spares its isolate. */
const suspectForMs = 60_000;
const exactFromMs = 0.25;

const waits: Readonly<Record<Wait, string>> = {
  debts: "is not called for a while: calls that failed took too much time",
  newcomers: "is not called yet: other scripts that had not been called before took too much time",
  share: "is not called for a while: its calls take long, and scripts take too much time together",
};

/** The script was not called. */
class WaitError extends ScriptError {
  readonly wait: Wait;

  constructor(host: string, wait: Wait) {
    super({ key: `scripts/${host}`, line: 0, column: 0, message: waits[wait] });
    this.wait = wait;
  }
}

export class ScriptRuntime implements Awaited {
  readonly host: string;
  readonly source: Source;
  /** As its tenant sees them. */
  readonly settings: Settings;
  /** Each module that loading asked for; `null` for one that was not there. */
  readonly imports = new Map<string, Source | null>();
  readonly #housing: RuntimeHousing;
  readonly #onLoaded: (isolate: ScriptIsolate) => void;
  readonly #time: ScriptTime;
  #isolate: ScriptIsolate | null = null;
  #loadError: ScriptError | null = null;
  #retryAtMs = 0;
  #isSuspect = false;
  #suspectUntilMs = 0;
  /** When what is called now began. */
  #startedMs = 0;
  /** It was said already that the call that comes may be. */
  #isAdmitted = false;

  /** @param onLoaded called with each isolate that is made. */
  constructor(
    script: { readonly host: string; readonly source: Source; readonly settings: Settings },
    housing: RuntimeHousing,
    onLoaded: (isolate: ScriptIsolate) => void,
  ) {
    this.host = script.host;
    this.source = script.source;
    this.settings = script.settings;
    this.#housing = housing;
    this.#onLoaded = onLoaded;
    this.#time = new ScriptTime(housing.workerTime);
  }

  get isolate(): ScriptIsolate | null {
    return this.#isolate;
  }

  get isHeavy(): boolean {
    return this.#time.isHeavy;
  }

  /** Milliseconds that its calls took, as estimated from those that were measured. */
  get ranMs(): number {
    return this.#time.totalMs;
  }

  /** What a call usually takes; `null` while that is not known from calls here. */
  get usualMs(): number | null {
    return this.#time.usualMs;
  }

  /** @param usualMs what a call takes in other workers. */
  learn(usualMs: number): void {
    this.#time.learn(usualMs);
  }

  admit(isAlone: boolean): Wait | null {
    const wait = this.#time.wait(this.#housing.now());
    this.#isAdmitted = wait === null || (wait === "share" && isAlone);
    return this.#isAdmitted ? null : wait;
  }

  /** Frees the isolate; the next use makes another one. */
  putAway(): void {
    this.#isolate?.dispose();
    this.#isolate = null;
  }

  /** @throws ScriptError when the script does not load or is not to be called now. */
  open(): ScriptIsolate {
    const { now, tick } = this.#housing;
    if (this.#isolate === null) {
      const { outOfService, isUnexamined } = this.source;
      if (outOfService !== undefined || isUnexamined) {
        const message = `out of service: ${outOfService?.reason ?? "not examined yet"}`;
        throw new ScriptError({ key: `scripts/${this.host}`, line: 0, column: 0, message });
      }
      const startedMs = now();
      if (this.#loadError !== null && startedMs < this.#retryAtMs) throw this.#loadError;
      this.#refuseToWait(startedMs);
      try {
        this.#isolate = this.#make(startedMs);
      } catch (error) {
        if (error instanceof ScriptError) {
          const took = this.#tookSince(startedMs);
          this.#loadError = error;
          this.#retryAtMs = took.endedMs + retryLoadMs;
          this.#time.failedToLoad(took);
        }
        throw error;
      }
      this.#time.made(this.#tookSince(startedMs));
      this.#loadError = null;
      this.#onLoaded(this.#isolate);
    }
    this.#isolate.lastUsed = tick();
    return this.#isolate;
  }

  /**
   * Says `returned` or `failed` afterwards.
   * @throws ScriptError when the script does not load, is not to be called now, or the call was cut short.
   */
  call(name: "onRequest" | "onResponse", values: Arguments): string {
    this.#startedMs = this.#housing.now();
    this.#refuseToWait(this.#startedMs);
    this.#isAdmitted = true;
    try {
      return this.#callAdmitted(name, values);
    } finally {
      this.#isAdmitted = false;
    }
  }

  #callAdmitted(name: "onRequest" | "onResponse", values: Arguments): string {
    const { now, processorTime } = this.#housing;
    const { settings } = this;
    const isTimed = this.#isSuspect && this.#isStillSuspect();
    try {
      const isolate = this.#opened();
      processorTime.mark(this.#startedMs);
      return isolate[name](values, settings, isTimed);
    } catch (error) {
      if (error === this.#loadError) throw error;
      if (!(error instanceof CutError) || !this.#mayTryAgain(error)) throw error;
    }
    this.#closeEnded();
    this.#time.tried(this.#tookSince(this.#startedMs));
    this.#startedMs = now();
    const isolate = this.#opened();
    processorTime.mark(this.#startedMs);
    try {
      // Not by a timer, which would also count the machine's other work.
      return isolate[name](values, settings, false);
    } catch (error) {
      if (error instanceof CutError && error.cut === "time") this.#suspect();
      throw error;
    }
  }

  /** What a call says that it threw. */
  thrown(message: string, stack: string): ScriptError {
    const isolate = this.#isolate;
    if (isolate !== null) return new ScriptError(isolate.fault(message, stack));
    const key = `scripts/${this.host}`;
    return new ScriptError(faultAt(key, message, stack, sameColumn(key)));
  }

  /** What the call brought has been put into effect. */
  returned(): void {
    if (this.#time.isNextMeasured()) this.#time.returned(this.#tookSince(this.#startedMs));
  }

  /** The call failed, or its outcome could not be applied. Returns whether that counts as an error of this version. */
  failed(error: unknown): boolean {
    this.#closeEnded();
    // Time that other scripts took does not count against this version.
    if (error instanceof WaitError) return error.wait === "debts";
    // Otherwise nothing ran.
    if (error !== this.#loadError) this.#time.failed(this.#tookSince(this.#startedMs));
    return true;
  }

  /** A call begins when there is an isolate for it. */
  #opened(): ScriptIsolate {
    const wasOpen = this.#isolate !== null;
    const isolate = this.open();
    if (!wasOpen) this.#startedMs = this.#housing.now();
    return isolate;
  }

  #refuseToWait(nowMs: number): void {
    if (this.#isAdmitted) return;
    const wait = this.#time.wait(nowMs);
    if (wait !== null) throw new WaitError(this.host, wait);
  }

  #make(nowMs: number): ScriptIsolate {
    const { processorTime } = this.#housing;
    processorTime.mark(nowMs);
    try {
      return this.#housing.open(this, false);
    } catch (error) {
      const isLate = error instanceof CutError && error.cut === "time";
      if (!isLate || this.#hadItsTime(loadTimeoutFactor)) throw error;
    }
    return this.#housing.open(this, true);
  }

  /** Whether what ran out of time had the processor meanwhile. @param factor of the limit of a call. */
  #hadItsTime(factor: number): boolean {
    const { callTimeoutMs, processorTime } = this.#housing;
    return processorTime.sinceMark() >= ownPart * factor * callTimeoutMs;
  }

  #isStillSuspect(): boolean {
    this.#isSuspect = this.#housing.now() < this.#suspectUntilMs;
    return this.#isSuspect;
  }

  #suspect(): void {
    this.#isSuspect = true;
    this.#suspectUntilMs = this.#housing.now() + suspectForMs;
  }

  /** A call that ran out of its time while a busy machine ran something else is tried once more. */
  #mayTryAgain({ cut }: CutError): boolean {
    // The watchdog was late: the call that it meant had just returned.
    if (cut === "gone") return true;
    if (cut !== "time") return false;
    if (!this.#hadItsTime(1)) return true;
    this.#suspect();
    return false;
  }

  #tookSince(startedMs: number): Took {
    const endedMs = this.#housing.now();
    const wallMs = endedMs - startedMs;
    // For less, the clock on the wall is exact enough.
    if (wallMs < exactFromMs) return { endedMs, wallMs, ranMs: wallMs };
    return { endedMs, wallMs, ranMs: Math.min(wallMs, this.#housing.processorTime.sinceMark()) };
  }

  #closeEnded(): void {
    if (!this.#isolate?.isDisposed) return;
    this.putAway();
    this.#housing.close(this);
  }
}
