/**
 * One host's script through its life in this process: its isolate is made when the first request asks
 * for it, may be put away and made again, and its counters stay. Between exchanges and the isolate.
 */
import type { Exchange } from "../../engine/engine.ts";
import type { Border, ScriptReport, Source } from "../../model/index.ts";
import type { ProcessorTime } from "../guard/processor-time.ts";
import { ScriptTime, type Took, type Wait, type WorkerTime } from "../guard/script-time.ts";
import { loadTimeoutFactor } from "../limits.ts";
import type { Script, Steering } from "../sandbox.ts";
import { defaultTakeBack } from "./declared.ts";
import { Failures } from "./failures.ts";
import { CutError, describeFault, faultAt, printable, ScriptError } from "./faults.ts";
import type { Journal } from "./journal.ts";
import { decidesByPath, type Match, matchEverything, matchesExchange } from "./match.ts";
import {
  applyToRequest,
  applyToResponse,
  headersAfter,
  type LogLine,
  readOutput,
} from "./output.ts";
import { requestText } from "./request-text.ts";
import type { Arguments, ScriptIsolate, Settings } from "./script-isolate.ts";

/** What a script needs of the sandbox that it belongs to. */
export interface ScriptHousing {
  readonly journal: Journal;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** The limit of a call. */
  readonly callTimeoutMs: number;
  readonly processorTime: ProcessorTime;
  readonly workerTime: WorkerTime;
  /** What the script of a host is held to; `null` where there is one tenant. */
  borderOf(host: string): Border | null;
  /** The same object every time. */
  settingsWithin(border: Border | null): Settings;
  /**
   * Makes an isolate and may put another one away.
   * @param isPatient whether the clock on the wall is of no interest.
   * @throws ScriptError
   */
  open(script: HostedScript, isPatient: boolean): ScriptIsolate;
  /** The isolate cannot be used any more. */
  close(script: HostedScript): void;
  /** A number that grows with each use of any isolate. */
  tick(): number;
}

/** A script that did not load is tried again after this time: memory may have been short. */
const retryLoadMs = 5_000;
/** What had the processor for this part of its limit ran out of time by itself. */
const ownPart = 0.75;
/** How long a script that ran out of time is given a limit that costs more and spares its isolate. */
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

export class HostedScript implements Script {
  readonly host: string;
  readonly source: Source;
  /** The version of each module that loading asked for; `null` for one that was not there. */
  readonly imports = new Map<string, string | null>();
  readonly #housing: ScriptHousing;
  readonly #border: Border | null;
  /** As its tenant sees them. */
  readonly settings: Settings;
  #isolate: ScriptIsolate | null = null;
  /** Known from the first load on, also while there is no isolate. */
  #match: Match | null = null;
  #hasOnRequest = true;
  #hasOnResponse = false;
  #skipsOnError = false;
  #loadError: ScriptError | null = null;
  #retryAtMs = 0;
  #isRetired = false;
  #isSuspect = false;
  #suspectUntilMs = 0;
  readonly #time: ScriptTime;
  /** When what is called now began. */
  #startedMs = 0;
  #calls = 0;
  #errors = 0;
  #lastError: string | null = null;
  #minClients = defaultTakeBack.minClients;
  readonly #failures = new Failures();

