/** The door of the Consul room: the client, the sources of the desired state, errors as one line. */
export { ConsulClient, createConsul } from "./client.ts";
export { readOwnDatacenter } from "./datacenters.ts";
export type { ConsulOptions, Environment, TlsOptions } from "./environment.ts";
export { ConsulOptionsError } from "./environment.ts";
export type { ConsulErrorCode } from "./errors.ts";
export { ConsulError, describeConsulError } from "./errors.ts";
export type { RefusedKey } from "./folder.ts";
export type { KvEntry, KvWrite } from "./kv-writes.ts";
export { KvStore } from "./kv-writes.ts";
export { Presence } from "./presence.ts";
export type { ConsulSourcesOptions, ConsulSourcesStatus, HeldEntry } from "./sources.ts";
export { ConsulSources } from "./sources.ts";
export type { WatchStatus } from "./watch.ts";
