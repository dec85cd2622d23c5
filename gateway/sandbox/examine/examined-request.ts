/**
 * One request for a script under examination: the call, judged by processor time, and a request that the script
 * may change. Nothing of it reaches a client or an origin.
 */
import type ivm from "isolated-vm";
import type { Answer } from "../../engine/engine.ts";
import { RequestTarget as Target } from "../../engine/message/request-target.ts";
import { type ColumnOf, faultAt, ScriptError } from "../run/faults.ts";
import { type RequestTarget, readOutput } from "../run/output.ts";
import { timed } from "./budget.ts";

/** One call, judged by processor time. */
export async function callWithin(
  entry: ivm.Reference<unknown>,
  values: readonly (string | number)[],
  limitMs: number,
): Promise<string> {
  const call = (timeout: number) => entry.apply(undefined, [...values], { timeout });
  return String(await timed(limitMs, call));
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
