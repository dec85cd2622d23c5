/**
 * The door of the life room: how versions of scripts come into service, widen, are taken back and are
 * remembered. docs/scripts.md tells it to operators.
 */

export { eraseTypes } from "./erase-types.ts";
export type { WorkerScriptReport } from "./error-rates.ts";
export { SourceMissing, SourceRefused } from "./errors.ts";
export { withSchedule } from "./examine.ts";
export type { History, HistoryEntry, Outcome } from "./history.ts";
export { type Subject, versionOf } from "./keys.ts";
export type { LifeStatus } from "./life-status.ts";
export { Lives } from "./lives.ts";
export type { Listed, Pushed, Shown } from "./operations.ts";
export { Operations } from "./operations.ts";
export { scheduleFault } from "./schedule.ts";
export { sourceText } from "./source-text.ts";
export { type Kv, LifeConflict, LifeStore } from "./store.ts";
