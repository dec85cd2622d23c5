/**
 * The door of the sandbox room: rewrite scripts in isolates (isolated-vm). What a script can do is
 * described in docs/scripts.md.
 */
import { createHash } from "node:crypto";

export { checkScript, examineScript } from "./check.ts";
export type { Declared, Rollout, Schedule, TakeBackRule, Threshold } from "./declared.ts";
export { defaultTakeBack } from "./declared.ts";
export { Examiner } from "./examiner.ts";
export { describeFault } from "./faults.ts";
export { createSandbox } from "./for-workers.ts";
export { importsOf } from "./imports.ts";
export type { SandboxOptions } from "./isolate-sandbox.ts";
export { defaultSandboxLimits } from "./limits.ts";
export { closureOf, Importers, imports, ModuleGraph, needsItself } from "./module-graph.ts";
export type {
  CheckScript,
  Examination,
  ExamineScript,
  FailedCase,
  ReplayOutcome,
  ReplayScript,
  Sandbox,
  SandboxLimits,
  Script,
  ScriptFault,
  ScriptLog,
  ScriptTables,
  Steering,
} from "./sandbox.ts";

export { Verdicts } from "./verdicts.ts";

/** The version of a source text: its SHA-256, hexadecimal. */
export function contentVersion(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
