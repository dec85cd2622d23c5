/** What keeps the requests of one client together: a cookie of the gateway's, or a hash of the request. */
import { cookieOf, type KeyOf, keyReader, type PeerTokens } from "../balancing/index.ts";
import type { Peer } from "../engine/engine.ts";
import type { Sticky, StickyCookie } from "../model/index.ts";
import type { RoutedRequest } from "./conditions.ts";
import type { Side } from "./split.ts";

export class Stickiness {
  /** Whether it is also about the server. */
  readonly toServer: boolean;
  /** `null`: a cookie tells. */
  readonly keyOf: KeyOf | null;
  readonly #cookie: StickyCookie | null;
  readonly #tokens: PeerTokens;
  readonly #sides: ReadonlyMap<string, Side>;
  readonly #tokenOf: ReadonlyMap<Side, string>;
  /** What stands behind the value. */
  readonly #attributes: string;

  constructor({ by, to }: Sticky, sides: readonly Side[], tokens: PeerTokens) {
    this.toServer = to === "server";
    this.keyOf = "hash" in by ? keyReader(by.hash) : null;
    this.#cookie = "cookie" in by ? by.cookie : null;
    this.#tokens = tokens;
    this.#tokenOf = new Map(sides.map((side) => [side, tokens.ofSide(side.name)]));
    this.#sides = new Map([...this.#tokenOf].map(([side, token]) => [token, side]));
    this.#attributes = this.#cookie === null ? "" : attributesOf(this.#cookie);
  }

  /** What the request's cookie says; empty: it has none that could be of this gateway. */
  valueOf(request: RoutedRequest): string {
    if (this.#cookie === null) return "";
    const value = cookieOf(request.header("cookie") ?? "", this.#cookie.name) ?? "";
    return value.length === this.#tokens.sideLength + (this.toServer ? this.#tokens.peerLength : 0)
      ? value
      : "";
  }

  /** The side that a value names; `null`: none that there is. */
  sideOf(value: string): Side | null {
    return value === "" ? null : (this.#sides.get(value.slice(0, this.#tokens.sideLength)) ?? null);
  }

  /** The token of the server that a value names; empty: none. */
  peerOf(value: string): string {
    return value.slice(this.#tokens.sideLength);
  }

  get tokens(): PeerTokens {
    return this.#tokens;
  }

  /** The line that makes the client stay with these; `null`: it does already, or nothing makes it. */
  cookieFor(request: RoutedRequest, scheme: string, side: Side, peer: Peer): string | null {
    const cookie = this.#cookie;
    if (cookie === null) return null;
    const sideToken = this.#tokenOf.get(side) ?? "";
    const value = this.toServer ? sideToken + this.#tokens.of(peer) : sideToken;
    if (value === this.valueOf(request)) return null;
    const isSecure = cookie.secure ?? (scheme === "https" || cookie.sameSite === "none");
    return `${cookie.name}=${value}${this.#attributes}${isSecure ? "; Secure" : ""}`;
  }
}

function attributesOf({ path, httpOnly, sameSite, maxAgeS }: StickyCookie): string {
  const words = { strict: "Strict", lax: "Lax", none: "None" } as const;
  const age = maxAgeS === undefined ? "" : `; Max-Age=${maxAgeS}`;
  return `; Path=${path}${age}${httpOnly ? "; HttpOnly" : ""}; SameSite=${words[sameSite]}`;
}
