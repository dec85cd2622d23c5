/** Refused versions: one line about each in `/status`, and one log record for each new one. */
import type { Log } from "../observability/logger.ts";
import { describeFault, type FailedCase, type ScriptFault } from "../sandbox/index.ts";
import type { Subject } from "./records/keys.ts";

/** A version that was not let through; times are ISO 8601. */
export interface RefusedVersion {
  /** The whole KV key that was refused, for example `sluice/scripts/<host>`. */
  readonly key: string;
  /** `null` for a module that was deleted and is still imported. */
  readonly version: string | null;
  /** Lines and columns count from 1; 0 when unknown, or when the error names another key and its place. */
  readonly line: number;
  readonly column: number;
  readonly error: string;
  /** The case of its own tests that failed. */
  readonly test?: FailedCase;
  readonly since: string;
}

export interface RefusalsOptions {
  readonly clock: { now(): number };
  readonly log: Log;
  /** Of all keys in Consul, `sluice/`: refusals name whole keys. */
  readonly prefix: string;
}

export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #refused = new Map<Subject, RefusedVersion>();

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  list(): readonly RefusedVersion[] {
    return [...this.#refused.values()];
  }

  subjects(): Iterable<Subject> {
    return this.#refused.keys();
  }

  /** Returns the one line about it; `null` when that was known. */
  add(subject: Subject, version: string | null, fault: ScriptFault): string | null {
    const { clock, log, prefix } = this.#options;
    const isOwn = fault.key === subject;
    const error = isOwn ? fault.message : describeFault(fault);
    const known = this.#refused.get(subject);
    if (known?.version === version && known.error === error) return null;
    const { line, column } = isOwn ? fault : { line: 0, column: 0 };
    const since = new Date(clock.now()).toISOString();
    const key = prefix + subject;
    const test = fault.test === undefined ? {} : { test: fault.test };
    this.#refused.set(subject, { key, version, line, column, error, ...test, since });
    log.warn({ key, version, line, column, reason: error, ...test }, `${key} is refused: ${error}`);
    return error;
  }

  /** It is gone, or the version that passed before is back. */
  drop(subject: Subject): void {
    this.#refused.delete(subject);
  }

  /** This version is let through. */
  passes(subject: Subject, version: string | null): void {
    if (!this.#refused.delete(subject)) return;
    const key = this.#options.prefix + subject;
    this.#options.log.info({ key, version }, `${key} passes its check now`);
  }
}
