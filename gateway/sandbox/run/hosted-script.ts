/**
 * One host's script through its life in this process: what its calls change of exchanges, and its counters, which
 * stay when its isolate is put away.
 */
import type { Exchange } from "../../engine/engine.ts";
import type { Border, ScriptReport, Source } from "../../model/index.ts";
import type { RehearsedScript, Steering } from "../sandbox.ts";
import { defaultTakeBack } from "./declared.ts";
import { Failures } from "./failures.ts";
import { describeFault, printable, ScriptError } from "./faults.ts";
import { Journal } from "./journal.ts";
import { decidesByPath, type Match, matchEverything, matchesExchange } from "./match.ts";
import { applyToRequest, applyToResponse, type LogLine, readOutput, withHost } from "./output.ts";
import { requestText } from "./request-text.ts";
import type { ScriptIsolate, Settings } from "./script-isolate.ts";
import { type RuntimeHousing, ScriptRuntime } from "./script-runtime.ts";
import type { WaitingLine } from "./waiting-line.ts";

/** What a script needs from its sandbox. */
export interface ScriptHousing extends RuntimeHousing {
  readonly journal: Journal;
  /** `null`: no request waits. */
  readonly line: WaitingLine | null;
  /** The tenant's limits for the script of a host; `null` where there is one tenant. */
  borderOf(host: string): Border | null;
  /** What a call of a version takes in other workers, in milliseconds; `undefined`: nobody said so. */
  costOf(host: string, version: string): number | undefined;
  /** The same object every time. */
  settingsWithin(border: Border | null): Settings;
}

const silentJournal = new Journal(() => {}, "fatal");

export class HostedScript implements RehearsedScript {
  readonly host: string;
  readonly source: Source;
  readonly runtime: ScriptRuntime;
  readonly #housing: ScriptHousing;
  readonly #journal: Journal;
  readonly #border: Border | null;
  /** Known from the first load on, also while there is no isolate. */
  #match: Match | null = null;
  #hasOnRequest = true;
  #hasOnResponse = false;
  #skipsOnError = false;
  #isRetired = false;
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
    this.#journal = housing.journal;
    this.#border = housing.borderOf(host);
    const settings = housing.settingsWithin(this.#border);
    this.runtime = new ScriptRuntime({ host, source, settings }, housing, (isolate) =>
      this.#adopt(isolate),
    );
    const usualMs = housing.costOf(host, source.version);
    if (usualMs !== undefined) this.runtime.learn(usualMs);
  }

  rehearsal(): RehearsedScript {
    return new HostedScript(this.host, this.source, {
      ...this.#housing,
      journal: silentJournal,
      line: null,
    });
  }

  get lastError(): string | null {
    return this.#lastError;
  }

  putAway(): void {
    this.runtime.putAway();
    this.#housing.close(this.runtime);
  }

  get version(): string {
    return this.source.version;
  }

  get hasOnResponse(): boolean {
    return this.#hasOnResponse;
  }

  get isHeavy(): boolean {
    return this.runtime.isHeavy;
  }

  waits(exchange: Exchange<unknown>): boolean {
    const { line, workerTime } = this.#housing;
    if (line === null || (line.isEmpty && workerTime.isCalm)) return false;
    if (line.isLeaving(exchange) || isOutOfService(this.source)) return false;
    if (this.#match !== null && !matchesExchange(this.#match, exchange)) return false;
    if (!line.hasWaiters(this.runtime)) {
      const wait = this.runtime.admit(false);
      // A script does not wait for its own debts.
      if (wait === null || wait === "debts") return false;
    }
    return line.enter(exchange, this.runtime);
  }

  matches(exchange: Exchange<unknown>): boolean {
    if (this.#match === null) {
      try {
        this.runtime.open();
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
    const { upstream, hashKey, authority } = steering;
    const { host, headerLines } = exchange;
    const given = requestText(
      exchange,
      authority === "" ? headerLines : withHost(headerLines, authority),
    );
    try {
      const text = this.runtime.call("onRequest", [given]);
      if (text !== "") {
        const changes = this.#read(text);
        applyToRequest(changes, exchange, steering, this.#border);
        // The body of an answer comes after its changes, and the host can no longer change.
        if (exchange.status === 0 && exchange.host !== host)
          steering.authority = exchange.authority;
      }
      this.runtime.returned();
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
    if (!this.#hasOnResponse || (this.#isRetired && this.runtime.isolate === null)) return;
    this.#count(exchange);
    const { status, responseHeaderLines: rawHeaders } = exchange;
    const request = requestText(exchange, exchange.rawHeaders);
    try {
      const text = this.runtime.call("onResponse", [status, rawHeaders, request]);
      if (text !== "") applyToResponse(this.#read(text), exchange);
      this.runtime.returned();
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
    const { ranMs, usualMs } = this.runtime;
    return {
      host: this.host,
      version: this.version,
      calls: this.#calls,
      errors: this.#errors,
      lastError: this.#lastError,
      ...(ranMs === 0 ? {} : { ranMs }),
      ...(usualMs === null ? {} : { usualMs }),
      ...(callers.length === 0 ? {} : { callers }),
      ...(failed === null ? {} : { failed }),
    };
  }

  /** No request will find it any more; those that have it may still finish with it. */
  retire(): void {
    this.#isRetired = true;
  }

  #adopt({ match, hasOnRequest, hasOnResponse, declared, loadLogs }: ScriptIsolate): void {
    this.#match = match;
    this.#hasOnRequest = hasOnRequest;
    this.#hasOnResponse = hasOnResponse;
    this.#skipsOnError = declared.onError === "skip";
    this.#minClients = declared.takeBack.minClients;
    this.#logLines(loadLogs);
  }

  /** Takes the logs out of what a call brought. @throws ScriptError when the script threw. */
  #read(text: string): string {
    const { logs, error, rest } = readOutput(text);
    this.#logLines(logs);
    if (error !== null) {
      throw this.runtime.thrown(error.message, error.stack);
    }
    return rest;
  }

  #logLines(lines: readonly LogLine[]): void {
    for (const { level, text } of lines) {
      this.#journal.said(level, this.host, this.version, text);
    }
  }

  /** Whether that counts as an error of this version. */
  #failed(error: unknown): boolean {
    const message =
      error instanceof ScriptError
        ? describeFault(error.fault)
        : `scripts/${this.host}: ${printable(error instanceof Error ? error.message : String(error))}`;
    const isItsOwn = this.runtime.failed(error);
    this.#record(message, isItsOwn);
    return isItsOwn;
  }

  #record(message: string, isItsOwn: boolean): void {
    if (isItsOwn) this.#errors += 1;
    this.#lastError = message;
    this.#journal.failed(this.host, this.version, message);
  }
}

function isOutOfService({ outOfService, isUnexamined }: Source): boolean {
  return outOfService !== undefined || isUnexamined === true;
}
