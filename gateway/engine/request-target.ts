/**
 * What a request asks for: authority, path and query, as the client wrote them or as the handler sets
 * them. Does not read them out of a head.
 */
import { isAuthority, normaliseHost } from "./authority.ts";
import { isPath, isQuery } from "./grammar.ts";

export class RequestTarget {
  #authority = "";
  #host = "";
  #given = "";
  #path = "";
  #query = "";
  #isChanged = false;

  /** Takes what a head says; its grammar has been checked. */
  begin(target: string, authority: string): void {
    const question = target.indexOf("?");
    this.#given = target;
    this.#path = question === -1 ? target : target.slice(0, question);
    this.#query = question === -1 ? "" : target.slice(question + 1);
    this.#isChanged = false;
    this.#setAuthority(authority);
  }

  get authority(): string {
    return this.#authority;
  }

  /** Throws a `TypeError` when it is not a host. */
  set authority(value: string) {
    if (!isAuthority(value)) throw new TypeError(`host ${JSON.stringify(value)}: not a host`);
    this.#setAuthority(value);
  }

  /** The authority in its normal form: lower case, without port and trailing dot. */
  get host(): string {
    return this.#host;
  }

  get path(): string {
    return this.#path;
  }

  /** Throws a `TypeError` when it is not a path. */
  set path(value: string) {
    if (!isPath(value)) throw new TypeError(`path ${JSON.stringify(value)}: not a path`);
    this.#path = value;
    this.#isChanged = true;
  }

  get query(): string {
    return this.#query;
  }

  /** Throws a `TypeError` when it is not a query. */
  set query(value: string) {
    if (!isQuery(value)) throw new TypeError(`query ${JSON.stringify(value)}: not a query`);
    this.#query = value;
    this.#isChanged = true;
  }

  /** Path and query as they are to be sent; to the letter what came, unless one of them was set. */
  get text(): string {
    if (!this.#isChanged) return this.#given;
    return this.#query === "" ? this.#path : `${this.#path}?${this.#query}`;
  }

  #setAuthority(value: string): void {
    // Requests of one connection mostly name one host: its normal form is kept.
    if (value === this.#authority) return;
    this.#authority = value;
    this.#host = normaliseHost(value);
  }
}
