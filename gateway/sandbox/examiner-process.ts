/** The process of `examiner.ts`: examines the scripts that it is sent, one after the other. */
import { createExaminerTools, deadlineMs, examineScript } from "./check.ts";
import type { Examination, SandboxLimits, ScriptTables } from "./sandbox.ts";

export interface ToExaminer {
  readonly host: string;
  readonly tables: ScriptTables;
  readonly limits: SandboxLimits;
}

export interface FromExaminer {
  readonly examination: Examination;
  /** What took so long may still be running, on a thread that nothing gives back. */
  readonly isSpent: boolean;
}

const tools = createExaminerTools();

async function answer({ host, tables, limits }: ToExaminer): Promise<void> {
  const started = performance.now();
  const examination = await examineScript(host, tables, limits, tools);
  const isSpent = performance.now() - started >= deadlineMs(limits);
  const message: FromExaminer = { examination, isSpent };
  process.send?.(message);
}

process.on("message", (message: ToExaminer) => void answer(message));
// Not `process.exit`: it would wait for a thread that runs for ever.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
