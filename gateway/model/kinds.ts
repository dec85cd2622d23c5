/**
 * The table of kinds: everything that distinguishes one kind of entry from another, except its parser
 * (`documents/parsers.ts`). Code that handles all kinds reads this table, so a new kind is one entry here.
 */

import type { Agreement, Closed, Trial } from "./agreement.ts";
import type { Certificate, TicketKeyList } from "./certificates.ts";
import type { Challenge } from "./challenges.ts";
import type { HostDocument, UpstreamDocument } from "./documents.ts";
import type { Datacenter, Instance, Json, Source } from "./entries.ts";
import type { ListenerDocument } from "./listeners.ts";
import type { PeerHealth } from "./peer-health.ts";
import type { PeerSettings } from "./peer-settings.ts";
import type { TagRoute } from "./tag-route.ts";

export interface KindEntry {
  /**
   * The folder below the prefix in KV whose keys are entries of this kind; `null` when the catalog has them, or
   * Consul does not.
   */
  readonly folder: `${string}/` | null;
  /** What a key names, which decides how it is spelt. */
  readonly names: KeyName;
  /**
   * `straight`: served as observed. `released`: passes through releases/, which may hold it back. `made`: not in
   * Consul; releases/ or the primary makes it from what it knows.
   */
  readonly way: "straight" | "released" | "made";
  /** How far it goes: to releases/, to the primary's state, or to every worker's. */
  readonly reach: "releases" | "primary" | "workers";
  /** Whether the last known good state on disk contains it. */
  readonly saved: boolean;
  /** What a worker makes from it. */
  readonly appliedTo: readonly ("sites" | "scripts" | "peers" | "tls")[];
}

export type KeyName =
  | "host"
  | "upstream"
  | "module"
  | "setting"
  | "route"
  | "service"
  | "datacenter"
  | "peer"
  | "certificate"
  | "challenge"
  | "ticket";

declare const typeOfValues: unique symbol;

/** An entry in the table whose values have the type `V`. */
function kind<V>() {
  return <const E extends KindEntry>(entry: E): E & { readonly [typeOfValues]?: V } => entry;
}

/**
 * In the order of entries in a snapshot. Modules and settings come before the scripts that read them, for code that
 * applies entries one by one.
 */
