/** Reads the field `Forwarded` (RFC 7239) from its right end, where the nearest proxy wrote. */

import { fieldValue } from "./grammar.ts";

/** One element; a missing parameter is empty. */
export interface ForwardedHop {
  readonly for: string;
  readonly proto: string;
  readonly host: string;
}

const maxElementLength = 512;
const pair = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"([^"\\]*)")$/;

/**
 * Yields at most `most` elements, the nearest first, and stops at an invalid one: the rest may be a client's attempt
 * to have the proxy's element read as part of the client's own quoted text. For the same reason a comma always ends
 * an element; no address, scheme or host has one.
 */
export function* forwardedHops(field: string, most: number): Generator<ForwardedHop, void, void> {
  let to = field.length;
  for (let seen = 0; seen < most && to > 0; seen += 1) {
    const comma = field.lastIndexOf(",", to - 1);
    const element = fieldValue(field, comma, to);
    to = comma;
    if (element === "") continue;
    const hop = readElement(element);
    if (hop === null) return;
    yield hop;
  }
}

function readElement(element: string): ForwardedHop | null {
  if (element.length > maxElementLength) return null;
  const found = new Map<string, string>();
  for (const part of element.split(";")) {
    const text = fieldValue(part, -1, part.length);
    if (text === "") continue;
    const match = pair.exec(text);
    if (match === null) return null;
    const name = (match[1] ?? "").toLowerCase();
    if (found.has(name)) return null;
    found.set(name, match[2] ?? match[3] ?? "");
  }
  return {
    for: found.get("for") ?? "",
    proto: found.get("proto") ?? "",
    host: found.get("host") ?? "",
  };
}
