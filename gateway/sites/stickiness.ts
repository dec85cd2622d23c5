/** Keeps the requests of one client together, by a cookie that the gateway sets or by a hash of the request. */
import { cookieOf, type KeyOf, keyReader, type PeerTokens } from "../balancing/index.ts";
import type { Peer } from "../engine/engine.ts";
import type { Sticky, StickyCookie } from "../model/index.ts";
import type { RoutedRequest } from "./request-values.ts";
import type { Side } from "./split.ts";

export interface Stickiness {
  /** Whether requests stay with a server too, and not only with a side. */
  readonly toServer: boolean;
  /** Reads the part of the request that decides; `null` when a cookie decides. */
  readonly keyOf: KeyOf | null;
  /** `null` when a part of the request decides. */
  readonly cookie: SideCookie | null;
}

/** Returns `null` when cookies are needed and their key is not known yet. */
export function createStickiness(
  { by, to }: Sticky,
  sides: readonly Side[],
  tokens: PeerTokens | null,
): Stickiness | null {
  const toServer = to === "server";
  if ("hash" in by) return { toServer, keyOf: keyReader(by.hash), cookie: null };
  if (tokens === null) return null;
  return { toServer, keyOf: null, cookie: new SideCookie(by.cookie, toServer, sides, tokens) };
}

/** A cookie that names a side and, if wanted, a server; neither of them in clear. */
export class SideCookie {
  readonly tokens: PeerTokens;
  readonly #cookie: StickyCookie;
  readonly #namesServer: boolean;
  readonly #length: number;
  readonly #sides: ReadonlyMap<string, Side>;
  readonly #tokenOf: ReadonlyMap<Side, string>;
  /** What follows the cookie's value. */
  readonly #attributes: string;

  constructor(
    cookie: StickyCookie,
    namesServer: boolean,
    sides: readonly Side[],
    tokens: PeerTokens,
  ) {
    this.tokens = tokens;
    this.#cookie = cookie;
    this.#namesServer = namesServer;
    this.#length = tokens.sideLength + (namesServer ? tokens.peerLength : 0);
    this.#tokenOf = new Map(sides.map((side) => [side, tokens.ofSide(side.name)]));
    this.#sides = new Map([...this.#tokenOf].map(([side, token]) => [token, side]));
    this.#attributes = attributesOf(cookie);
  }

  get name(): string {
    return this.#cookie.name;
  }

  /** The value of the request's cookie; empty when it cannot be this gateway's. */
  valueOf(request: Pick<RoutedRequest, "header">): string {
    const value = cookieOf(request.header("cookie") ?? "", this.#cookie.name) ?? "";
    return value.length === this.#length ? value : "";
  }

  /** The side that a value names; `null` when there is no such side. */
  sideOf(value: string): Side | null {
    return value === "" ? null : (this.#sides.get(value.slice(0, this.tokens.sideLength)) ?? null);
  }

  /** The token of the server that a value names; empty when it names none. */
  peerOf(value: string): string {
    return value.slice(this.tokens.sideLength);
  }

  /** The field that makes the client stay with this side and peer; `null` when its cookie already says so. */
  fieldFor(
    request: Pick<RoutedRequest, "header">,
    scheme: "http" | "https",
    side: Side,
    peer: Peer,
  ): string | null {
    const { name, secure, sameSite } = this.#cookie;
    const sideToken = this.#tokenOf.get(side) ?? "";
    const value = this.#namesServer ? sideToken + this.tokens.of(peer) : sideToken;
    if (value === this.valueOf(request)) return null;
    const isSecure = secure ?? (scheme === "https" || sameSite === "none");
    return `${name}=${value}${this.#attributes}${isSecure ? "; Secure" : ""}`;
  }
}

function attributesOf({ path, httpOnly, sameSite, maxAgeS }: StickyCookie): string {
  const words = { strict: "Strict", lax: "Lax", none: "None" } as const;
  const age = maxAgeS === undefined ? "" : `; Max-Age=${maxAgeS}`;
  return `; Path=${path}${age}${httpOnly ? "; HttpOnly" : ""}; SameSite=${words[sameSite]}`;
}
