/** One worker process as the primary sees it: its life, its last report and the messages to it. */
import type { ChildProcess, SendHandle } from "node:child_process";
import type { ToPrimary, ToWorker, WorkerReport } from "../model/index.ts";
import type { Hearing } from "./last-words.ts";

export type WorkerState = "starting" | "listening" | "draining";

export interface WorkerProcessOptions {
  /** No other worker of this boot has it. */
  readonly id: number;
  readonly child: ChildProcess;
  /** Which of the places, from 1 on, it fills. */
  readonly slot: number;
  readonly idPrefix: string;
  readonly hearing: Hearing;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  readonly onMessage: (process: WorkerProcess, message: ToPrimary) => void;
  readonly onExit: (process: WorkerProcess, how: string) => void;
}

export class WorkerProcess {
  readonly id: number;
  readonly pid: number;
  readonly slot: number;
  readonly idPrefix: string;
  readonly startedMs: number;
  /** Resolves when the process has ended. */
  readonly exited: Promise<void>;
  /** Resolves to true when it listens, to false when it ended before. */
  readonly listening: Promise<boolean>;
  readonly #child: ChildProcess;
  readonly #hearing: Hearing;
  readonly #nowMs: () => number;
  readonly #heardListening: () => void;
  #state: WorkerState = "starting";
  #report: WorkerReport | null = null;
  #heardMs: number;

  constructor(options: WorkerProcessOptions) {
    const { id, child, onMessage, onExit } = options;
    this.#child = child;
    this.#hearing = options.hearing;
    this.#nowMs = options.nowMs;
    this.id = id;
    this.pid = child.pid ?? 0;
    this.slot = options.slot;
    this.idPrefix = options.idPrefix;
    this.startedMs = this.#nowMs();
    this.#heardMs = this.startedMs;
    const exit = Promise.withResolvers<void>();
    const listening = Promise.withResolvers<boolean>();
    this.exited = exit.promise;
    this.listening = listening.promise;
    this.#heardListening = () => listening.resolve(true);
    const end = (how: string) => {
      listening.resolve(false);
      exit.resolve();
      onExit(this, how);
    };
    child.once("exit", (code, signal) => end(signal ? `by ${signal}` : `with status ${code}`));
    // Forking can fail too (EAGAIN): then there is an error and never an exit.
    child.on("error", (error) => {
      if (this.pid === 0) end(`before it began: ${error.message}`);
    });
    child.on("message", (message: ToPrimary) => {
      this.#heardMs = this.#nowMs();
      this.#note(message);
      onMessage(this, message);
    });
  }

  get state(): WorkerState {
    return this.#state;
  }

  /** `null` before the first. */
  get report(): WorkerReport | null {
    return this.#report;
  }

  /** Milliseconds since its last message. */
  get silentMs(): number {
    return this.#nowMs() - this.#heardMs;
  }

  /** Its silence until now does not count against it. */
  excuseSilence(): void {
    this.#heardMs = this.#nowMs();
  }

  send(message: ToWorker): void {
    if (!this.#child.connected) return;
    // A worker that has just died is no failure of the message: its replacement starts from a snapshot.
    this.#child.send(message, () => {});
  }

  /** The same with a handle, which stays open here. */
  sendWith(message: ToWorker, handle: SendHandle): void {
    if (this.#child.connected) this.#child.send(message, handle, { keepOpen: true }, () => {});
  }

  /** Asks it to finish what runs; kills it when it is still there `graceMs` after the deadline. */
  async drain(deadlineMs: number, graceMs: number): Promise<void> {
    this.#state = "draining";
    this.send({ type: "drain", deadlineMs });
    const timer = setTimeout(() => this.kill(), deadlineMs + graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** The same, for a reason that is the fault of the script that it is in, if any. */
  killFor(reason: string): void {
    this.#hearing.blame(reason);
    this.kill();
  }

  #note(message: ToPrimary): void {
    if (message.type === "report") this.#report = message.report;
    if (message.type !== "listening" || this.#state !== "starting") return;
    this.#state = "listening";
    this.#heardListening();
  }
}
