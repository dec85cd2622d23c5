/** The origins that a benchmark makes fail: starts them, tells them how, and ends them. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Mode } from "./origin.ts";

const program = join(import.meta.dirname, "origin.ts");

export class OriginProcess {
  readonly name: string;
  ports: readonly number[] = [];
  #child: ChildProcess | null = null;

  constructor(name: string) {
    this.name = name;
  }

  get port(): number {
    return this.ports[0] ?? 0;
  }

  /** Also again, on the port that it had. */
  async start(count = 1): Promise<void> {
    const child = fork(program, [this.name, String(this.port), String(count)], { execArgv: [] });
    this.#child = child;
    const [{ ports }] = (await once(child, "message")) as [{ readonly ports: readonly number[] }];
    this.ports = ports;
  }

  tell(mode: Mode): void {
    this.#child?.send(mode);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }
}
