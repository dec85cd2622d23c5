/**
 * Examines scripts in a process of its own, which can be killed: V8 does not interrupt everything that
 * a hostile top level may do, and some of it ends the process that does it. The process is started
 * when there is something to examine and ended when there has been nothing for a while.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { maxCases } from "./cases.ts";
import { deadlineMs } from "./check.ts";
import type { FromExaminer, ToExaminer } from "./examiner-process.ts";
import { tooManyModules } from "./linking.ts";
import { modulesFor } from "./module-graph.ts";
import type { Examination, SandboxLimits, ScriptFault, ScriptTables } from "./sandbox.ts";

const entry = fileURLToPath(new URL("./examiner-process.ts", import.meta.url));
/** For the process to start and to answer; what it examines has a deadline of its own. */
const graceMs = 10_000;
const idleMs = 30_000;

export class Examiner {
  readonly #limits: SandboxLimits;
  /** One at a time: a script that takes the process with it takes no other's examination. */
  #last: Promise<unknown> = Promise.resolve();
  #child: ChildProcess | null = null;
  #idle: NodeJS.Timeout | undefined;

  constructor(limits: SandboxLimits) {
    this.#limits = limits;
  }

  /** As `examineScript`, to which it adds the fault of a script that ends or outlasts the process. */
  examine(host: string, tables: ScriptTables): Promise<Examination> {
    const turn = this.#last.then(() => this.#examine(host, tables));
    this.#last = turn;
    return turn;
  }

  /** The fault of `examine`. */
  async check(host: string, tables: ScriptTables): Promise<ScriptFault | null> {
    return (await this.examine(host, tables)).fault;
  }

  /** Ends the process. What is examined now is refused. */
  close(): void {
    clearTimeout(this.#idle);
    this.#child?.kill("SIGKILL");
    this.#child = null;
  }

  async #examine(host: string, tables: ScriptTables): Promise<Examination> {
    clearTimeout(this.#idle);
    const source = tables.script.get(host);
    const script = new Map(source === undefined ? [] : [[host, source]]);
    const module = source === undefined ? new Map() : modulesFor(source, tables.module);
    if (module === null) return refused(host, tooManyModules);
    const { setting } = tables;
    const message: ToExaminer = { host, tables: { script, module, setting }, limits: this.#limits };
    try {
      // The process may have been ended for reasons of its own: a script must do it twice.
      return (
        (await this.#tryOnce(message)) ?? (await this.#tryOnce(message)) ?? refused(host, ended)
      );
    } finally {
      this.#idle = setTimeout(() => this.close(), idleMs).unref();
    }
  }

  /** `null` when the process ended, or had to be ended, instead of an answer. */
  async #tryOnce(message: ToExaminer): Promise<Examination | null> {
    const child = this.#child ?? this.#start();
    child.ref();
    child.channel?.ref();
    const answer = await this.#ask(child, message);
    // A process that has nothing to do keeps no other alive.
    child.unref();
    child.channel?.unref();
    if (answer === null || answer.isSpent) this.close();
    return answer?.examination ?? null;
  }

  #start(): ChildProcess {
    const child = fork(entry, [], {
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      // Flags of this process (a profiler's, an inspector's port) are not meant for it.
      execArgv: ["--disable-sigusr1"],
      env: withoutConsulToken(process.env),
    });
    const lose = () => {
      if (this.#child === child) this.#child = null;
    };
    // Forking can fail too (EAGAIN): then there is an error and never an exit.
    child.once("exit", lose).on("error", lose);
    this.#child = child;
    return child;
  }

  async #ask(child: ChildProcess, message: ToExaminer): Promise<FromExaminer | null> {
    const { promise, resolve } = Promise.withResolvers<FromExaminer | null>();
    const give = (answer: unknown) => resolve(answer as FromExaminer);
    const giveUp = () => resolve(null);
    const deadline = setTimeout(giveUp, longestMs(this.#limits) + graceMs);
    child.once("message", give).once("exit", giveUp).once("error", giveUp);
    child.send(message, (error) => {
      if (error !== null) giveUp();
    });
    const answer = await promise;
    clearTimeout(deadline);
    child
      .removeListener("message", give)
      .removeListener("exit", giveUp)
      .removeListener("error", giveUp);
    return answer;
  }
}

const ended = "it ends the process that examines it, or cannot be ended";

function refused(host: string, message: string): Examination {
  const fault = { key: `scripts/${host}`, line: 0, column: 0, message };
  return { fault, declared: null, passed: 0 };
}

/** Loading, and as many cases as there can be. */
function longestMs(limits: SandboxLimits): number {
  return deadlineMs(limits) * (2 + maxCases / 10);
}

/** Scripts of operators run there; Consul's token has no business with them. */
function withoutConsulToken(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...environment, CONSUL_HTTP_TOKEN: undefined, CONSUL_HTTP_AUTH: undefined };
}
