/**
 * The door of the life room: how versions of scripts come into service, widen, are taken back and are
 * remembered. docs/scripts.md tells it to operators.
 */

export { withSchedule } from "./examining/examine.ts";
export type { HostCount } from "./failing/counters.ts";
export type { WorkerScriptReport } from "./failing/error-rates.ts";
export { eraseTypes } from "./operations/erase-types.ts";
export { SourceMissing, SourceRefused } from "./operations/errors.ts";
export type { Listed, Pushed, Shown } from "./operations/operations.ts";
export { Operations } from "./operations/operations.ts";
export { sourceText } from "./operations/source-text.ts";
export type { History, HistoryEntry, Outcome } from "./records/history.ts";
export { type Subject, versionOf } from "./records/keys.ts";
export { type Kv, Records, WriteConflict } from "./records/records.ts";
export { scheduleFault } from "./schedule/schedule.ts";
export { HostReleases } from "./serving/host-releases.ts";
export type { ReleaseStatus } from "./serving/status.ts";
