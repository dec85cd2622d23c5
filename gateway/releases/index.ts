/**
 * The door of the room that decides how something new becomes live: how versions come into service, widen, are
 * taken back and are remembered. docs/scripts.md and docs/documents.md tell it to operators.
 */

export { servedDocument } from "./documents/document-releases.ts";
export { type HostCount, ScriptCounters } from "./failing/counters.ts";
export type { WorkerScriptReport } from "./failing/error-rates.ts";
export { SourceMissing, SourceRefused } from "./operations/errors.ts";
export type { Listed, Pushed } from "./operations/operations.ts";
export { Operations } from "./operations/operations.ts";
export { type PeerChange, PeerOperations } from "./operations/peer-operations.ts";
export { eraseTypes, sourceText } from "./operations/source-text.ts";
export type { History } from "./records/history.ts";
export {
  entryKinds,
  isSubject,
  type Subject,
  type SubjectKind,
  subjectKinds,
} from "./records/keys.ts";
export { type Kv, Records, type StoredSource, WriteConflict } from "./records/records.ts";
export type { RefusedVersion } from "./refusals.ts";
export { Releases, withClosed } from "./releases.ts";
export { withSchedule } from "./schedule/schedule.ts";
export type { ReleaseStatus, ScriptStatus } from "./serving/status.ts";
export { withoutUnexamined } from "./serving/unexamined.ts";
export { withoutForeign } from "./tenancy.ts";
