/**
 * The door of the life room: how versions of scripts come into service, widen, are taken back and are
 * remembered. docs/scripts.md tells it to operators.
 */
export type { WorkerScriptReport } from "./error-rates.ts";
export { withSchedule } from "./examine.ts";
export type { History, HistoryEntry, Outcome } from "./history.ts";
export { type Subject, versionOf } from "./keys.ts";
export type { LifeStatus } from "./lives.ts";
export { Lives } from "./lives.ts";
export type { Listed, Pushed, Shown } from "./operations.ts";
export {
  eraseTypes,
  Operations,
  SourceMissing,
  SourceRefused,
  subjectOf,
} from "./operations.ts";
export { scheduleFault } from "./schedule.ts";
export { type Kv, LifeConflict, LifeStore } from "./store.ts";
