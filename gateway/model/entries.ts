/** The values that the state is made of, as plain data. Which kinds of entry have them: `kinds.ts`. */

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
  /** An IP address or a name that the resolver knows. */
  readonly address: string;
  readonly port: number;
  /** 1 and up: Consul's `Weights.Passing` or, when a check warns, `Weights.Warning`. */
  readonly weight: number;
  readonly tags: readonly string[];
  /** The metadata that it was registered with; left out: none. */
  readonly meta?: Readonly<Record<string, string>>;
}

/** A source text out of KV. */
export interface Source {
  readonly text: string;
  /** SHA-256 of the text, hexadecimal. */
  readonly version: string;
  /** Consul's ModifyIndex of the key. */
  readonly modifyIndex: number;
  /** What is put into the text before it runs, to bound what syntax does. Found by the examination. */
  readonly checks?: string;
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

/** Which service a request or a document means; Consul's DNS forms name the same three. */
export interface ServiceQuery {
  readonly name: string;
  /** Only instances with this tag. */
  readonly tag: string | null;
  /** Another datacenter than the agent's own. */
  readonly datacenter: string | null;
}

/** The version of a source: the SHA-256 of its text, hexadecimal. */
export function versionOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The key of the entry that carries a service's instances: `thumb`, or `thumb@dc2`. Tags are filtered later. */
export function serviceKey(query: Pick<ServiceQuery, "name" | "datacenter">): string {
  return query.datacenter === null ? query.name : `${query.name}@${query.datacenter}`;
}
