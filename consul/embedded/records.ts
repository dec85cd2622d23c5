/** The records that the agent stores, in the spelling of Consul's HTTP API. No behaviour. */

export interface Indexed {
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

export type Status = "passing" | "warning" | "critical";

export interface NodeRecord extends Indexed {
  readonly ID: string;
  readonly Node: string;
  readonly Address: string;
  readonly TaggedAddresses: Readonly<Record<string, string>> | null;
  readonly Meta: Readonly<Record<string, string>> | null;
}

export interface ServiceAddress {
  readonly Address: string;
  readonly Port: number;
}

/** A service as it was registered, at an agent or in the catalog. */
export interface Service {
  readonly ID: string;
  readonly Service: string;
  readonly Tags: readonly string[];
  readonly Address: string;
  readonly TaggedAddresses: Readonly<Record<string, ServiceAddress>> | null;
  readonly Meta: Readonly<Record<string, string>> | null;
  readonly Port: number;
  readonly Weights: { readonly Passing: number; readonly Warning: number };
  readonly EnableTagOverride: boolean;
}

export interface ServiceRecord extends Service, Indexed {
  readonly Node: string;
}

export interface Check {
  readonly Node: string;
  readonly CheckID: string;
  readonly Name: string;
  readonly Status: Status;
  readonly Notes: string;
  readonly Output: string;
  /** Empty: a check of the node. */
  readonly ServiceID: string;
  readonly ServiceName: string;
  readonly ServiceTags: readonly string[];
  readonly Type: string;
}

export interface CheckRecord extends Check, Indexed {}

/** How a check of this agent's runs. Times in milliseconds; 0: not given. */
export interface CheckDefinition {
  readonly checkId: string;
  readonly name: string;
  readonly notes: string;
  readonly serviceId: string;
  readonly kind: "ttl" | "http" | "tcp" | "maintenance";
  readonly ttlMs: number;
  readonly http: string;
  readonly method: string;
  readonly header: Readonly<Record<string, readonly string[]>>;
  readonly body: string;
  readonly tlsSkipVerify: boolean;
  readonly tcp: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly deregisterAfterMs: number;
  readonly successBeforePassing: number;
  readonly failuresBeforeCritical: number;
}

export interface KvRecord extends Indexed {
  readonly LockIndex: number;
  readonly Key: string;
  readonly Flags: number;
  /** Base64; `null` when empty. */
  readonly Value: string | null;
  readonly Session?: string;
}

export interface SessionRecord extends Indexed {
  readonly ID: string;
  readonly Name: string;
  readonly Node: string;
  /** Nanoseconds. */
  readonly LockDelay: number;
  readonly Behavior: "release" | "delete";
  /** As it was given, for example `10s`; empty: never expires. */
  readonly TTL: string;
  readonly NodeChecks: readonly string[];
  readonly ServiceChecks: readonly string[] | null;
}

/** Every table and the type of its rows. The row's key is beside it. */
export interface Tables {
  /** Key: the node's name. */
  node: NodeRecord;
  /** Key: `rowKey(node, service id)`. */
  service: ServiceRecord;
  /** Key: `rowKey(node, check id)`. */
  check: CheckRecord;
  /** Services of this agent. Key: the service's ID. */
  agentService: Service;
  /** Checks of this agent. Key: the check's ID. */
  agentCheck: CheckDefinition;
  /** Key: the key. */
  kv: KvRecord;
  /** Deleted keys. Key: the key, value: the index of its deletion. */
  tombstone: number;
  /** Key: the session's ID. */
  session: SessionRecord;
  /** The last change of a table or of one service. Key: `nodes`, `service:web`, ... */
  index: number;
  /** What the agent knows of itself. Key: `nodeName`, `nodeId`. */
  self: string;
}

export type TableName = keyof Tables;

export const tableNames: readonly TableName[] = [
  "node",
  "service",
  "check",
  "agentService",
  "agentCheck",
  "kv",
  "tombstone",
  "session",
  "index",
  "self",
];

/** The key of a row that belongs to a node. */
export function rowKey(node: string, id: string): string {
  return `${node}\n${id}`;
}
