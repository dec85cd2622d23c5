/**
 * The table of kinds: everything that tells one kind of entry from another, but for its parser
 * (`documents/parsers.ts`). Whoever handles all kinds reads this table, so that a new kind is one entry here.
 */

import type { Agreement, Closed, Trial } from "./agreement.ts";
import type { Certificate, TicketKeyList } from "./certificates.ts";
import type { HostDocument, UpstreamDocument } from "./documents.ts";
import type { Datacenter, Instance, Json, Source } from "./entries.ts";
import type { ListenerDocument } from "./listeners.ts";
import type { PeerHealth } from "./peer-health.ts";
import type { PeerSettings } from "./peer-settings.ts";
import type { TagRoute } from "./tag-route.ts";

export interface KindEntry {
  /** Under the prefix in KV, its keys being entries of this kind; `null`: the catalog, or nothing, has them. */
  readonly folder: `${string}/` | null;
  /** What a key names, which says how it is spelt. */
  readonly names: KeyName;
  /**
   * `straight`: served as it was observed. `released`: passes through releases/, which may hold it back. `made`:
   * not in Consul; releases/ or the primary makes it of what it knows.
   */
  readonly way: "straight" | "released" | "made";
  /** Where it ends: in releases/, in the primary's state, or in that of every worker. */
  readonly reach: "releases" | "primary" | "workers";
  /** Whether the last known good state on disk has it. */
  readonly saved: boolean;
  /** What is made of it in a worker. */
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
  | "ticket";

declare const typeOfValues: unique symbol;

/** An entry of the table whose values have the type `V`. */
function kind<V>() {
  return <const E extends KindEntry>(entry: E): E & { readonly [typeOfValues]?: V } => entry;
}

/**
 * In the order in which a snapshot has them: whoever applies them one by one has modules and settings before the
 * scripts that read them.
 */
export const kinds = {
  /** By `kv/<name>` or `file/<name>` once it is served. The primary checks each, and what it refuses reaches nobody. */
  certificate: kind<Certificate>()({
    folder: "certificates/",
    names: "certificate",
    way: "straight",
    reach: "workers",
    // No private key is ever written to a disk.
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
  /** By host and path: what services say by their tags. */
  route: kind<TagRoute>()({
    folder: null,
    names: "route",
    way: "straight",
    reach: "workers",
    saved: true,
    appliedTo: ["sites"],
  }),
  /**
   * What cookies name servers by (`sticky`): one text that all gateways share. The primary reads it from `keys/`, or puts it
   * there, once a document needs it. A secret, so it is in no file.
   */
  key: kind<string>()({
    folder: null,
    names: "setting",
    way: "made",
    reach: "workers",
    saved: false,
    appliedTo: ["sites"],
  }),
  /** What operators set by hand for single peers of the upstream or the service of this name. */
  peer: kind<PeerSettings>()({
    folder: "peers/",
    names: "upstream",
    way: "released",
    reach: "workers",
    saved: true,
    appliedTo: ["sites"],
  }),
  /** Of others than the own one, those whose services were asked for have their catalog here. */
  datacenter: kind<Datacenter>()({
    folder: null,
    names: "datacenter",
    way: "straight",
    reach: "workers",
    saved: true,
    // It has a part in which site a host is.
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
  /** By `serviceKey`. Only services in use have an entry; an empty list means no healthy instance. */
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
  /** By address. Not saved: what was wrong with a peer before a restart is found out again. */
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

/** Those kinds whose entry has what `Has` has. */
type KindsWith<Has> = { [K in keyof Table]: Table[K] extends Has ? K : never }[keyof Table];

export type Kind = keyof Table;
/** What Consul has, in KV or in its catalog. */
export type ObservedKind = KindsWith<{ readonly way: "straight" | "released" }>;
export type StraightKind = KindsWith<{ readonly way: "straight" }>;
export type ReleasedKind = KindsWith<{ readonly way: "released" }>;
/** What the state has. */
export type ServedKind = KindsWith<{ readonly reach: "primary" | "workers" }>;
/** What operators and gateways write into KV. */
export type DocumentKind = KindsWith<{ readonly folder: string }>;

/** The type of the values of each kind. */
export type Entries = {
  readonly [K in Kind]: Table[K] extends { readonly [typeOfValues]?: infer V } ? V : never;
};

/** Whether something in a worker is made of the entries of this kind. */
export function isAppliedTo(what: KindEntry["appliedTo"][number], kind: Kind): boolean {
  const entry: KindEntry = kinds[kind];
  return entry.appliedTo.includes(what);
}

/** The kinds whose entry passes `test`, in the table's order. */
function kindsWhere<K extends Kind>(test: (entry: KindEntry) => boolean): readonly K[] {
  // `test` says of values what the name of the list says of types.
  return (Object.keys(kinds) as Kind[]).filter((kind) => test(kinds[kind])) as K[];
}

export const servedKinds = kindsWhere<ServedKind>(({ reach }) => reach !== "releases");
export const documentKinds = kindsWhere<DocumentKind>(({ folder }) => folder !== null);
