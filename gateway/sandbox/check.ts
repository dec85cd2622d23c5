/**
 * Tries a script in a throw-away isolate on other threads, as the primary does before a version goes
 * live: loads it and runs the cases of its `tests`. Runs no request.
 */
import ivm from "isolated-vm";
import { type Blank, createBlank } from "./blank.ts";
import { runCases } from "./case-run.ts";
import { parseCases } from "./cases.ts";
import { faultOf, ScriptError } from "./faults.ts";
import { defaultSandboxLimits, loadTimeoutFactor } from "./limits.ts";
import { loadLater } from "./loading.ts";
import type { Examination, SandboxLimits, ScriptFault, ScriptTables } from "./sandbox.ts";
import { SyntaxReader } from "./syntax.ts";

/** Whatever a script does while it is tried, it is over after this many times its time limit. */
const deadlineFactor = 10;

/** What examinations share. */
export interface ExaminerTools {
  readonly blank: Blank;
  readonly reader: SyntaxReader;
}

export function createExaminerTools(): ExaminerTools {
  return { blank: createBlank(), reader: new SyntaxReader() };
}

/** The fault of `examineScript`: `null` when the script is good. */
export async function checkScript(
  host: string,
  tables: ScriptTables,
  limits: SandboxLimits = defaultSandboxLimits,
): Promise<ScriptFault | null> {
  return (await examineScript(host, tables, limits)).fault;
}

/**
 * Compiles, links and evaluates the script of `host`, validates its exports and runs its tests.
 * Resolves to what was found, with the place of a fault. Does not reject.
 */
export async function examineScript(
  host: string,
  tables: ScriptTables,
  limits: SandboxLimits = defaultSandboxLimits,
  tools: ExaminerTools = createExaminerTools(),
): Promise<Examination> {
  const key = `scripts/${host}`;
  const source = tables.script.get(host);
  if (source === undefined) {
    return refused({ key, line: 0, column: 0, message: "there is no such key" });
  }
  const { text } = source;
  const isolate = new ivm.Isolate({ memoryLimit: limits.memoryMb, snapshot: tools.blank });
  const timeoutMs = limits.callTimeoutMs * loadTimeoutFactor;
  const loadMs = deadlineMs(limits);
  try {
    const loading = loadLater({
      isolate,
      key,
      text,
      modules: tables.module,
      settings: JSON.stringify(Object.fromEntries(tables.setting)),
      timeoutMs,
      reader: tools.reader,
    });
    const loaded = await before(loadMs, loading, key, "load");
    const cases = readCases(loaded.tests, host, key);
    const settings = tables.setting;
    const running = runCases(cases, {
      loaded,
      key,
      text,
      settings,
      timeoutMs: limits.callTimeoutMs,
    });
    const casesMs = loadMs + cases.length * timeoutMs;
    const fault = await before(casesMs, running, key, "finish its tests");
    return { fault, declared: loaded.declared, passed: fault === null ? cases.length : 0 };
  } catch (error) {
    return refused(faultOf(key, error, timeoutMs));
  } finally {
    if (!isolate.isDisposed) isolate.dispose();
  }
}

/** How long loading may take, whatever a script does meanwhile; its cases have more on top. */
export function deadlineMs(limits: SandboxLimits): number {
  return limits.callTimeoutMs * loadTimeoutFactor * deadlineFactor;
}

function refused(fault: ScriptFault): Examination {
  return { fault, declared: null, passed: 0 };
}

function readCases(value: unknown, host: string, key: string) {
  try {
    return parseCases(value, host);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ScriptError({ key, line: 0, column: 0, message });
  }
}

/** @throws ScriptError when it takes longer. */
async function before<T>(ms: number, work: Promise<T>, key: string, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const deadline = setTimeout(() => {
    const message = `did not ${what} within ${ms} ms`;
    late.reject(new ScriptError({ key, line: 0, column: 0, message }));
  }, ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(deadline);
  }
}
