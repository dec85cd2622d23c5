/**
 * Tries a script in a throw-away isolate on other threads, as the primary does before a version goes
 * live: loads it and runs the cases of its `tests`. Runs no request.
 */
import ivm from "isolated-vm";
import { type Border, type FailedRequest, type TenantPolicy, Tenants } from "../../model/index.ts";
import { defaultSandboxLimits, loadTimeoutFactor } from "../limits.ts";
import { type BaseSnapshot, createBaseSnapshot } from "../run/base-snapshot.ts";
import { faultOf, printable, ScriptError } from "../run/faults.ts";
import type { Part } from "../run/linking.ts";
import { type Loaded, loadLater } from "../run/loading.ts";
import type { Examination, SandboxLimits, ScriptFault, ScriptTables } from "../sandbox.ts";
import { Budget, OverBudget, timed, within } from "./budget.ts";
import { runCases } from "./case-run.ts";
import { CaseError, parseCases, placeOfCase } from "./cases.ts";
import { replayAll } from "./replay.ts";
import { SyntaxReader } from "./syntax.ts";

/** A script's top level is ended after this many times its time limit, in processor time, whatever it does. */
const deadlineFactor = 10;
/** For everything in the examination of a source, in processor time; more where a call may take longer. */
const leastBudgetMs = 2_000;

/** What examinations share. */
export interface ExaminerTools {
  readonly baseSnapshot: BaseSnapshot;
  readonly reader: SyntaxReader;
}

export function createExaminerTools(): ExaminerTools {
  return { baseSnapshot: createBaseSnapshot(), reader: new SyntaxReader() };
}

/** The outcome of an examination. */
export interface Examined {
  readonly examination: Examination;
  /** It exceeded its budget and was given up. */
  readonly isOver: boolean;
  /** A part of it may still be running, on a thread that nothing frees. */
  readonly isStuck: boolean;
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
): Promise<Examination> {
  const tools = createExaminerTools();
  return (await examineWithin(budgetMs(limits), { host, tables, limits, tools })).examination;
}

/** As `examineScript`, with a budget of its own in milliseconds of processor time. */
export async function examineWithin(
  budgetMs: number,
  given: {
    readonly host: string;
    readonly tables: ScriptTables;
    readonly limits: SandboxLimits;
    readonly tools: ExaminerTools;
    /** Requests with which the script is called instead of its tests. */
    readonly requests?: readonly FailedRequest[];
    /** Who may use what. Default, or `null`: everybody everything. */
    readonly tenants?: TenantPolicy | null;
  },
): Promise<Examined> {
  const { host, tables, limits, tools, requests } = given;
  const key = `scripts/${host}`;
  const source = tables.script.get(host);
  if (source === undefined) {
    return refused({ key, line: 0, column: 0, message: "there is no such key" });
  }
  const { text } = source;
  const { callTimeoutMs } = limits;
  const border = given.tenants ? borderOf(key, given.tenants) : null;
  const settings = border?.tenants.settingsOf(border.tenant, tables.setting) ?? tables.setting;
  const timeoutMs = loadTimeoutMs(limits);
  const budget = new Budget(budgetMs, timeoutMs);
  const isolates: ivm.Isolate[] = [];
  let isDone = false;
  const newIsolate = () => {
    if (isDone) throw new Error("the examination was given up");
    const isolate = new ivm.Isolate({ memoryLimit: limits.memoryMb, snapshot: tools.baseSnapshot });
    isolates.push(isolate);
    return isolate;
  };
  try {
    const loading = timed(timeoutMs, (timeoutMs, onEvaluate) =>
      loadLater({
        isolate: newIsolate(),
        key,
        text,
        modules: tables.module,
        settings: JSON.stringify(Object.fromEntries(settings)),
        tenants: border?.tenants ?? null,
        timeoutMs,
        onEvaluate,
        reader: tools.reader,
      }),
    );
    const loaded = await budget.hold(before(deadlineMs(limits), loading, key));
    if (requests !== undefined) {
      const onRequest = (number: number) =>
        budget.step(`: request ${number} is not reached in time`);
      const timeoutMs = callTimeoutMs;
      const replaying = replayAll(requests, { loaded, key, border, timeoutMs, onRequest });
      const replayed = await budget.hold(replaying);
      const examination = { fault: null, declared: loaded.declared, passed: 0, replayed };
      return { examination, isOver: false, isStuck: false };
    }
    const cases = readCases(loaded, host, { key, text });
    const onCase = (name: string, number: number) =>
      budget.step(
        `: test "${printable(name)}", ${number} of ${cases.length}, is not reached in time`,
      );
    const running = runCases(cases, {
      loaded,
      key,
      text,
      settings,
      border,
      timeoutMs: callTimeoutMs,
      onCase,
    });
    const fault = await budget.hold(running);
    const passed = fault === null ? cases.length : 0;
    const { declared, checks } = loaded;
    const examination = { fault, declared, passed, checks };
    return { examination, isOver: false, isStuck: false };
  } catch (error) {
    const found = refused(withHint(faultOf(key, error, timeoutMs)));
    if (error instanceof TooLong) return { ...found, isStuck: true };
    if (!(error instanceof OverBudget)) return found;
    const { message, isStuck } = error;
    return { ...refused({ key, line: 0, column: 0, message }), isOver: true, isStuck };
  } finally {
    isDone = true;
    for (const isolate of isolates) if (!isolate.isDisposed) isolate.dispose();
  }
}

/** The budget for the whole examination of a source, in milliseconds of processor time. */
export function budgetMs(limits: SandboxLimits): number {
  return Math.max(leastBudgetMs, 2 * loadTimeoutMs(limits));
}

/** How long a top level may run, as far as V8 ends it. */
export function loadTimeoutMs({ callTimeoutMs }: SandboxLimits): number {
  return callTimeoutMs * loadTimeoutFactor;
}

/** How much processor time loading may take, whatever a script does meanwhile. */
function deadlineMs(limits: SandboxLimits): number {
  return loadTimeoutMs(limits) * deadlineFactor;
}

function borderOf(key: string, policy: TenantPolicy): Border {
  const tenants = new Tenants(policy);
  return { tenants, tenant: tenants.ofSource(key) };
}

/** Says to somebody who wrote a module of CommonJS what a script is instead. */
function withHint(fault: ScriptFault): ScriptFault {
  if (!/^(?:ReferenceError: )?(?:module|exports|require) is not defined$/.test(fault.message))
    return fault;
  const hint =
    "a script is no CommonJS: export default stands for module.exports, import for require";
  return { ...fault, message: `${fault.message}: ${hint}` };
}

function refused(fault: ScriptFault): Examined {
  return { examination: { fault, declared: null, passed: 0 }, isOver: false, isStuck: false };
}

function readCases({ tests, syntax }: Loaded, host: string, { key, text }: Part) {
  try {
    return parseCases(tests, host);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const at = error instanceof CaseError ? error.index : null;
    throw new ScriptError({ key, ...placeOfCase({ at, name: "", text, syntax }), message });
  }
}

/** Loading took too long, and may still run: V8 does not interrupt everything. */
class TooLong extends ScriptError {}

/** @throws TooLong */
function before<T>(ms: number, work: Promise<T>, key: string): Promise<T> {
  const message = `did not load within ${ms} ms`;
  return within(work, ms, () => new TooLong({ key, line: 0, column: 0, message }));
}
