/**
 * Another machine for tests: a network namespace with an address of its own on an engine's bridge, where ports are
 * free that are taken here. What runs in it sees the same files.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import type { DockerEngine } from "./docker.ts";
import { cleanEnvironment } from "./gateway.ts";

const execute = promisify(execFile);
const ip = (...args: readonly string[]) => execute("ip", args);

export class Machine {
  readonly address: string;
  readonly #name: string;
  readonly #ended: Promise<unknown>[] = [];

  private constructor(name: string, address: string) {
    this.#name = name;
    this.address = address;
  }

  /** @param number from 1 on, another one for each machine on a bridge. */
  static async start(engine: DockerEngine, number: number): Promise<Machine> {
    const name = `${engine.bridge}m${number}`;
    // Containers are given addresses from the lowest on.
    const machine = new Machine(name, engine.gateway.replace(/\.\d+$/, `.${200 + number}`));
    await ip("netns", "add", name);
    try {
      await ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name);
      await ip("link", "set", name, "master", engine.bridge, "up");
      await ip("-n", name, "address", "add", `${machine.address}/24`, "dev", "eth0");
      await ip("-n", name, "link", "set", "eth0", "up");
      await ip("-n", name, "link", "set", "lo", "up");
    } catch (error) {
      await machine.stop();
      throw error;
    }
    return machine;
  }

  /** Runs a command there until it ends or the machine does. */
  run(command: readonly string[]): void {
    const child = spawn("ip", ["netns", "exec", this.#name, ...command], {
      env: cleanEnvironment,
      stdio: ["ignore", "ignore", "inherit"],
    });
    const onExit = () => child.kill("SIGKILL");
    process.once("exit", onExit);
    this.#ended.push(once(child, "exit").then(() => process.off("exit", onExit)));
  }

  /** Kills everything that runs there, at once. */
  async crash(): Promise<void> {
    const { stdout } = await ip("netns", "pids", this.#name);
    for (const pid of stdout.split("\n").filter((line) => line !== "")) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }
    await Promise.all(this.#ended);
  }

  async stop(): Promise<void> {
    await this.crash();
    await ip("netns", "delete", this.#name);
  }
}
