/** The registrator as a process, with what it wrote to its log. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { until } from "./conditions.ts";

/** It asks Docker about every container first, which takes its time where much else runs. */
const readyWithinMs = 90_000;

export interface RegistratorProcess {
  /** The messages of its log so far. */
  messages(): readonly string[];
  /** SIGTERM; gives the exit code. May be called twice. */
  stop(): Promise<number | null>;
  /** kill -9. */
  kill(): Promise<void>;
  /** SIGSTOP: it sees nothing and answers nobody until `resume`. */
  suspend(): void;
  resume(): void;
}

/** Starts it and waits until it says that it is ready. Rejects with its log when it ends instead. */
export async function startRegistratorProcess(
  args: readonly string[],
): Promise<RegistratorProcess> {
  const program = join(import.meta.dirname, "registrator-process.ts");
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const onExit = () => child.kill("SIGKILL");
  process.once("exit", onExit);
  const messages: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => messages.push(messageOf(line)));
  // `close` comes when the last line has been read, too.
  const exited = once(child, "close");
  child.once("exit", () => process.off("exit", onExit));
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals) => {
    if (!hasEnded()) child.kill(signal);
    await exited;
    return child.exitCode;
  };
  try {
    await until("the registrator is ready", () => hasEnded() || messages.includes("ready"), {
      deadlineMs: readyWithinMs,
      describe: () => messages,
    });
  } catch (error) {
    // Nobody else knows of it, and it would keep the test run from ending.
    await end("SIGKILL");
    throw error;
  }
  if (hasEnded()) {
    await exited;
    const how = child.exitCode ?? child.signalCode;
    throw new Error(`the registrator ended with ${how}\n${messages.join("\n")}`);
  }
  return {
    messages: () => messages,
    stop: () => end("SIGTERM"),
    async kill() {
      await end("SIGKILL");
    },
    suspend: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
  };
}

function messageOf(line: string): string {
  const record: unknown = JSON.parse(line);
  return typeof record === "object" && record !== null ? String(Reflect.get(record, "msg")) : line;
}
