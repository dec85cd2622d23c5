/** The door of the Consul room: the client, the sources of the desired state, errors as one line. */
export { ConsulClient, createConsul } from "./api/client.ts";
export type { ConsulOptions, Environment, TlsOptions } from "./api/environment.ts";
export { ConsulOptionsError } from "./api/environment.ts";
export type { ConsulErrorCode } from "./api/errors.ts";
export { ConsulError, describeConsulError } from "./api/errors.ts";
export type { KvEntry, KvWrite } from "./api/kv-writes.ts";
export { KvStore } from "./api/kv-writes.ts";
export { Presence } from "./api/presence.ts";
export { type Health, SelfRegistration, type SelfService } from "./api/self-registration.ts";
export { readServiceEntries, type ServiceEntry } from "./api/self-services.ts";
export { type HeldLock, SessionLock } from "./api/session-lock.ts";
export type { RefusedKey } from "./keys/folder.ts";
export type { SourcesMemory } from "./memory.ts";
export { readOwnDatacenter } from "./services/datacenters.ts";
export type { UnusableInstance } from "./services/in-use.ts";
export type { ConsulSourcesOptions, ConsulSourcesStatus, HeldEntry } from "./sources.ts";
export { ConsulSources } from "./sources.ts";
export type { WatchStatus } from "./watching/watch.ts";
