/** What an origin was asked, in a form that can be compared whichever way the request came. */
import type { IncomingMessage } from "node:http";

export interface Asked {
  readonly method: string;
  /** In origin form, or `*`. */
  readonly target: string;
  readonly authority: string;
  /** End-to-end lines in their order. */
  readonly lines: readonly string[];
  /** The same with the lines of one name together, as `node:http` sends them. */
  readonly grouped: readonly string[];
  readonly body: string;
}

/** Not passed on: names that could be taken for others, and what strangers say of who they are. */
const odd = /[^0-9a-z-]|^(?:x-)?forwarded/;

/** Of this hop, or the gateway's own. */
const notCompared = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "x-request-id",
]);

export function askedOf(request: IncomingMessage, body: Buffer): Asked {
  const fields: [name: string, value: string][] = [];
  for (let n = 0; n + 1 < request.rawHeaders.length; n += 2) {
    fields.push([request.rawHeaders[n] ?? "", request.rawHeaders[n + 1] ?? ""]);
  }
  const named = fields
    .filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, value]) => value.split(","))
    .map((name) => name.replace(/^[\t ]+|[\t ]+$/g, "").toLowerCase());
  const kept = fields.filter(([name]) => {
    const lower = name.toLowerCase();
    return !notCompared.has(lower) && !named.includes(lower) && !odd.test(lower);
  });
  const groups = new Map<string, string[]>();
  for (const [name, value] of kept) {
    const lower = name.toLowerCase();
    groups.set(lower, [...(groups.get(lower) ?? []), value]);
  }
  const { method = "", url = "" } = request;
  const host = fields.find(([name]) => name.toLowerCase() === "host")?.[1] ?? "";
  return {
    method,
    ...targetOf(method, url, host),
    lines: kept.map(([name, value]) => `${name}: ${value}`),
    grouped: [...groups]
      .sort()
      .map(
        ([name, values]) => `${name}: ${values.join(name === "cookie" ? "; " : ", ").trimEnd()}`,
      ),
    body: body.toString("latin1"),
  };
}

/** The absolute form decides the host (RFC 9112 section 3.2.2). */
function targetOf(
  method: string,
  url: string,
  host: string,
): { readonly target: string; readonly authority: string } {
  const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(url);
  if (absolute === null) return { target: url, authority: host };
  const [, authority = "", rest = ""] = absolute;
  if (rest === "") return { target: method === "OPTIONS" ? "*" : "/", authority };
  return { target: rest.startsWith("?") ? `/${rest}` : rest, authority };
}
