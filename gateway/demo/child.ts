/**
 * A process that the demo started: its start, its end, and that it ends with the demo. Knows nothing
 * of what the process does.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LeashMessage, leashVariable } from "./leash-terms.ts";

export interface ChildOptions {
  readonly name: string;
  /** Node's arguments: a file and what it takes. */
  readonly args: readonly string[];
  /** The demo's own directory; the child's output goes to a file there. */
  readonly directory: string;
}

const leash = new URL("leash.ts", import.meta.url).href;

export class Child {
  readonly name: string;
  readonly pid: number;
  /** Resolves to how it ended: `status 1` or `SIGKILL`. */
  readonly ended: Promise<string>;
  readonly #process: ChildProcess;
  readonly #logFile: string;
  #end: string | null = null;

  private constructor(name: string, child: ChildProcess, pid: number, logFile: string) {
    this.name = name;
    this.pid = pid;
    this.#process = child;
    this.#logFile = logFile;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.ended = promise;
    child.once("exit", (status, signal) => {
      this.#end = signal ?? `status ${status}`;
      resolve(this.#end);
    });
  }

  /**
   * Starts a process in a group of its own: a Ctrl-C at the terminal reaches the demo alone, which
   * then ends its children in order. Rejects when it cannot be started.
   */
  static async start(options: ChildOptions): Promise<Child> {
    const { name, args, directory } = options;
    const logFile = join(directory, `${name}.log`);
    const output = openSync(logFile, "a");
    try {
      const child = spawn(process.execPath, ["--disable-sigusr1", "--import", leash, ...args], {
        cwd: fileURLToPath(new URL("../..", import.meta.url)),
        detached: true,
        env: { ...plainEnvironment(process.env), [leashVariable]: "1" },
        stdio: ["ignore", output, output, "ipc"],
      });
      await once(child, "spawn");
      // A message that comes too late for a child that died is no failure of the demo's.
      child.on("error", () => undefined);
      child.send({ directory } satisfies LeashMessage, () => undefined);
      if (child.pid === undefined) throw new Error(`${name} has no process id`);
      return new Child(name, child, child.pid, logFile);
    } finally {
      closeSync(output);
    }
  }

  /** How it ended; `null` while it runs. */
  get end(): string | null {
    return this.#end;
  }

  /** Resolves to the first message that the process sends; rejects when it ends before. */
  async message(): Promise<unknown> {
    const [message] = await Promise.race([
      once(this.#process, "message"),
      this.ended.then((end) => {
        throw new Error(`${this.name} ended with ${end}`);
      }),
    ]);
    return message;
  }

  /** The last lines that it wrote. */
  lastLines(count: number): readonly string[] {
    return readFileSync(this.#logFile, "utf8").trimEnd().split("\n").slice(-count);
  }

  /** SIGTERM, and SIGKILL to it and its own children when it has not ended after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    if (this.#end === null) {
      this.#process.kill("SIGTERM");
      const timer = setTimeout(() => this.kill(), graceMs);
      await this.ended;
      clearTimeout(timer);
    }
    // One that was killed had no chance to end what it had started itself.
    if (this.#end?.startsWith("SIG")) this.kill();
  }

  /** SIGKILL to the whole process group, at once. */
  kill(): void {
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch (error) {
      // ESRCH: nobody of the group is left, which is what is wanted.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }
}

/**
 * The demo is the same everywhere: settings meant for a real gateway or Consul do not reach it. And it is the
 * demo that ends with npm; its children end with it.
 */
function plainEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(SLUICE|CONSUL|npm)_/.test(name)),
  );
}
