/** One isolate with one script in it: calls in, text out. Knows nothing of exchanges. */
import ivm from "isolated-vm";
import type { Source, Tenants } from "../../model/index.ts";
import type { Supervisor } from "../guard/supervisor.ts";
import { loadTimeoutFactor, wallFactor } from "../limits.ts";
import type { ScriptFault } from "../sandbox.ts";
import type { BaseSnapshot } from "./base-snapshot.ts";
import type { Declared } from "./declared.ts";
import {
  type ColumnOf,
  CutError,
  cutOf,
  explain,
  faultAt,
  faultOf,
  ScriptError,
} from "./faults.ts";
import { type Entry, type Loaded, loadNow } from "./loading.ts";
import type { Match } from "./match.ts";
import type { LogLine } from "./output.ts";

export interface ScriptIsolateOptions {
  readonly host: string;
  readonly source: Source;
  readonly modules: ReadonlyMap<string, Source>;
  readonly settings: Settings;
  readonly tenants: Tenants | null;
  readonly baseSnapshot: BaseSnapshot;
  readonly memoryMb: number;
  readonly callTimeoutMs: number;
  readonly supervisor: Supervisor;
  readonly onImport: (name: string) => void;
  /**
   * Loading may take its limit in processor time, and much more on the clock: the machine is known to be busy.
   */
  readonly isPatient: boolean;
}

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
  readonly hasOnRequest: boolean;
  readonly hasOnResponse: boolean;
  readonly declared: Declared;
  /** What the script logged while it was evaluated. */
  readonly loadLogs: readonly LogLine[];
  /** For the choice of which isolate to put away; set by its owner. */
  lastUsed = 0;
  readonly #isolate: ivm.Isolate;
  readonly #entry: Entry;
  readonly #key: string;
  readonly #supervisor: Supervisor;
  readonly #number: number;
  readonly #columnOf: ColumnOf;
  readonly #limit: { readonly timeout: number };
  readonly #readsSettings: boolean;
  #settingsVersion: number;

  /** @throws ScriptError when the script does not load, a CutError when it was cut short. */
  constructor(options: ScriptIsolateOptions) {
    const { host, source, supervisor } = options;
    this.#key = `scripts/${host}`;
    this.#supervisor = supervisor;
    this.#number = supervisor.announce(host, source.version);
    this.#limit = { timeout: options.callTimeoutMs };
    this.#settingsVersion = options.settings.version;
    this.#isolate = new ivm.Isolate({
      memoryLimit: options.memoryMb,
      snapshot: options.baseSnapshot,
    });
    const timeoutMs = options.callTimeoutMs * loadTimeoutFactor;
    let loaded: Loaded;
    // The timers of loading end what the script runs, but not what isolated-vm runs of it afterwards:
    // the getters of what a top level throws.
    supervisor.limitLoading(this.#number, this.#isolate, loadTimeoutFactor + 1);
    supervisor.enter(this.#number, false);
    try {
      loaded = loadNow({
        isolate: this.#isolate,
        key: this.#key,
        text: source.text,
        checks: source.checks,
        modules: options.modules,
        settings: options.settings.json,
        tenants: options.tenants,
        timeoutMs: options.isPatient ? wallFactor * timeoutMs : timeoutMs,
        onImport: options.onImport,
      });
    } catch (error) {
      this.dispose();
      const fault = faultOf(this.#key, error, timeoutMs);
      const cut = error instanceof Error ? cutOf(error) : null;
      throw cut === null ? new ScriptError(fault) : new CutError(fault, cut);
    } finally {
      supervisor.leave();
    }
    const { match, declared } = loaded;
    supervisor.limit(this.#number, this.#isolate, {
      host,
      version: source.version,
      methods: match.methods === null ? null : [...match.methods],
      paths: match.paths,
      onError: declared.onError,
    });
    this.#entry = loaded.entry;
    this.#readsSettings = loaded.readsSettings;
    this.match = loaded.match;
    this.hasOnRequest = loaded.hasOnRequest;
    this.hasOnResponse = loaded.hasOnResponse;
    this.declared = loaded.declared;
    this.loadLogs = loaded.logs;
    this.#columnOf = loaded.columnOf;
  }

  /** True once a call was cut short by its end: none can succeed any more. */
  get isDisposed(): boolean {
    return this.#isolate.isDisposed;
  }

  dispose(): void {
    this.#supervisor.forget(this.#number);
    if (!this.#isolate.isDisposed) this.#isolate.dispose();
  }

  /**
   * @param isTimed whether the call has a timer of its own, which costs a microsecond, and ends it with
   * its isolate in place. Without it the watchdog ends it, at the cost of the isolate.
   * @throws CutError when the call ran out of time or memory.
   */
  onRequest(values: Arguments, settings: Settings, isTimed: boolean): string {
    return this.#call(this.#entry.onRequest, values, settings, isTimed);
  }

  /**
   * @param isTimed as for `onRequest`.
   * @throws CutError when the call ran out of time or memory.
   */
  onResponse(values: Arguments, settings: Settings, isTimed: boolean): string {
    return this.#call(this.#entry.onResponse, values, settings, isTimed);
  }

  fault(message: string, stack: string): ScriptFault {
    return faultAt(this.#key, message, stack, this.#columnOf);
  }

  #call(
    entry: ivm.Reference<unknown>,
    values: Arguments,
    settings: Settings,
    isTimed: boolean,
  ): string {
    const limit = isTimed ? this.#limit : undefined;
    this.#supervisor.enter(this.#number, isTimed);
    try {
      if (this.#settingsVersion !== settings.version && this.#readsSettings) {
        this.#entry.replaceSettings.applySync(undefined, [settings.json], limit);
        this.#settingsVersion = settings.version;
      }
      return String(entry.applySync(undefined, values, limit));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const cut = cutOf(error);
      const stack = cut === "time" ? (error.stack ?? "") : "";
      const fault = this.fault(explain(error, this.#limit.timeout), stack);
      throw new CutError(fault, cut);
    } finally {
      this.#supervisor.leave();
    }
  }
}
