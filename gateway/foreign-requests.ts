/**
 * Requests that an HTTP API for operators never answers, whatever they ask: those that a web page makes a
 * browser send (by a name rebound to this address, or from another origin), and those that came through a
 * gateway. The admin API and the embedded agent share it; it knows neither.
 */
import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";

/** Names, addresses and CIDR blocks; names in any case. */
export class HostList {
  readonly #names = new Set<string>();
  readonly #blocks = new BlockList();

  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const [address = "", bits] = entry.split("/");
      const family = familyOf(address);
      if (family === null) this.#names.add(plainName(entry));
      else if (bits === undefined) this.#blocks.addAddress(address, family);
      else this.#blocks.addSubnet(address, Number(bits), family);
    }
  }

  /** `host` as a URL has it, without port; IPv6 without brackets. */
  has(host: string): boolean {
    const address = plainAddress(host);
    const family = familyOf(address);
    return family === null ? this.#names.has(plainName(host)) : this.#blocks.check(address, family);
  }
}

const loopback = new HostList(["127.0.0.0/8", "::1"]);

/** For an address; a name is none, not even `localhost`. */
export function isLoopback(address: string): boolean {
  return loopback.has(address);
}

/**
 * `::ffff:127.0.0.1` is what a socket for both families calls 127.0.0.1. Here strangers write it as well, in any case,
 * so this takes for such an address only what is one; the engine's own asks sockets alone.
 */
export function plainAddress(address: string): string {
  return /^::ffff:[0-9.]+$/i.test(address) ? address.slice(7) : address;
}

export interface ForeignRequest {
  /** In snake_case. */
  readonly error: "foreign_host" | "foreign_origin" | "through_a_gateway";
  readonly message: string;
}

/**
 * Why the request must not be answered; `null` when nothing speaks against it. Its `Host` must be this
 * machine by a loopback name or address, the address that the connection came to, or one of `hosts`.
 */
export function foreignRequest(request: IncomingMessage, hosts: HostList): ForeignRequest | null {
  const { headers } = request;
  const given = request.headersDistinct.host ?? [];
  // Without a Host there is no browser: they all send one.
  if (given.length > 0 && !isOurs(given, request, hosts)) {
    const message = `the Host ${JSON.stringify(given.join(", "))} is none of this API's names`;
    return { error: "foreign_host", message };
  }
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") {
    return { error: "foreign_origin", message: "the request comes from a page of another site" };
  }
  const { origin } = headers;
  if (origin !== undefined && !isSameOrigin(origin, headers.host)) {
    return { error: "foreign_origin", message: "the request comes from a web page" };
  }
  if (headers.via === undefined) return null;
  return { error: "through_a_gateway", message: "the request came through a gateway or a proxy" };
}

function isOurs(given: readonly string[], request: IncomingMessage, hosts: HostList): boolean {
  const [authority = ""] = given;
  const host = hostOf(authority);
  if (given.length > 1 || host === null) return false;
  if (plainName(host) === "localhost" || isLoopback(host) || hosts.has(host)) return true;
  const here = plainAddress(request.socket.localAddress ?? "");
  return here !== "" && plainAddress(host) === here;
}

/** The host of an authority, `null` when it is not one. The port says nothing: it may be forwarded. */
function hostOf(authority: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{0,5})?$/i.exec(authority);
  return match === null ? null : (match[1] ?? match[2] ?? null);
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
}

/** Names have no case; a dot at the end changes nothing. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** `null` for what is no address. */
export function familyOf(address: string): "ipv4" | "ipv6" | null {
  const version = isIP(address);
  return version === 0 ? null : version === 4 ? "ipv4" : "ipv6";
}
