/**
 * Who the client is: what a trusted proxy's forwarding fields say about it, as far as they make sense, and what the
 * gateway tells a peer. For everybody else, the socket's address is the client.
 */
import { isIP, SocketAddress } from "node:net";
import { isAuthority } from "./authority.ts";
import type { ForwardingKind } from "./fields.ts";
import { forwardedHops } from "./forwarded-field.ts";
import { fieldValue } from "./grammar.ts";

/** How many hops are looked at, from the nearest. */
export const maxHops = 32;
/** How much of `X-Forwarded-For` is looked at, from the nearest hop. */
const maxListLength = 1_024;
const soundHop = /^[0-9A-Za-z:. \t[\]"_-]*$/;
const maxHopLength = 64;
const port = /^:(?:[0-9]{1,5}|_[0-9A-Za-z._-]+)$/;

/** A trusted proxy at the other end of a client's connection. */
export interface TrustedProxy {
  readonly address: string;
  /** The scheme of the proxy's connection, which applies when the proxy does not report its own client's. */
  readonly scheme: "http" | "https";
  /** Whether this address belongs to a trusted proxy as well. */
  readonly trusts: (address: string) => boolean;
}

/** What the proxy in front said. Several lines with one name are joined by commas; a missing field is empty. */
export interface Said {
  readonly forwardedFor: string;
  readonly forwardedProto: string;
  /** Only the last line with this name. */
  readonly forwardedHost: string;
  readonly forwarded: string;
}

/** Who the gateway believes is the client, and what the client asked for. */
export interface Story {
  readonly address: string;
  readonly scheme: "http" | "https";
  /** Empty: the host in the request itself. */
  readonly host: string;
  /** What `X-Forwarded-For` says before the address of the connection itself; empty: nothing. */
  readonly before: string;
}

/** The story of a client without a trusted proxy. */
export function plainStory(address: string, scheme: Story["scheme"] = "http"): Story {
  return { address, scheme, host: "", before: "" };
}

/**
 * The client is the right-most address that does not belong to a trusted proxy or, if all do, the left-most that was
 * looked at. A hop that is not an address ends the search: whoever named it is then the client. `Forwarded` is read
 * only without `X-Forwarded-For`, `-Proto` and `-Host`, so that there are never two stories.
 */
export function storyOf(said: Said, proxy: TrustedProxy): Story {
  const { forwardedFor, forwardedProto, forwardedHost, forwarded } = said;
  if (forwardedFor === "" && forwardedProto === "" && forwardedHost === "") {
    return forwarded === ""
      ? plainStory(proxy.address, proxy.scheme)
      : storyOfForwarded(forwarded, proxy);
  }
  return {
    address: clientIn(forwardedFor, proxy),
    scheme:
      forwardedProto === ""
        ? proxy.scheme
        : schemeOf(
            fieldValue(forwardedProto, forwardedProto.lastIndexOf(","), forwardedProto.length),
          ),
    host: isAuthority(forwardedHost) ? forwardedHost : "",
    before: soundPart(forwardedFor),
  };
}

function clientIn(list: string, proxy: TrustedProxy): string {
  let client = proxy.address;
  let to = list.length;
  for (let hop = 0; hop < maxHops && to > 0; hop += 1) {
    const comma = list.lastIndexOf(",", to - 1);
    const text = fieldValue(list, comma, to);
    to = comma;
    if (text === "") continue;
    const address = hopAddress(text);
    if (address === null) return client;
    client = address;
    if (!proxy.trusts(address)) return client;
  }
  return client;
}

function storyOfForwarded(forwarded: string, proxy: TrustedProxy): Story {
  let address = proxy.address;
  let before = "";
  let scheme = proxy.scheme;
  let host = "";
  for (const hop of forwardedHops(forwarded, maxHops)) {
    // Trusted proxies wrote all of these, and the one that is read last was closest to the client.
    if (hop.proto !== "") scheme = schemeOf(hop.proto);
    host = isAuthority(hop.host) ? hop.host : "";
    const client = hopAddress(hop.for);
    if (client === null) break;
    address = client;
    before = before === "" ? client : `${client}, ${before}`;
    if (!proxy.trusts(client)) break;
  }
  return { address, scheme, host, before };
}

/**
 * The address in a hop, in its normal form: `192.0.2.1` or `[2001:db8::1]`, either with a port, or a bare IPv6
 * address. `null` for anything else, such as `unknown` and `_hidden`.
 */
export function hopAddress(text: string): string | null {
  if (text === "" || text.length > maxHopLength || text.includes("%")) return null;
  let address = text;
  let rest = "";
  if (text.startsWith("[")) {
    const end = text.indexOf("]");
    address = text.slice(1, Math.max(1, end));
    rest = text.slice(end + 1);
    if (isIP(address) !== 6) return null;
  } else {
    const colon = text.indexOf(":");
    if (colon !== -1 && colon === text.lastIndexOf(":")) {
      address = text.slice(0, colon);
      rest = text.slice(colon);
    }
  }
  if (rest !== "" && !port.test(rest)) return null;
  const family = isIP(address);
  if (family === 4) return address;
  return family === 6 ? plainAddress(new SocketAddress({ address, family: "ipv6" }).address) : null;
}

/** Returns an IPv4 address that came over an IPv6 socket in its IPv4 form. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** The right part of a list that is short enough and holds only what can be in a hop. */
function soundPart(list: string): string {
  let from = list.length;
  for (let hop = 0, to = list.length; hop < maxHops && to > 0; hop += 1) {
    const comma = list.lastIndexOf(",", to - 1);
    if (list.length - comma > maxListLength || !soundHop.test(list.slice(comma + 1, to))) break;
    from = comma + 1;
    to = comma;
  }
  return fieldValue(list, from - 1, list.length);
}

function schemeOf(word: string): Story["scheme"] {
  return word.toLowerCase() === "https" ? "https" : "http";
}

const schemeWords: ReadonlyMap<string, Story["scheme"]> = new Map([
  ["http", "http"],
  ["https", "https"],
  ["off", "http"],
  ["on", "https"],
  ["ssl", "https"],
  ["false", "http"],
  ["true", "https"],
]);

/** Whether a trusted proxy's other field tells the same story, or something that the story does not cover. */
export function isSameStory(kind: ForwardingKind, value: string, story: Story): boolean {
  switch (kind) {
    case "address":
      return hopAddress(value) === story.address;
    case "scheme":
      return schemeWords.get(value.toLowerCase()) === story.scheme;
    case "port":
      return /^[0-9]{1,5}$/.test(value) && Number(value) <= 65_535;
    default:
      return kind === "other";
  }
}

/** Which of the gateway's own fields the handler removed. */
export interface Removals {
  isRemoved(name: string): boolean;
}

/**
 * The fields that the gateway writes, each with its CR LF. `address`: the connection's own address. `authority`: what
 * the request asks for.
 */
export function forwardedLines(
  story: Story,
  address: string,
  authority: string,
  removals: Removals,
): string {
  let lines = "";
  if (!removals.isRemoved("x-forwarded-for")) {
    const before = story.before === "" ? "" : `${story.before}, `;
    lines += `X-Forwarded-For: ${before}${address}\r\n`;
  }
  if (!removals.isRemoved("x-forwarded-proto")) lines += `X-Forwarded-Proto: ${story.scheme}\r\n`;
  if (!removals.isRemoved("x-forwarded-host")) {
    lines += `X-Forwarded-Host: ${story.host === "" ? authority : story.host}\r\n`;
  }
  return lines;
}
