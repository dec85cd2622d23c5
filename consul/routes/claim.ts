/**
 * What a tag of a service claims: requests for a host and a path. Tags are written by whoever may register a service, so that
 * each part of one is checked here, and all of it is bounded.
 */
import { findPathProblem, parseHostName } from "../../gateway/documents/index.ts";
import type { PluginUse, TagRoute, Transport } from "../../gateway/model/index.ts";

export interface Claim {
  /** As it is in Consul. */
  readonly tag: string;
  /** A host in lower case, `*.domain`, or `*` for every host. */
  readonly host: string;
  /** Starts with `/`. */
  readonly path: string;
  readonly isExact: boolean;
  /** Most tags leave it out: the longest path comes first. */
  readonly priority: number | null;
  /** The weight of each instance, above 0 up to 1; `null`: a share of what the others leave over. */
  readonly weight: number | null;
  readonly sentHost: TagRoute["sentHost"];
  /** How the service is reached; `null`: by HTTP/1.1 in clear. */
  readonly transport: Transport | null;
  readonly plugins: readonly PluginUse[];
  /** Only instances with this tag get requests; else all of the service. */
  readonly isForTagged: boolean;
}

/** A warning about a tag. */
export interface Note {
  readonly tag: string;
  readonly text: string;
}

export interface Reading {
  readonly claims: readonly Claim[];
  readonly notes: readonly Note[];
}

/** As an upstream document says it: with `true`, certificates are believed by their authorities and names. */
export function overTls({
  isInsecure = false,
  protocol,
}: {
  readonly isInsecure?: boolean;
  readonly protocol?: "h2";
}): Transport {
  const tls = { serverName: null, authorities: null, certificate: null, isInsecure };
  return { ...(protocol === undefined ? {} : { protocol }), tls };
}

export const nothing: Reading = { claims: [], notes: [] };

/** Longer tags are not read. */
export const maxTagLength = 4_096;
/** Claims of one service; those beyond are left out. */
export const maxClaims = 200;
/** The most warnings about one service. */
export const maxNotes = 50;

/** A text as messages show it: bounded, and without characters that could mislead. */
export function shown(text: string): string {
  const json = JSON.stringify(text.length > 120 ? `${text.slice(0, 117)}...` : text);
  return json.replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The one spelling of a host as a tag may name it, without its port; `null`: it is none. */
export function readHost(text: string): string | null {
  const host = text.endsWith(".") ? text.slice(0, -1) : text;
  return host.length > 253 ? null : parseHostName(host);
}

/** What keeps a text from being a path that requests may begin with; `null`: nothing. */
export function pathProblem(path: string): string | null {
  return path.length > 1_024 ? "is longer than 1024 characters" : findPathProblem(path, false);
}
