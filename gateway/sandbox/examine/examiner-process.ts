/** The process of an `ExaminerLane`: examines the sources that it is sent, one after the other. */
import type { FailedRequest, TenantPolicy } from "../../model/index.ts";
import type { SandboxLimits, ScriptTables } from "../sandbox.ts";
import { createExaminerTools, type Examined, examineWithin } from "./check.ts";

export interface ToExaminer {
  readonly host: string;
  readonly tables: ScriptTables;
  readonly limits: SandboxLimits;
  readonly budgetMs: number;
  /** Requests to be tried instead of the script's tests. */
  readonly requests?: readonly FailedRequest[];
  readonly tenants: TenantPolicy | null;
}

/** The first message says that the process has started; each other one answers what it was sent. */
export type FromExaminer = "started" | Examined;

const tools = createExaminerTools();

function say(message: FromExaminer): void {
  process.send?.(message);
}

async function answer({ budgetMs, ...what }: ToExaminer): Promise<void> {
  say(await examineWithin(budgetMs, { ...what, tools }));
}

process.on("message", (message: ToExaminer) => void answer(message));
// Not `process.exit`: it would wait for a thread that runs for ever.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
say("started");
