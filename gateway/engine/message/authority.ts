/**
 * Decides which texts are hosts, with or without a port, and gives the one spelling under which a host is looked up.
 * Hosts have a bounded length, so code that looks one up needs no bound of its own.
 */
import { isIPv6 } from "node:net";
import { domainToASCII } from "node:url";

/** Longest name in DNS, without the dot that may end it (RFC 1035 section 2.3.4). */
export const maxNameLength = 253;

/**
 * Labels of a `reg-name` (RFC 3986 section 3.2.2), none of them empty, perhaps with a dot at the end. Percent-escapes
 * are not allowed: no name in DNS needs one, and readers disagree on what they mean.
 */
const labels = /^[A-Za-z0-9_~!$&'()*+,;=-]{1,63}(?:\.[A-Za-z0-9_~!$&'()*+,;=-]{1,63})*\.?$/;
/** What follows the host. An empty port means the scheme's own (RFC 3986 section 3.2.3). */
const portPart = /^(?::([0-9]{0,5}))?$/;
const beyondAscii = /[^\0-\x7f]/;
/** Keeps out zones (`%eth0`), which `isIPv6` accepts and a URI does not. */
const addressCharacters = /^[0-9A-Fa-f:.]{2,45}$/;

/** A `uri-host` with an optional port (RFC 9110 section 7.2), without user information. */
export function isAuthority(text: string): boolean {
  const end = hostEnd(text);
  const port = portPart.exec(text.slice(end));
  return port !== null && Number(port[1] ?? 0) <= 65_535 && isHost(text.slice(0, end));
}

/** A name or an address, without port: at most 253 characters, labels of at most 63. */
export function isHost(text: string): boolean {
  if (text.startsWith("[")) {
    const address = text.slice(1, -1);
    return text.endsWith("]") && addressCharacters.test(address) && isIPv6(address);
  }
  const length = text.endsWith(".") ? text.length - 1 : text.length;
  return length <= maxNameLength && labels.test(text);
}

/** The host in an authority that `isAuthority` accepted: in lower case, without port and trailing dot. */
export function normaliseHost(text: string): string {
  const host = text.slice(0, hostEnd(text)).toLowerCase();
  // An IPv6 address has many spellings; a URL has one of them (RFC 5952).
  if (host.startsWith("[")) return new URL(`http://${host}`).hostname;
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

/**
 * An authority, or `*.domain`, in the form that it has on the wire: a name like `müller.example` becomes ASCII, as in
 * DNS (RFC 5891). Returns an ASCII text unchanged, and an empty string when there is no such form.
 */
export function inAscii(text: string): string {
  if (text.length > maxNameLength || !beyondAscii.test(text)) return text;
  const end = hostEnd(text);
  const host = domainToASCII(text.slice(0, end));
  return host === "" ? "" : host + text.slice(end);
}

function hostEnd(text: string): number {
  const end = text.startsWith("[") ? text.indexOf("]") + 1 : text.indexOf(":");
  return end < 1 ? text.length : end;
}
