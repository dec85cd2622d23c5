/**
 * Who a request is for: which hosts are any, with or without a port, and the one spelling under which a
 * host is looked up. Bounded, so that nothing that looks one up has to be.
 */
import { isIPv6 } from "node:net";
import { domainToASCII } from "node:url";

/** RFC 1035 section 2.3.4: no longer name can be in DNS. Without the dot that may end it. */
export const maxNameLength = 253;

/**
 * Labels of a `reg-name` (RFC 3986 section 3.2.2), none of them empty, perhaps with a dot at the end. No
 * percent-escape: no name in DNS needs one, and its readers disagree on what it means.
 */
const labels = /^[A-Za-z0-9_~!$&'()*+,;=-]{1,63}(?:\.[A-Za-z0-9_~!$&'()*+,;=-]{1,63})*\.?$/;
/** What follows the host; an empty port is the scheme's (RFC 3986 section 3.2.3). */
const portPart = /^(?::([0-9]{0,5}))?$/;
const beyondAscii = /[^\0-\x7f]/;
/** Keeps zones (`%eth0`) out, which `isIPv6` takes and a URI does not. */
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

/** The host of an authority that `isAuthority` took: lower case, no port, no trailing dot. */
export function normaliseHost(text: string): string {
  const host = text.slice(0, hostEnd(text)).toLowerCase();
  // An IPv6 address has many spellings; URLs have one of them (RFC 5952).
  if (host.startsWith("[")) return new URL(`http://${host}`).hostname;
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

/**
 * An authority, or `*.domain`, as it goes over the wire: a name like `müller.example` in the ASCII form that DNS
 * has (RFC 5891). The same text when it is ASCII already; empty when there is no such form.
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
