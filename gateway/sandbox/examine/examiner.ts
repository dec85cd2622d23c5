/**
 * Examines scripts in two processes. Every source begins in the quick lane with a small part of its budget; a
 * source that needs more goes on in the other lane, with all of it. So a slow source, or one that has to be
 * ended with its process, delays only others like it. Keys take turns in both lanes.
 */
import { availableParallelism } from "node:os";
import type { FailedRequest, TenantPolicy } from "../../model/index.ts";
import { tooManyModules } from "../run/linking.ts";
import type {
  Examination,
  ReplayOutcome,
  SandboxLimits,
  ScriptFault,
  ScriptTables,
} from "../sandbox.ts";
import { budgetMs, loadTimeoutMs } from "./check.ts";
import { ExaminerLane } from "./examiner-lane.ts";
import type { ToExaminer } from "./examiner-process.ts";
import { modulesFor } from "./module-graph.ts";

/** Processor time of a first try. A good script takes about ten milliseconds. */
const quickMs = 100;
/**
 * The limit of a first try on the clock. Beyond it the process is ended, because its thread may be in the
 * parser.
 */
const quickWaitMs = 2_000;
/** How much longer a process may take to answer when its examination should be over. */
const graceMs = 10_000;
const maxSlow = 1_000;

const ended = "it ends the process that examines it, or cannot be ended";

export interface ExaminerOptions {
  /** Whether the other lane helps out when nothing slow waits. Default: where there are two processors. */
  readonly helps?: boolean;
  /** Which script may use what. Default, or `null`: each may use all. */
  readonly tenants?: TenantPolicy | null;
}

interface Job {
  readonly message: ToExaminer;
  readonly isWanted: () => boolean;
  readonly resolve: (examination: Examination) => void;
}

export class Examiner {
  readonly #limits: SandboxLimits;
  readonly #helps: boolean;
  readonly #tenants: TenantPolicy | null;
  readonly #quick = new FairQueue<Job>();
  readonly #slow = new FairQueue<Job>();
  readonly #lanes = { quick: new ExaminerLane(), slow: new ExaminerLane() };
  /** Hosts whose last source needed more than a first try. */
  readonly #slowHosts = new Set<string>();
  #isClosed = false;

  constructor(limits: SandboxLimits, options: ExaminerOptions = {}) {
    this.#limits = limits;
    this.#tenants = options.tenants ?? null;
    this.#helps = options.helps ?? availableParallelism() > 1;
  }

  /**
   * As `examineScript`, to which it adds the fault of a script that ends or outlasts the process.
   * @param isWanted asked when its turn comes: a source that was replaced meanwhile is not examined.
   */
  examine(
    host: string,
    tables: ScriptTables,
    isWanted: () => boolean = () => true,
  ): Promise<Examination> {
    return this.#ask(host, tables, isWanted);
  }

