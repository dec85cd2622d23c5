/**
 * One process that examines scripts, one at a time, and can be killed: V8 does not interrupt everything that a
 * hostile top level may do, and some of that ends the process. The lane starts the process when there is
 * something to examine and ends it when there has been nothing for a while.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Examined } from "./check.ts";
import type { FromExaminer, ToExaminer } from "./examiner-process.ts";

const entry = fileURLToPath(new URL("./examiner-process.ts", import.meta.url));
/** For the process to start, on a busy machine. */
const startMs = 20_000;
const idleMs = 30_000;

/** What came instead of an answer: the process ended by itself, or had to be ended because it did not answer. */
export type NoAnswer = "ended" | "late";

export class ExaminerLane {
  #child: { readonly process: ChildProcess; readonly started: Promise<boolean> } | null = null;
  #idle: NodeJS.Timeout | undefined;
  isBusy = false;

  /** @param waitMs for the answer of a process that has started. */
  async examine(message: ToExaminer, waitMs: number): Promise<Examined | NoAnswer> {
    this.isBusy = true;
    clearTimeout(this.#idle);
    const child = this.#child ?? this.#start();
    child.process.ref();
    child.process.channel?.ref();
    const answer = (await child.started) ? await ask(child.process, message, waitMs) : "ended";
    // An idle examining process keeps no other process alive.
    child.process.unref();
    child.process.channel?.unref();
    if (typeof answer === "string" || answer.isStuck) this.#end(child.process);
    this.#idle = setTimeout(() => this.close(), idleMs).unref();
    this.isBusy = false;
    return answer;
  }

  /** Ends the process. The examination that is under way gets no answer. */
  close(): void {
    clearTimeout(this.#idle);
    if (this.#child !== null) this.#end(this.#child.process);
  }

  #end(child: ChildProcess): void {
    child.kill("SIGKILL");
    if (this.#child?.process === child) this.#child = null;
  }

  #start(): { readonly process: ChildProcess; readonly started: Promise<boolean> } {
    const child = fork(entry, [], {
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      // Flags of this process (a profiler's, an inspector's port) are not meant for it.
      execArgv: ["--disable-sigusr1"],
      env: withoutConsulToken(process.env),
    });
    const lose = () => {
      if (this.#child?.process === child) this.#child = null;
    };
    // Forking can fail too (EAGAIN): then there is an error and never an exit.
    child.once("exit", lose).on("error", lose);
    const started = first(child, startMs).then((message) => message === "started");
    this.#child = { process: child, started };
    return this.#child;
  }
}

async function ask(
  child: ChildProcess,
  message: ToExaminer,
  waitMs: number,
): Promise<Examined | NoAnswer> {
  const answer = first(child, waitMs);
  const sent = Promise.withResolvers<"ended">();
  child.send(message, (error) => {
    if (error !== null) sent.resolve("ended");
  });
  const found = await Promise.race([answer, sent.promise]);
  return found === "started" ? "ended" : found;
}

/** The next message of a process, or what came instead. */
async function first(child: ChildProcess, waitMs: number): Promise<FromExaminer | NoAnswer> {
  const { promise, resolve } = Promise.withResolvers<FromExaminer | NoAnswer>();
  const give = (answer: unknown) => resolve(answer as FromExaminer);
  const giveUp = () => resolve("ended");
  const deadline = setTimeout(() => resolve("late"), waitMs);
  child.once("message", give).once("exit", giveUp).once("error", giveUp);
  const answer = await promise;
  clearTimeout(deadline);
  child
    .removeListener("message", give)
    .removeListener("exit", giveUp)
    .removeListener("error", giveUp);
  return answer;
}

/** Scripts of operators run there, so Consul's token must not be there. */
function withoutConsulToken(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...environment, CONSUL_HTTP_TOKEN: undefined, CONSUL_HTTP_AUTH: undefined };
}
