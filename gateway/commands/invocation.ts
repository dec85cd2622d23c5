/**
 * One run of the program: what it prints, what an error means to whoever started it, and the status that it ends with.
 * Which commands there are, `cli.ts` knows.
 */
import { Console } from "node:console";
import type { Writable } from "node:stream";
import { outputWritten } from "../observability/standard-output.ts";
import { type Output, printableLine, printableText } from "./printable.ts";
import { endWithStarter, takeLauncher } from "./starter.ts";

/** The parts of a process that a run has to do with. */
export interface InvocationOptions {
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable;
  readonly env: NodeJS.ProcessEnv;
  readonly exit: (status: number) => void;
}

export type Flags = Readonly<Record<string, unknown>>;

/** Resolves to the exit status. */
export type Run = (flags: Flags) => Promise<number>;

/**
 * What was asked for is not to be had: an argument, a setting or a variable is wrong, and nothing was tried. Told apart from what
 * failed (1), so that scripts see it, and supervisors need not start again what cannot start.
 */
const usageErrors: ReadonlySet<string> = new Set([
  "SettingsError",
  "UsageError",
  "ConsulOptionsError",
  "DockerAddressError",
  "RegistratorOptionError",
]);
const usageStatus = 2;

/** Errors that carry their whole message for the operator; any other is a defect and shows its stack. */
const expected: ReadonlySet<string> = new Set([
  ...usageErrors,
  "StartError",
  "CommandError",
  "DemoError",
  "ConsulError",
  "DocumentError",
  "WriteConflict",
  "SourceMissing",
  "StateFileError",
  "DockerUnreachableError",
]);

/** How long the last lines of a command that a signal ends may take. */
const lastLinesMs = 1_000;

export class Invocation {
  readonly output: Output & { readonly complain: (message: string) => void };
  readonly #options: InvocationOptions;
  readonly #console: Console;
  readonly #launcher: number;
  #status = 0;
  /** How long the end may take to write what was printed; `null`: as long as the reader takes. */
  #lastLinesMs: number | null = null;
  /** Why what was printed did not arrive. */
  #outputError: NodeJS.ErrnoException | null = null;

  constructor(options: InvocationOptions) {
    const { stdout, stderr, env } = options;
    this.#options = options;
    this.#console = new Console({ stdout: stderr, stderr });
    this.#launcher = takeLauncher(env);
    stdout.on("error", (error) => {
      this.#outputError ??= error;
    });
    // There is nobody left to tell.
    stderr.on("error", () => {});
    this.output = {
      print: (line) => void stdout.write(`${printableLine(line)}\n`),
      // To the letter for a program, and for a terminal without what would steer it.
      printText: (text) => void stdout.write(`${stdout.isTTY ? printableText(text) : text}\n`),
      complain: (message) => this.#console.error(`sluice: ${printableLine(oneLine(message))}`),
    };
  }

  /** Gives a command that runs to its end. `json` of its flags says which form its answer has. */
  running(run: Run): (flags: Flags) => Promise<void> {
    return async (flags) => {
      try {
        this.#status = await run({ ...flags, json: this.#isForProgram(flags) });
      } catch (error) {
        this.failed(error);
      }
    };
  }

  /** Gives a command that goes on until a signal ends it; then nothing may hold it up. */
  serving(run: Run): (flags: Flags) => Promise<void> {
    return async (flags) => {
      this.#lastLinesMs = lastLinesMs;
      endWithStarter(this.#launcher, this.#options.env);
      await this.running(run)(flags);
    };
  }

  /** Tells of the error, and makes it the outcome. */
  failed(error: unknown): void {
    const isExpected = error instanceof Error && expected.has(error.name);
    const isOfSystem = error instanceof Error && "syscall" in error;
    if (isExpected || isOfSystem) this.output.complain(error.message);
    else this.#console.error(error);
    this.#status = error instanceof Error && usageErrors.has(error.name) ? usageStatus : 1;
  }

  /** The line is wrong, which its reader has been told. */
  misused(): void {
    this.#status = usageStatus;
  }

  /** Ends the process when its output is written: connections that are kept do not delay it. */
  async end(): Promise<void> {
    const { stdout, stderr, exit } = this.#options;
    await outputWritten(stdout, this.#lastLinesMs);
    await outputWritten(stderr, this.#lastLinesMs);
    // A reader that has seen enough is no failure: `sluice status | head -1`.
    if (this.#outputError !== null && this.#outputError.code !== "EPIPE") {
      this.output.complain(`the output cannot be written: ${this.#outputError.message}`);
      this.#status ||= 1;
    }
    exit(this.#status);
  }

  /** Whether a program reads the answer, and not somebody at a terminal. */
  #isForProgram({ json, text }: Flags): boolean {
    return json === true || (text !== true && this.#options.stdout.isTTY !== true);
  }
}

/** Messages are one line each. */
function oneLine(message: string): string {
  const lines = message.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "").join(" ");
}
