/** The door of the state room: the desired state as plain data, its documents and its messages. */
export type {
  Change,
  Delta,
  Entries,
  Instance,
  Json,
  Kind,
  ServiceQuery,
  Snapshot,
  Source,
  Tables,
} from "./change.ts";
export { serviceKey } from "./change.ts";
export type { HostDocument, PathRule, Share } from "./host-document.ts";
export type {
  ScriptReport,
  ToPrimary,
  ToWorker,
  WorkerReport,
  WorkerSettings,
} from "./messages.ts";
export { parseServiceName } from "./service-name.ts";
export type { Level, Server, UpstreamDocument } from "./upstream-document.ts";
