/**
 * Requests as bad as an engine lets through, the same for the same seed: targets within its grammar and its limit
 * of 8,192 bytes, fields with anything that a field may have. For what has to answer each of them without failing.
 */
import { seeded } from "./random.ts";

export interface HostileRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly authority: string;
  readonly headers: readonly (readonly [string, string])[];
}

const maxTarget = 8_192;
const methods = [
  "GET",
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "M-SEARCH",
  "X",
];
const places = [
  "",
  "/files",
  "/users",
  "/search",
  "/api/v1",
  "/help",
  "/docs",
  "/a",
  "/thumb",
  "/x/..",
];
const escapes = [
  "%C3%A4",
  "%ff",
  "%c0%ae",
  "%E2%80%AE",
  "%01",
  "%0d%0a",
  "%25",
  "%2e%2e",
  "%2F",
  "%5c",
  "%7f",
];
const odd = [
  "/",
  "//",
  ".",
  "..",
  "/../",
  "*",
  "'",
  "(",
  "$&",
  "$1",
  "__proto__",
  "constructor",
  "[",
  "\\",
  "|",
  "{",
];
const words = [
  "ada",
  "7",
  "0",
  "-1",
  "null",
  "true",
  "undefined",
  "NaN",
  "1e309",
  "toString",
  "x".repeat(300),
];
const names = [
  "accept",
  "authorization",
  "cookie",
  "x-user",
  "x-canary",
  "user-agent",
  "x-a",
  "if-none-match",
];

export class HostileRequests {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  next(): HostileRequest {
    const length = this.#pick([10, 40, 300, 3_000, maxTarget]);
    const path = this.#below(50) === 0 ? "*" : this.#path(length);
    return {
      method: this.#pick(methods),
      path,
      query: this.#query(Math.max(0, maxTarget - path.length - 1)),
      authority: this.#authority(),
      headers: this.headers(),
    };
  }

  /** Fields of a request or of an answer. */
  headers(): readonly (readonly [string, string])[] {
    const fields = Array.from(
      { length: this.#below(12) },
      () => [this.#pick(names), this.#value()] as const,
    );
    const [again] = fields;
    return again !== undefined && this.#below(3) === 0 ? [...fields, again, again] : fields;
  }

  #path(length: number): string {
    const path = this.#pick(places);
    if (length === maxTarget && this.#below(2) === 0) return `${path}/`.padEnd(length, "x");
    return this.#grown(path === "" ? "/" : path, length, [...escapes, ...odd, ...words, "/"]);
  }

  #query(most: number): string {
    const form = this.#below(6);
    if (form === 0) return "";
    if (form === 1)
      return `expires=${this.#below(1e12)}&signature=${this.#letters(43)}`.slice(0, most);
    if (form === 2) return `q=${this.#pick([...escapes, "%zz", "%", "%e4%"])}&page=`.slice(0, most);
    const length = Math.min(most, this.#pick([8, 200, 2_000, maxTarget]));
    const start = this.#pick(["", "q=", "w=", "=", "&&", "expires=", "page=1&q="]);
    const parts = [...escapes, ...words, "&", "=", "+", "?", "%", "%zz", "&q=", "&signature="];
    return this.#grown(start, length, parts).slice(0, most);
  }

  #authority(): string {
    const labels = this.#pick([["a"], ["www"], ["x--y", "1"], Array(7).fill("l".repeat(30))]);
    return `${labels.join(".")}.example.com${this.#pick(["", "", ":8080", ":"])}`;
  }

  #value(): string {
    const latin1 = () => String.fromCharCode(this.#pick([33, 44, 59, 92, 126, 128, 160, 228, 255]));
    switch (this.#below(7)) {
      case 0:
        return "";
      case 1:
        return `Bearer ${[20, 60, 43].map((length) => this.#letters(length)).join(".")}`;
      case 2:
        return `Bearer ${this.#pick(["..", "a.b", ".", "e30.e30.", `${this.#letters(4_000)}.x.y`])}`;
      case 3:
        return "v".repeat(8_000);
      case 4:
        return Array.from({ length: this.#below(200) }, latin1).join("");
      case 5:
        return this.#pick(["always", "never", "text/html", "*/*", ",,,", "a=b; c", '"', "\\"]);
      default:
        return this.#pick(words);
    }
  }

  #letters(length: number): string {
    const letters = "ABCxyz019-_+/=";
    return Array.from({ length }, () => letters[this.#below(letters.length)]).join("");
  }

  /** What is cut off may not leave half of an escape at the end. */
  #grown(start: string, length: number, parts: readonly string[]): string {
    let text = start;
    for (;;) {
      const part = this.#pick(parts);
      if (text.length + part.length > length) return text;
      text += part;
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick<T>(all: readonly T[]): T {
    const found = all[this.#below(all.length)];
    if (found === undefined) throw new Error("there is nothing to pick from");
    return found;
  }
}