  /** Calls a script with requests that failed, instead of its tests: a `ReplayScript`. */
  async replay(
    host: string,
    tables: ScriptTables,
    requests: readonly FailedRequest[],
  ): Promise<readonly ReplayOutcome[] | null> {
    return (await this.#ask(host, tables, () => true, requests)).replayed ?? null;
  }

  #ask(
    host: string,
    tables: ScriptTables,
    isWanted: () => boolean,
    requests?: readonly FailedRequest[],
  ): Promise<Examination> {
    const source = tables.script.get(host);
    const script = new Map(source === undefined ? [] : [[host, source]]);
    const module = source === undefined ? new Map() : modulesFor(source, tables.module);
    if (module === null) return Promise.resolve(refused(host, tooManyModules));
    if (this.#isClosed) return Promise.resolve(refused(host, ended));
    const { promise, resolve } = Promise.withResolvers<Examination>();
    const message: ToExaminer = {
      host,
      tables: { script, module, setting: tables.setting },
      limits: this.#limits,
      budgetMs: quickMs,
      ...(requests === undefined ? {} : { requests }),
      tenants: this.#tenants,
    };
    const queue = this.#slowHosts.has(host) ? this.#slow : this.#quick;
    queue.add(host, { message, isWanted, resolve });
    this.#next();
    return promise;
  }

  /** The fault of `examine`. */
  async check(host: string, tables: ScriptTables): Promise<ScriptFault | null> {
    return (await this.examine(host, tables)).fault;
  }

  /** Ends the processes. What is examined now, or waits, is refused. */
  close(): void {
    this.#isClosed = true;
    for (const { message, resolve } of [...this.#quick.clear(), ...this.#slow.clear()]) {
      resolve(refused(message.host, ended));
    }
    for (const lane of Object.values(this.#lanes)) lane.close();
  }

  #next(): void {
    const { quick, slow } = this.#lanes;
    if (!quick.isBusy) {
      const job = take(this.#quick);
      if (job !== null) void this.#try(quick, job);
    }
    if (slow.isBusy) return;
    const job = take(this.#slow);
    if (job !== null) {
      void this.#examine(slow, job);
    } else if (this.#helps) {
      const other = take(this.#quick);
      if (other !== null) void this.#try(slow, other);
    }
  }

  /** With a small part of the budget. */
  async #try(lane: ExaminerLane, job: Job): Promise<void> {
    const { message, resolve } = job;
    const { host } = message;
    const answer = await lane.examine(message, quickWaitMs);
    if (this.#isClosed) resolve(refused(host, ended));
    else if (typeof answer === "string" || answer.isOver || answer.isStuck) {
      this.#slowHosts.delete(host);
      this.#slowHosts.add(host);
      for (const oldest of this.#slowHosts) {
        if (this.#slowHosts.size <= maxSlow) break;
        this.#slowHosts.delete(oldest);
      }
      this.#slow.add(host, job);
    } else resolve(answer.examination);
    this.#next();
  }

  /** With all of it. */
  async #examine(lane: ExaminerLane, job: Job): Promise<void> {
    const { host } = job.message;
    const all = budgetMs(this.#limits);
    const waitMs = 5 * (all + 2 * loadTimeoutMs(this.#limits)) + graceMs;
    const message = { ...job.message, budgetMs: all };
    const beganMs = performance.now();
    let answer = await lane.examine(message, waitMs);
    // The process may have ended for another reason, so a script is at fault only the second time.
    if (answer === "ended" && !this.#isClosed) answer = await lane.examine(message, waitMs);
    if (performance.now() - beganMs < quickMs) this.#slowHosts.delete(host);
    job.resolve(typeof answer === "string" ? refused(host, ended) : answer.examination);
    this.#next();
  }
}

/** The next job whose source is still wanted. */
function take(queue: FairQueue<Job>): Job | null {
  for (let job = queue.take(); job !== null; job = queue.take()) {
    if (job.isWanted()) return job;
    job.resolve(refused(job.message.host, "another source came before it was examined"));
  }
  return null;
}

function refused(host: string, message: string): Examination {
  const fault = { key: `scripts/${host}`, line: 0, column: 0, message };
  return { fault, declared: null, passed: 0 };
}

/** Work that waits, by key: keys take turns, however much one of them has. */
export class FairQueue<T> {
  /** In the order of their turns. */
  readonly #keys = new Map<string, T[]>();

  add(key: string, item: T): void {
    const items = this.#keys.get(key);
    if (items === undefined) this.#keys.set(key, [item]);
    else items.push(item);
  }

  /** The oldest work of the key whose turn it is; all other keys then come before it. `null` when nothing waits. */
  take(): T | null {
    for (const [key, [item, ...rest]] of this.#keys) {
      this.#keys.delete(key);
      if (rest.length > 0) this.#keys.set(key, rest);
      if (item !== undefined) return item;
    }
    return null;
  }

  /** Removes and returns everything that waits. */
  clear(): readonly T[] {
    const all = [...this.#keys.values()].flat();
    this.#keys.clear();
    return all;
  }
}
