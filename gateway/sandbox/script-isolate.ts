/** One isolate with one script in it: calls in, text out. Knows nothing of exchanges. */
import ivm from "isolated-vm";
import type { Source } from "../state/index.ts";
import type { Declared } from "./declared.ts";
import { explain, faultAt, faultOf, isTimeout, ScriptError } from "./faults.ts";
import { loadTimeoutFactor } from "./limits.ts";
import { type Entry, type Loaded, loadNow } from "./loading.ts";
import type { Match } from "./match.ts";
import type { LogLine } from "./output.ts";
import type { ScriptFault } from "./sandbox.ts";
import type { Stopwatch } from "./stall-guard.ts";

export interface ScriptIsolateOptions {
  readonly host: string;
  readonly source: Source;
  readonly modules: ReadonlyMap<string, Source>;
  readonly settings: Settings;
  readonly memoryMb: number;
  readonly callTimeoutMs: number;
  readonly stopwatch: Stopwatch;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly onImport: (name: string) => void;
}

const noSecondTryForMs = 1_000;

/** The settings that scripts read. */
export interface Settings {
  /** Differs when `json` does. */
  readonly version: number;
  /** One JSON object. */
  readonly json: string;
}

/** What a call takes: strings and numbers, nothing else may cross. */
export type Arguments = (string | number)[];

export class ScriptIsolate {
  readonly match: Match;
  readonly hasOnResponse: boolean;
  readonly declared: Declared;
  /** What the script logged while it was evaluated. */
  readonly loadLogs: readonly LogLine[];
  /** For the choice of which isolate to put away; set by its owner. */
  lastUsed = 0;
  readonly #isolate: ivm.Isolate;
  readonly #entry: Entry;
  readonly #key: string;
  readonly #stopwatch: Stopwatch;
  readonly #limit: { readonly timeout: number };
  readonly #now: () => number;
  #noTryBeforeMs = 0;
  #settingsVersion: number;

  /** @throws ScriptError when the script does not load. */
  constructor(options: ScriptIsolateOptions) {
    const { host, source, stopwatch } = options;
    this.#key = `scripts/${host}`;
    this.#stopwatch = stopwatch;
    this.#now = options.now;
    this.#limit = { timeout: options.callTimeoutMs };
    this.#settingsVersion = options.settings.version;
    this.#isolate = new ivm.Isolate({ memoryLimit: options.memoryMb });
    const timeoutMs = options.callTimeoutMs * loadTimeoutFactor;
    let loaded: Loaded;
    stopwatch.start();
    try {
      loaded = loadNow({
        isolate: this.#isolate,
        key: this.#key,
        text: source.text,
        modules: options.modules,
        settings: options.settings.json,
        timeoutMs,
        onImport: options.onImport,
      });
    } catch (error) {
      this.dispose();
      throw new ScriptError(faultOf(this.#key, error, timeoutMs));
    } finally {
      stopwatch.stop();
    }
    this.#entry = loaded.entry;
    this.match = loaded.match;
    this.hasOnResponse = loaded.hasOnResponse;
    this.declared = loaded.declared;
    this.loadLogs = loaded.logs;
  }

  /** True once memory ran out: no call can succeed any more. */
  get isDisposed(): boolean {
    return this.#isolate.isDisposed;
  }

  dispose(): void {
    if (!this.#isolate.isDisposed) this.#isolate.dispose();
  }

  /** @throws ScriptError when the call ran out of time or memory. */
  onRequest(values: Arguments, settings: Settings): string {
    return this.#call(this.#entry.onRequest, values, settings);
  }

  /** @throws ScriptError when the call ran out of time or memory. */
  onResponse(values: Arguments, settings: Settings): string {
    return this.#call(this.#entry.onResponse, values, settings);
  }

  fault(message: string, stack: string): ScriptFault {
    return faultAt(this.#key, message, stack);
  }

  #call(entry: ivm.Reference<unknown>, values: Arguments, settings: Settings): string {
    this.#stopwatch.start();
    try {
      if (this.#settingsVersion !== settings.version) {
        this.#entry.replaceSettings.applySync(undefined, [settings.json], this.#limit);
        this.#settingsVersion = settings.version;
      }
      try {
        return String(entry.applySync(undefined, values, this.#limit));
      } catch (error) {
        if (!this.#mayTryAgain(error)) throw error;
        const again = String(entry.applySync(undefined, values, this.#limit));
        this.#noTryBeforeMs = 0;
        return again;
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const stack = isTimeout(error) ? (error.stack ?? "") : "";
      throw new ScriptError(this.fault(explain(error, this.#limit.timeout), stack));
    } finally {
      this.#stopwatch.stop();
    }
  }

  /**
   * The limit is wall-clock time, which also passes while a busy machine runs something else: so a
   * call that ran out of it is tried once more. One that ran out of it twice means it: the script
   * gets no second tries for a while, so that one which loops stalls nobody for longer.
   */
  #mayTryAgain(error: unknown): boolean {
    if (!(error instanceof Error && isTimeout(error)) || this.#isolate.isDisposed) return false;
    const now = this.#now();
    if (now < this.#noTryBeforeMs) return false;
    this.#noTryBeforeMs = now + noSecondTryForMs;
    return true;
  }
}
