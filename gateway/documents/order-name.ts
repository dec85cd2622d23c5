/** Which hosts a certificate can be ordered for by ACME, and their one spelling. */
import { isIP } from "node:net";
import { parseHostName } from "./entry-name.ts";

/** The name of its certificate in KV is longer. */
const maxLength = 240;

/** The host in lower case and without a dot at its end; `null`: no certificate can be ordered for it. */
export function parseOrderName(name: string): string | null {
  return orderFault(name) === null ? parseHostName(name.replace(/\.$/, "")) : null;
}

/** Why no certificate can be ordered for this name, as the end of a sentence; `null`: one can. */
export function orderFault(name: string): string | null {
  const shown = JSON.stringify(name.slice(0, 300));
  if (name.includes("*"))
    return `${shown} is a wildcard, which needs DNS-01; gateways order certificates for single hosts alone`;
  const host = parseHostName(name.replace(/\.$/, ""));
  if (host === null) return `${shown} is no host`;
  if (host.startsWith("[") || isIP(host) !== 0) return `${shown} is an address, and must be a host`;
  if (!host.includes(".")) return `${shown} has no dot: no authority issues certificates for it`;
  if (host.length > maxLength) return `${shown} has more than ${maxLength} characters`;
  if (host.includes("_")) return `${shown} has an underscore, which no authority takes`;
  return null;
}
