/**
 * What a request asks for: authority, path and query, as the client wrote them or as the handler sets them. It does
 * not read them from a head.
 */

import type { ForwardedPath } from "../engine.ts";
import { isAuthority, normaliseHost } from "./authority.ts";
import { isPath, isQuery } from "./grammar.ts";
import { hasEncodedSlash, isSuspicious, normalisePath } from "./path.ts";

export class RequestTarget {
  readonly #forwardsRaw: boolean;
  #authority = "";
  #host = "";
  #given = "";
  #rawPath = "";
  #path = "";
  #query = "";
  /** Where the query begins in the given target, its `?` included. */
  #queryStart = 0;
  /** Whether the forwarded target differs from the given one. */
  #isChanged = false;
  #isPathSet = false;
  #isQuerySet = false;
  /** See `Exchange.hasEncodedSlash`. */
  hasEncodedSlash = false;

  constructor(forwardedPath: ForwardedPath) {
    this.#forwardsRaw = forwardedPath === "raw";
  }

  /** Takes what a head says. The head's grammar has been checked, and its path has no bad escape. */
  begin(target: string, authority: string): void {
    const question = target.indexOf("?");
    const path = question === -1 ? target : target.slice(0, question);
    this.#given = target;
    this.#queryStart = path.length;
    this.#rawPath = path;
    this.#query = question === -1 ? "" : target.slice(question + 1);
    this.#isPathSet = false;
    this.#isQuerySet = false;
    if (isSuspicious(path)) {
      this.#path = normalisePath(path);
      this.hasEncodedSlash = hasEncodedSlash(this.#path);
      this.#isChanged = this.#path !== path;
    } else {
      this.#path = path;
      this.hasEncodedSlash = false;
      this.#isChanged = false;
    }
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

  /** The path in normal form. */
  get path(): string {
    return this.#path;
  }

  /** Throws a `TypeError` when it is not a path. */
  set path(value: string) {
    if (!isPath(value)) throw new TypeError(`path ${JSON.stringify(value)}: not a path`);
    this.#path = normalisePath(value);
    this.hasEncodedSlash = hasEncodedSlash(this.#path);
    this.#isPathSet = true;
    this.#isChanged = true;
  }

  /** The path as the client wrote it. */
  get rawPath(): string {
    return this.#rawPath;
  }

  get query(): string {
    return this.#query;
  }

  /** Throws a `TypeError` when it is not a query. */
  set query(value: string) {
    if (!isQuery(value)) throw new TypeError(`query ${JSON.stringify(value)}: not a query`);
    this.#query = value;
    this.#isQuerySet = true;
    this.#isChanged = true;
  }

  /** The path and query to send. */
  get text(): string {
    if (!this.#isChanged) return this.#given;
    const path = this.#forwardsRaw && !this.#isPathSet ? this.#rawPath : this.#path;
    if (!this.#isQuerySet) return path + this.#given.slice(this.#queryStart);
    return this.#query === "" ? path : `${path}?${this.#query}`;
  }

  #setAuthority(value: string): void {
    // Most requests on one connection name the same host, so its normal form is kept.
    if (value === this.#authority) return;
    this.#authority = value;
    this.#host = normaliseHost(value);
  }
}
