/**
 * What scripts log and how their calls fail, as records for the gateway's log, bounded for each host and
 * second, and for all together: a script can log with every request, and a client can make every request of a rule fail.
 * What is left out is counted, and told once a second at most.
 */

import type { ScriptLog } from "../sandbox.ts";
import { printable } from "./faults.ts";

const windowMs = 1_000;
/** For each host and window. */
const maxRecords = 100;
const maxCharacters = 32_768;
const maxFailures = 5;
/**
 * For all hosts together in a window. Beyond it each host still has a few lines, so that it does not fall
 * silent.
 */
const maxInAll = { records: 1_000, characters: 10 * maxCharacters, failures: 10 * maxFailures };
const little = { records: 5, characters: 1_024, failures: 1 };

const levels = ["trace", "debug", "info", "warn", "error", "fatal"];

/** What a host has had in this window, and what was left out. */
interface Window {
  version: string;
  records: number;
  characters: number;
  failures: number;
  leftOut: number;
  leftOutCharacters: number;
  leftOutFailures: number;
}

export class Journal {
  readonly #log: ScriptLog;
  readonly #leastLevel: number;
  readonly #windows = new Map<string, Window>();
  /** Written in this window, of all hosts. */
  #inAll = { records: 0, characters: 0, failures: 0 };
  #end: NodeJS.Timeout | null = null;

  /** @param leastLevel what is less severe is dropped, and not counted. */
  constructor(log: ScriptLog, leastLevel: string) {
    this.#log = log;
    this.#leastLevel = levels.indexOf(leastLevel);
  }

  /** A line that a script logged. */
  said(
    level: "debug" | "info" | "warn" | "error",
    host: string,
    version: string,
    text: string,
  ): void {
    if (levels.indexOf(level) < this.#leastLevel) return;
    const window = this.#windowOf(host, version);
    const all = this.#inAll;
    const isFull = all.records >= maxInAll.records || all.characters >= maxInAll.characters;
    const most = isFull ? little : { records: maxRecords, characters: maxCharacters };
    if (window.records >= most.records || window.characters + text.length > most.characters) {
      window.leftOut += 1;
      window.leftOutCharacters += text.length;
      return;
    }
    window.records += 1;
    window.characters += text.length;
    all.records += 1;
    all.characters += text.length;
    this.#log(level, host, version, printable(text));
  }

  /** A call failed. */
  failed(host: string, version: string, message: string): void {
    const window = this.#windowOf(host, version);
    const isFull = this.#inAll.failures >= maxInAll.failures;
    if (window.failures >= (isFull ? little.failures : maxFailures)) {
      window.leftOutFailures += 1;
      return;
    }
    window.failures += 1;
    this.#inAll.failures += 1;
    this.#log("error", host, version, message);
  }

  /** Tells what was left out. */
  close(): void {
    if (this.#end !== null) clearTimeout(this.#end);
    this.#tell();
  }

  #windowOf(host: string, version: string): Window {
    // One window for all hosts, so that one timer closes it.
    this.#end ??= setTimeout(() => this.#tell(), windowMs).unref();
    let window = this.#windows.get(host);
    if (window === undefined) {
      const none = { records: 0, characters: 0, failures: 0 };
      window = { version, ...none, leftOut: 0, leftOutCharacters: 0, leftOutFailures: 0 };
      this.#windows.set(host, window);
    }
    window.version = version;
    return window;
  }

  #tell(): void {
    this.#end = null;
    for (const [host, window] of this.#windows) {
      const { version, leftOut, leftOutCharacters, leftOutFailures } = window;
      const parts: string[] = [];
      if (leftOut > 0) parts.push(`${leftOut} records of ${leftOutCharacters} characters`);
      if (leftOutFailures > 0) parts.push(`${leftOutFailures} errors`);
      if (parts.length === 0) continue;
      this.#log("warn", host, version, `left out of the log in a second: ${parts.join(", ")}`);
    }
    this.#windows.clear();
    this.#inAll = { records: 0, characters: 0, failures: 0 };
  }
}
