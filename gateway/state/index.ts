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
export { maxDocumentBytes } from "./document.ts";
export type { DocumentErrorCode } from "./document-error.ts";
export { DocumentError } from "./document-error.ts";
export type { DocumentKind } from "./entry-name.ts";
export { folders, parseEntryName, parseHostName } from "./entry-name.ts";
export type { HostDocument, PathRule, Share } from "./host-document.ts";
export { parseHostDocument } from "./host-document.ts";
export { documentSchemas } from "./json-schema.ts";
export type {
  ScriptReport,
  ToPrimary,
  ToWorker,
  WorkerReport,
  WorkerSettings,
} from "./messages.ts";
export { parseServiceName } from "./service-name.ts";
export { parseSetting } from "./setting.ts";
export type { Level, Server, UpstreamDocument } from "./upstream-document.ts";
export { parseUpstreamDocument } from "./upstream-document.ts";
