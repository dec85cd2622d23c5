/**
 * The door of the sandbox room: rewrite scripts in isolates (isolated-vm). What a script can do is
 * described in docs/scripts.md.
 */
export { checkScript, examineScript } from "./examine/check.ts";
export { Examiner } from "./examine/examiner.ts";
export { importsOf } from "./examine/imports.ts";
export { closureOf, Importers, imports, ModuleGraph, needsItself } from "./examine/module-graph.ts";
export { Verdicts } from "./examine/verdicts.ts";
export { createSandbox } from "./for-workers.ts";
export { defaultSandboxLimits } from "./limits.ts";
export type { Declared, Rollout, Schedule, TakeBackRule, Threshold } from "./run/declared.ts";
export { defaultTakeBack } from "./run/declared.ts";
export { describeFault } from "./run/faults.ts";
export type { SandboxOptions } from "./run/isolate-sandbox.ts";
export type {
  ExamineScript,
  FailedCase,
  HostScripts,
  ReplayOutcome,
  ReplayScript,
  Sandbox,
  Script,
  ScriptFault,
  ScriptTables,
  Steering,
} from "./sandbox.ts";