export const kinds = {
  /**
   * By `kv/<name>` or `file/<name>` once it is served. The primary checks each certificate, and serves only those
   * that pass.
   */
  certificate: kind<Certificate>()({
    folder: "certificates/",
    names: "certificate",
    way: "straight",
    reach: "workers",
    // No private key is ever written to disk.
    saved: false,
    appliedTo: ["tls"],
  }),
  /** By token. Gateways write these for as long as an ACME authority may ask. */
  challenge: kind<Challenge>()({
    folder: "acme/challenges/",
    names: "challenge",
    way: "straight",
    reach: "workers",
    saved: false,
    appliedTo: ["tls"],
  }),
  /** One entry, `current`. */
  ticketKeys: kind<TicketKeyList>()({
    folder: null,
    names: "ticket",
    way: "made",
    reach: "workers",
    saved: false,
    appliedTo: ["tls"],
  }),
  setting: kind<Json>()({
    folder: "settings/",
    names: "setting",
    way: "released",
    reach: "workers",
    saved: true,
    appliedTo: ["scripts"],
  }),
  /** What all gateways agree on for a host's script. */
  agreement: kind<Agreement>()({
    folder: "live/",
    names: "host",
    way: "released",
    reach: "releases",
    saved: false,
    appliedTo: [],
  }),
  /** A version of a host's script that gets a share of the requests. */
  trial: kind<Trial>()({
    folder: null,
    names: "host",
    way: "made",
    reach: "workers",
    saved: true,
    appliedTo: ["scripts"],
  }),
  /** What a schedule keeps out of service, for a gateway that starts without Consul. */
  closed: kind<Closed>()({
    folder: null,
    names: "host",
    way: "made",
    reach: "primary",
    saved: true,
    appliedTo: [],
  }),
  module: kind<Source>()({
    folder: "modules/",
    names: "module",
    way: "released",
    reach: "workers",
    saved: true,
    appliedTo: ["scripts"],
  }),
  script: kind<Source>()({
    folder: "scripts/",
    names: "host",
    way: "released",
    reach: "workers",
    saved: true,
    appliedTo: ["scripts"],
  }),
  upstream: kind<UpstreamDocument>()({
    folder: "upstreams/",
    names: "upstream",
    way: "released",
    reach: "workers",
    saved: true,
    appliedTo: ["sites"],
  }),
  host: kind<HostDocument>()({
    folder: "hosts/",
    names: "host",
    way: "released",
    reach: "workers",
    saved: true,
    appliedTo: ["sites"],
  }),
  /** By host and path: the routes in services' tags. */
  route: kind<TagRoute>()({
    folder: null,
    names: "route",
    way: "straight",
    reach: "workers",
    saved: true,
    appliedTo: ["sites"],
  }),
  /**
   * The key for the names of servers in cookies (`sticky`): one text that all gateways share. The primary reads it
   * from `keys/`, or writes it there once a document needs it. It is a secret, so it is in no file.
   */
  key: kind<string>()({
    folder: null,
    names: "setting",
    way: "made",
    reach: "workers",
    saved: false,
    appliedTo: ["sites"],
  }),
  /** What operators set by hand for single peers in the upstream or the service with this name. */
  peer: kind<PeerSettings>()({
    folder: "peers/",
    names: "upstream",
    way: "released",
    reach: "workers",
    saved: true,
    appliedTo: ["sites"],
  }),
  /**
   * The datacenters that Consul knows. Another datacenter than the own one gets its catalog here once its services
   * were asked for.
   */
  datacenter: kind<Datacenter>()({
    folder: null,
    names: "datacenter",
    way: "straight",
    reach: "workers",
    saved: true,
    // The own datacenter helps to decide which site a host is.
    appliedTo: ["sites"],
  }),
  /** By `serviceKey`: the tags of a service that Consul has. */
  catalog: kind<readonly string[]>()({
    folder: null,
    names: "service",
    way: "straight",
    reach: "workers",
    saved: true,
    appliedTo: ["sites"],
  }),
  /** By `serviceKey`. Only services in use have an entry; an empty list means that there is no healthy instance. */
  service: kind<readonly Instance[]>()({
    folder: null,
    names: "service",
    way: "straight",
    reach: "workers",
    saved: true,
    appliedTo: ["sites"],
  }),
  /** A port that the primary opens for its workers. */
  listener: kind<ListenerDocument>()({
    folder: "listeners/",
    names: "setting",
    way: "straight",
    reach: "primary",
    saved: true,
    appliedTo: [],
  }),
  /** By address. Not saved: after a restart, the gateway finds out again what is wrong with a peer. */
  health: kind<PeerHealth>()({
    folder: null,
    names: "peer",
    way: "made",
    reach: "workers",
    saved: false,
    appliedTo: ["peers"],
  }),
} satisfies Record<string, KindEntry>;

type Table = typeof kinds;

/** The kinds whose entry has what `Has` has. */
type KindsWith<Has> = { [K in keyof Table]: Table[K] extends Has ? K : never }[keyof Table];

export type Kind = keyof Table;
/** The kinds that Consul has, in KV or in its catalog. */
export type ObservedKind = KindsWith<{ readonly way: "straight" | "released" }>;
export type StraightKind = KindsWith<{ readonly way: "straight" }>;
export type ReleasedKind = KindsWith<{ readonly way: "released" }>;
/** The kinds in the state that is served. */
export type ServedKind = KindsWith<{ readonly reach: "primary" | "workers" }>;
/** The kinds that operators and gateways write into KV. */
export type DocumentKind = KindsWith<{ readonly folder: string }>;

/** The type of the values of each kind. */
export type Entries = {
  readonly [K in Kind]: Table[K] extends { readonly [typeOfValues]?: infer V } ? V : never;
};

/** Whether a worker makes this from the entries of this kind. */
export function isAppliedTo(what: KindEntry["appliedTo"][number], kind: Kind): boolean {
  const entry: KindEntry = kinds[kind];
  return entry.appliedTo.includes(what);
}

/** The kinds whose entry passes `test`, in the table's order. */
function kindsWhere<K extends Kind>(test: (entry: KindEntry) => boolean): readonly K[] {
  // `test` checks at run time what the type argument says to the compiler.
  return (Object.keys(kinds) as Kind[]).filter((kind) => test(kinds[kind])) as K[];
}

export const servedKinds = kindsWhere<ServedKind>(({ reach }) => reach !== "releases");
export const documentKinds = kindsWhere<DocumentKind>(({ folder }) => folder !== null);
