/**
 * The desired state as data: what can change, a change, a delta between two versions, a snapshot of
 * one. Produced by `consul/`, versioned by `primary/`, applied by `worker/`. No behaviour here beyond
 * the keys' spelling.
 */
import type { HostDocument, UpstreamDocument } from "./documents.ts";
import type { Closed, LifeDocument, Trial } from "./life.ts";

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json };

/** One healthy instance of a Consul service. */
export interface Instance {
  readonly id: string;
  /** An IP address or a name that the resolver knows. */
  readonly address: string;
  readonly port: number;
  /** 1 and up: Consul's `Weights.Passing` or, when a check warns, `Weights.Warning`. */
  readonly weight: number;
  readonly tags: readonly string[];
}

/** A source text out of KV. */
export interface Source {
  readonly text: string;
  /** SHA-256 of the text, hexadecimal. */
  readonly version: string;
  /** Consul's ModifyIndex of the key. */
  readonly modifyIndex: number;
  /** Of a script that is not run although it is what operators want. */
  readonly outOfService?: OutOfService;
  /** Of a script that is not there yet: whether it may run is still to be found out. */
  readonly isUnexamined?: true;
}

/** A version that stalled a worker. Without it, requests that it would have run on fail as if it had failed. */
export interface OutOfService {
  readonly reason: string;
  /** What it matches, as far as is known; `null`: everything. */
  readonly methods: readonly string[] | null;
  readonly paths: readonly string[] | null;
  readonly onError: "deny" | "skip";
}

/** A datacenter that Consul knows. */
export interface Datacenter {
  /** Whether it is the one of the Consul that is asked. */
  readonly own: boolean;
  /** Whether its services are in `catalog`. */
  readonly catalog: boolean;
}

/** The kinds of entry and the type of the value of each. */
export interface Entries {
  /** Key: the name of the upstream, `upstreams/<name>`. */
  upstream: UpstreamDocument;
  /** Key: the host or `*.domain`, `hosts/<host>`, lower case. */
  host: HostDocument;
  /** Key: `serviceKey(...)`. Only services in use have an entry; an empty list means no healthy instance. */
  service: readonly Instance[];
  /** Key: `serviceKey(...)` of a service that Consul has; value: its tags. */
  catalog: readonly string[];
  /** Key: the name. Of others than the own one, those whose services were asked for have their catalog here. */
  datacenter: Datacenter;
  /** Key: the host or `*.domain`, `scripts/<host>`. */
  script: Source;
  /** Key: the name, `modules/<name>`. */
  module: Source;
  /** Key: the name, `settings/<name>`. */
  setting: Json;
  /** Key: the host or `*.domain`, `live/<host>`. Stays in the primary. */
  life: LifeDocument;
  /** Key: the host or `*.domain`: a version of its script that gets a share of the requests. */
  trial: Trial;
  /** Key: the host or `*.domain`: what a schedule keeps out of service. Of no use to workers. */
  closed: Closed;
}

export type Kind = keyof Entries;

/** A value that is there now, or `null` for an entry that is gone. */
export type Change = {
  [K in Kind]: { readonly kind: K; readonly key: string; readonly value: Entries[K] | null };
}[Kind];

/** The step from one version to the next. */
export interface Delta {
  /** Identifies the primary process that counts; versions of another boot do not compare. */
  readonly boot: string;
  readonly from: number;
  readonly to: number;
  readonly changes: readonly Change[];
}

/** A whole version: every entry as a change with a value. */
export interface Snapshot {
  readonly boot: string;
  readonly version: number;
  readonly changes: readonly Change[];
}

/** The whole state as one table for each kind. */
export type Tables = { readonly [K in Kind]: ReadonlyMap<string, Entries[K]> };

/** No entry of any kind. */
export function emptyTables(): { readonly [K in Kind]: Map<string, Entries[K]> } {
  return {
    upstream: new Map(),
    host: new Map(),
    service: new Map(),
    catalog: new Map(),
    datacenter: new Map(),
    script: new Map(),
    module: new Map(),
    setting: new Map(),
    life: new Map(),
    trial: new Map(),
    closed: new Map(),
  };
}

/** Which service a request or a document means; Consul's DNS forms name the same three. */
export interface ServiceQuery {
  readonly name: string;
  /** Only instances with this tag. */
  readonly tag: string | null;
  /** Another datacenter than the agent's own. */
  readonly datacenter: string | null;
}

/** The key of the entry that carries a service's instances: `thumb`, or `thumb@dc2`. Tags are filtered later. */
export function serviceKey(query: Pick<ServiceQuery, "name" | "datacenter">): string {
  return query.datacenter === null ? query.name : `${query.name}@${query.datacenter}`;
}