  constructor(host: string, source: Source, housing: ScriptHousing) {
    this.host = host;
    this.source = source;
    const out = source.outOfService;
    if (out !== undefined) {
      const methods = out.methods === null ? null : new Set(out.methods);
      this.#match = { methods, paths: out.paths };
      this.#skipsOnError = out.onError === "skip";
    }
    if (source.isUnexamined) this.#match = matchEverything;
    this.#housing = housing;
    this.#time = new ScriptTime(housing.workerTime);
    this.#border = housing.borderOf(host);
    this.settings = housing.settingsWithin(this.#border);
  }

  get version(): string {
    return this.source.version;
  }

  get hasOnResponse(): boolean {
    return this.#hasOnResponse;
  }

  get isolate(): ScriptIsolate | null {
    return this.#isolate;
  }

  get isHeavy(): boolean {
    return this.#time.isHeavy;
  }

  matches(exchange: Exchange<unknown>): boolean {
    if (this.#match === null) {
      try {
        this.#open();
      } catch (error) {
        // A rule that cannot be asked must not let through what it may be there to stop: `onRequest`
        // answers with the error.
        if (error instanceof ScriptError) return true;
        throw error;
      }
    }
    return this.#match === null || matchesExchange(this.#match, exchange);
  }

  /** Known when `matches` has been asked. */
  get matchesByPath(): boolean {
    return this.#match !== null && decidesByPath(this.#match);
  }

  onRequest(exchange: Exchange<unknown>, steering: Steering): void {
    if (!this.#hasOnRequest) return;
    this.#count(exchange);
    // Of a script that ran before on this request, for the host that was asked for.
    const { upstream, hashKey, headers } = steering;
    const { host } = exchange;
    const given = requestText(exchange, headers === "" ? exchange.rawHeaders : headers);
    try {
      const text = this.#call("onRequest", [given]);
      if (text !== "") {
        const changes = this.#read(text);
        applyToRequest(changes, exchange, steering, this.#border);
        // An answer's body is behind its changes, and nobody asks for another host any more.
        if (exchange.status === 0 && exchange.host !== host) {
          const before = headers === "" ? exchange.rawHeaders : headers;
          steering.headers = headersAfter(before, changes, exchange.authority);
        }
      }
      if (this.#time.isNextMeasured()) this.#time.returned(this.#tookSince(this.#startedMs));
    } catch (error) {
      if (this.source.isUnexamined) {
        const message = `the rewrite script of ${this.host} is being examined`;
        exchange.fail(503, "script_not_examined", message);
        return;
      }
      if (this.#failed(error)) {
        this.#failures.failed(this.#errors, exchange.clientAddress, given, null);
      }
      steering.upstream = upstream;
      steering.hashKey = hashKey;
      if (this.#skipsOnError) return;
      exchange.fail(500, "script_error", `the rewrite script of ${this.host} failed`);
    }
  }

  onResponse(exchange: Exchange<unknown>): void {
    // The second: an exchange outlived the version of its script.
    if (!this.#hasOnResponse || (this.#isRetired && this.#isolate === null)) return;
    this.#count(exchange);
    const { status, rawResponseHeaders: rawHeaders } = exchange;
    const request = requestText(exchange, exchange.rawHeaders);
    try {
      const text = this.#call("onResponse", [status, rawHeaders, request]);
      if (text !== "") applyToResponse(this.#read(text), exchange);
      if (this.#time.isNextMeasured()) this.#time.returned(this.#tookSince(this.#startedMs));
    } catch (error) {
      if (!this.#failed(error)) return;
      const answer = { status, rawHeaders };
      this.#failures.failed(this.#errors, exchange.clientAddress, request, answer);
    }
  }

  #count(exchange: Exchange<unknown>): void {
    this.#calls += 1;
    if (this.#calls >= this.#failures.nextLook) {
      this.#failures.look(this.#calls, exchange.clientAddress, this.#minClients);
    }
  }

  refuseRewrite(exchange: Exchange<unknown>, message: string): void {
    this.#record(`scripts/${this.host}: ${message}`, true);
    const request = requestText(exchange, exchange.rawHeaders);
    this.#failures.failed(this.#errors, exchange.clientAddress, request, null);
    exchange.fail(508, "rewrite_loop", message);
  }

  report(): ScriptReport {
    const callers = this.#failures.callers();
    const failed = this.#failures.report(this.#calls);
    return {
      host: this.host,
      version: this.version,
      calls: this.#calls,
      errors: this.#errors,
      lastError: this.#lastError,
      ...(callers.length === 0 ? {} : { callers }),
      ...(failed === null ? {} : { failed }),
    };
  }

  /** No request will find it any more; those that have it may still finish with it. */
  retire(): void {
    this.#isRetired = true;
  }

  /** Frees the isolate; the next use makes another one. */
  putAway(): void {
    this.#isolate?.dispose();
    this.#isolate = null;
  }

  #open(): ScriptIsolate {
    const { now, tick } = this.#housing;
    if (this.#isolate === null) {
      const { outOfService, isUnexamined } = this.source;
      if (outOfService !== undefined || isUnexamined) {
        const message = `out of service: ${outOfService?.reason ?? "not examined yet"}`;
        throw new ScriptError({ key: `scripts/${this.host}`, line: 0, column: 0, message });
      }
      const startedMs = now();
      if (this.#loadError !== null && startedMs < this.#retryAtMs) throw this.#loadError;
      const wait = this.#time.wait(startedMs);
      if (wait !== null) throw new WaitError(this.host, wait);
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
      this.#match = this.#isolate.match;
      this.#hasOnRequest = this.#isolate.hasOnRequest;
      this.#hasOnResponse = this.#isolate.hasOnResponse;
      const { onError, takeBack } = this.#isolate.declared;
      this.#skipsOnError = onError === "skip";
      this.#minClients = takeBack.minClients;
      this.#logLines(this.#isolate.loadLogs);
    }
    this.#isolate.lastUsed = tick();
    return this.#isolate;
  }

  /** @throws ScriptError when the script does not load or the call was cut short. */
  #call(name: "onRequest" | "onResponse", values: Arguments): string {
    const { now, processorTime } = this.#housing;
    this.#startedMs = now();
    const wait = this.#time.wait(this.#startedMs);
    if (wait !== null) throw new WaitError(this.host, wait);
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
      // Not by a timer, which would count what else the machine does.
      return isolate[name](values, settings, false);
    } catch (error) {
      if (error instanceof CutError && error.cut === "time") this.#suspect();
      throw error;
    }
  }

  /** A call begins when there is an isolate for it. */
  #opened(): ScriptIsolate {
    const wasOpen = this.#isolate !== null;
    const isolate = this.#open();
    if (!wasOpen) this.#startedMs = this.#housing.now();
    return isolate;
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

  /** Takes the logs out of what a call brought. @throws ScriptError when the script threw. */
  #read(text: string): string {
    const { logs, error, rest } = readOutput(text);
    this.#logLines(logs);
    if (error !== null) {
      throw new ScriptError(faultAt(`scripts/${this.host}`, error.message, error.stack));
    }
    return rest;
  }

  #logLines(lines: readonly LogLine[]): void {
    for (const { level, text } of lines) {
      this.#housing.journal.said(level, this.host, this.version, text);
    }
  }

  /** Whether that counts as an error of this version. */
  #failed(error: unknown): boolean {
    const message =
      error instanceof ScriptError
        ? describeFault(error.fault)
        : `scripts/${this.host}: ${printable(error instanceof Error ? error.message : String(error))}`;
    // What others took says nothing against this version.
    const isItsOwn = !(error instanceof WaitError) || error.wait === "debts";
    this.#record(message, isItsOwn);
    this.#closeEnded();
    // Otherwise nothing ran.
    if (!(error instanceof WaitError) && error !== this.#loadError) {
      this.#time.failed(this.#tookSince(this.#startedMs));
    }
    return isItsOwn;
  }

  #record(message: string, isItsOwn: boolean): void {
    if (isItsOwn) this.#errors += 1;
    this.#lastError = message;
    this.#housing.journal.failed(this.host, this.version, message);
  }
}
