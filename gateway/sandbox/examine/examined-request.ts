/**
 * One request for a script under examination: the call, judged by processor time, and a request that the script
 * may change. Nothing of it reaches a client or an origin.
 */
import type ivm from "isolated-vm";
import type { Answer } from "../../engine/engine.ts";
import { RequestTarget as Target } from "../../engine/message/request-target.ts";
import { wallFactor } from "../limits.ts";
import { type ColumnOf, faultAt, isTimeout, ScriptError } from "../run/faults.ts";
import { type RequestTarget, readOutput } from "../run/output.ts";

/** A call that had the processor for this part of its limit ran out of time through its own fault. */
const ownPart = 0.75;

/**
 * A timer also counts the other work of a busy machine: a call that hardly had the processor is tried again
 * with a longer timer. This process examines one source at a time, so its processor time is the script's.
 */
export async function callWithin(
  entry: ivm.Reference<unknown>,
  values: readonly (string | number)[],
  limitMs: number,
): Promise<string> {
  for (let timeout = limitMs; ; timeout *= 2) {
    const before = process.cpuUsage();
    try {
      return String(await entry.apply(undefined, [...values], { timeout }));
    } catch (error) {
      if (!(error instanceof Error && isTimeout(error))) throw error;
      const { user, system } = process.cpuUsage(before);
      const hadItsTime = (user + system) / 1_000 >= ownPart * limitMs;
      if (hadItsTime || 2 * timeout > wallFactor * limitMs) throw error;
    }
  }
}

/** @throws ScriptError when the script threw. */
export function readResult(key: string, text: string, columnOf: ColumnOf): string {
  const { error, rest } = readOutput(text);
  if (error !== null) throw new ScriptError(faultAt(key, error.message, error.stack, columnOf));
  return rest;
}

/** The part of a request that a script may change. It checks new values as an exchange does. */
export class ExaminedRequest implements RequestTarget {
  answered: Answer | null = null;
  /** By names in lower case. */
  readonly headers: Map<string, string>;
  readonly #target = new Target("normal");

  /** @param headers by names in lower case. Default: nobody looks at them. */
  constructor(target: string, host: string, headers: Map<string, string> = new Map()) {
    this.#target.begin(target, host);
    this.headers = headers;
  }

  get host(): string {
    return this.#target.host;
  }

  get path(): string {
    return this.#target.path;
  }

  set path(value: string) {
    this.#target.path = value;
  }

  get rawPath(): string {
    return this.#target.rawPath;
  }

  get hasEncodedSlash(): boolean {
    return this.#target.hasEncodedSlash;
  }

  get query(): string {
    return this.#target.query;
  }

  set query(value: string) {
    this.#target.query = value;
  }

  get authority(): string {
    return this.#target.authority;
  }

  set authority(value: string) {
    this.#target.authority = value;
  }

  setHeader(name: string, value: string): void {
    this.headers.set(name, value);
  }

  removeHeader(name: string): void {
    this.headers.delete(name);
  }

  answer(answer: Answer): void {
    this.answered = answer;
  }
}
