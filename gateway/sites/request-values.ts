/**
 * The headers, cookies and query parameters of one request at a time, for conditions. After a few questions it makes
 * tables, once for a request; otherwise each question would walk over kilobytes that a client chose.
 */
import { cookieOf, type KeySource } from "../balancing/index.ts";
import type { ValueCondition } from "../model/index.ts";
import { queryParameter, queryParameters } from "./query-parameter.ts";

/** What routing looks at. */
export interface RoutedRequest extends KeySource {
  readonly method: string;
}

/** So many questions are answered without a table. */
const fewQuestions = 4;

export class RequestValues {
  #request: RoutedRequest | null = null;
  #questions = 0;
  /** `null` before it is first asked for. */
  #cookieField: string | null = null;
  #cookies: ReadonlyMap<string, string> | null = null;
  #query: ReadonlyMap<string, string> | null = null;
  readonly #headers = new Map<string, string | undefined>();

  begin(request: RoutedRequest): void {
    this.#request = request;
    this.#questions = 0;
    this.#cookieField = null;
    this.#cookies = null;
    this.#query = null;
    if (this.#headers.size > 0) this.#headers.clear();
  }

  /** `undefined` when the request has no such value. */
  of({ in: place, name }: ValueCondition): string | undefined {
    const request = this.#request;
    if (request === null) return undefined;
    this.#questions += 1;
    const areMany = this.#questions > fewQuestions;
    switch (place) {
      case "header":
        return areMany ? this.#header(request, name) : request.header(name);
      case "cookie":
        this.#cookieField ??= request.header("cookie") ?? "";
        if (!areMany) return cookieOf(this.#cookieField, name);
        this.#cookies ??= cookiesIn(this.#cookieField);
        return this.#cookies.get(name);
      case "query":
        if (!areMany) return queryParameter(request.query, name);
        this.#query ??= queryParameters(request.query);
        return this.#query.get(name);
    }
  }

  #header(request: RoutedRequest, name: string): string | undefined {
    const known = this.#headers.get(name);
    if (known !== undefined || this.#headers.has(name)) return known;
    const value = request.header(name);
    this.#headers.set(name, value);
    return value;
  }
}

/** Returns each cookie with its first value, as `cookieOf` reads them. */
function cookiesIn(field: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const part of field.split(";")) {
    let from = 0;
    while (part.charCodeAt(from) === 0x20) from += 1;
    const equals = part.indexOf("=", from);
    if (equals === -1) continue;
    const name = part.slice(from, equals);
    if (!found.has(name)) found.set(name, part.slice(equals + 1));
  }
  return found;
}
