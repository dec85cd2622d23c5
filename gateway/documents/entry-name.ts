/**
 * The part of a key that follows `hosts/`, `upstreams/` and so on: which names are allowed, and their one spelling. A
 * host's one spelling is in lower case and has no trailing dot.
 */
import { inAscii, isHost, maxNameLength, normaliseHost } from "../engine/message/authority.ts";
import { type DocumentKind, entryName, kinds, type SiteNames } from "../model/index.ts";
import { DocumentError } from "./document-error.ts";

const dnsName = /^\w(?:[\w-]*\w)?(?:\.\w(?:[\w-]*\w)?)*$/;
const modulePath = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;
/** RFC 8555 section 8.1. */
const token = /^[A-Za-z0-9_-]{16,256}$/;
const settingName = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/** Whether DNS can have this name, which has no dot at its end: letters, digits, `-` inside a label, and `_`. */
export function isDnsName(name: string): boolean {
  return dnsName.test(name);
}

/** The one spelling of a host or of `*.domain`, in ASCII; `null` when `name` is neither. */
export function parseHostName(name: string): string | null {
  const host = inAscii(name).toLowerCase();
  // A wildcard stands for at least one character.
  if (host.length > maxNameLength) return null;
  const labels = host.startsWith("*.") ? host.slice(2) : host;
  if (!isHost(labels)) return null;
  if (isDnsName(labels)) return host;
  return labels === host && host.startsWith("[") ? normaliseHost(host) : null;
}

/** Whether `name` can name an upstream document. */
export function isUpstreamName(name: string): boolean {
  return entryName.test(name);
}

/**
 * The name of the entry at `key`, which has its prefix; `name` is what follows the folder. For a host, it is the name
 * of the host's site. Throws a `DocumentError` with code `bad_key` for a folder, an empty name, an invalid host, and
 * the like.
 */
export function parseEntryName(
  kind: DocumentKind,
  key: string,
  name: string,
  sites: SiteNames,
): string {
  const bad = (problem: string) => new DocumentError("bad_key", key, problem);
  if (name === "" || name.endsWith("/"))
    throw bad(
      `is a folder, not ${kind === "host" ? "a host" : `the name of ${kind === "upstream" ? "an" : "a"} ${kind}`}`,
    );
  switch (kinds[kind].names) {
    case "host": {
      const host = parseHostName(name);
      if (host === null) throw bad(`${JSON.stringify(name)} is not a host or *.domain`);
      const service = sites.find(host);
      if (service !== null && service.tag !== null)
        throw bad(
          `has a tag of a service: what is kept for ${service.site} holds for its tags, too`,
        );
      return sites.nameOf(host);
    }
    case "upstream":
      if (!isUpstreamName(name))
        throw bad(`${JSON.stringify(name)} is not an upstream's name: letters, digits, "-_." only`);
      return name;
    case "module":
      if (!modulePath.test(name) || name.includes(".."))
        throw bad(`${JSON.stringify(name)} is not a module's name: letters, digits, "-_./" only`);
      return name;
    case "certificate":
      if (!entryName.test(name))
        throw bad(
          `${JSON.stringify(name)} is not a certificate's name: letters, digits, "-_." only`,
        );
      return name;
    case "challenge":
      if (!token.test(name)) throw bad("is not a token: 16 to 256 letters, digits, - and _");
      return name;
    case "setting":
      if (!settingName.test(name) || name === "__proto__")
        throw bad(`${JSON.stringify(name)} is not a ${kind}'s name: letters, digits, "-_." only`);
      return name;
  }
}
