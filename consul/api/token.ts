/**
 * The current ACL token: whoever renews the tokens of a machine writes the file anew, without restarting a
 * process.
 */
import { statSync } from "node:fs";
import { type ConsulAddress, ConsulOptionsError, readTokenFile } from "./environment.ts";

/** How often the file is looked at, at most. */
const lookMs = 1_000;

export class Token {
  readonly #file: string | null;
  readonly #now: () => number;
  #text: string | null;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** The state of the file at the last reading, whether or not that succeeded. */
  #seen = "";

  constructor({ token, tokenFile }: Pick<ConsulAddress, "token" | "tokenFile">, now = Date.now) {
    this.#file = tokenFile;
    this.#text = token;
    this.#now = now;
  }

  /** `null`: there is none. A file that is not there, is empty or cannot be sent leaves the last good one. */
  current(): string | null {
    const at = this.#now();
    if (this.#file === null || at - this.#lookedAt < lookMs) return this.#text;
    this.#lookedAt = at;
    const stats = statSync(this.#file, { throwIfNoEntry: false });
    const seen = stats === undefined ? "" : `${stats.ino} ${stats.mtimeMs} ${stats.size}`;
    if (seen === this.#seen) return this.#text;
    this.#seen = seen;
    try {
      this.#text = readTokenFile(this.#file);
    } catch (error) {
      if (!(error instanceof ConsulOptionsError)) throw error;
    }
    return this.#text;
  }
}
