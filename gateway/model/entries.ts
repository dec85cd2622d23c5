/** The values that make up the state, as plain data. `kinds.ts` says which kinds of entry have them. */

import { createHash } from "node:crypto";

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
  /** An IP address, or a name that the resolver knows. */
  readonly address: string;
  readonly port: number;
  /** 1 or more: Consul's `Weights.Passing` or, when a check warns, `Weights.Warning`. */
  readonly weight: number;
  readonly tags: readonly string[];
  /** The metadata from its registration; left out: none. */
  readonly meta?: Readonly<Record<string, string>>;
}

/** A source text from KV. */
export interface Source {
  readonly text: string;
  /** SHA-256 of the text, hexadecimal. */
  readonly version: string;
  /** Consul's ModifyIndex of the key. */
  readonly modifyIndex: number;
  /** Code that is put into the text before it runs, to bound what its syntax does. The examination makes it. */
  readonly checks?: string;
  /** Set for a script that does not run although operators want it. */
  readonly outOfService?: OutOfService;
  /** Set for a script that is not in service yet, because it has not been found out whether it may run. */
  readonly isUnexamined?: true;
}

/** A version that stalled a worker. Requests on which it would have run fail as if it had failed. */
export interface OutOfService {
  readonly reason: string;
  /** The methods of the requests that it matches, as far as known; `null`: all. */
  readonly methods: readonly string[] | null;
  readonly paths: readonly string[] | null;
  readonly onError: "deny" | "skip";
}

/** A datacenter that Consul knows. */
export interface Datacenter {
  /** Whether it is the datacenter of the Consul that the gateway asks. */
  readonly own: boolean;
  /** Whether its services are in `catalog`. */
  readonly catalog: boolean;
}

/** The service that a request or a document means. Consul's DNS forms name the same three parts. */
export interface ServiceQuery {
  readonly name: string;
  /** Only instances with this tag. */
  readonly tag: string | null;
  /** A datacenter other than the agent's own. */
  readonly datacenter: string | null;
}

/** The version of a source: the SHA-256 of its text, in hexadecimal. */
export function versionOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The key of the entry with a service's instances: `thumb`, or `thumb@dc2`. Tags are filtered later. */
export function serviceKey(query: Pick<ServiceQuery, "name" | "datacenter">): string {
  return query.datacenter === null ? query.name : `${query.name}@${query.datacenter}`;
}
