/**
 * The processes of the demo: an agent, a gateway with two workers and three services, started in order
 * and ended in the reverse order. What it shows is in `tour.ts`.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Log } from "../observability/logger.ts";
import { type Address, formatAddress } from "../settings-values.ts";
import { ask, askUntil, type Question } from "./ask.ts";
import { Child } from "./child.ts";
import { urlOf } from "./ports.ts";
import { demoHost, entries, exposedService, type Places } from "./tour.ts";

const cli = fileURLToPath(new URL("../cli.ts", import.meta.url));
const service = fileURLToPath(new URL("service.ts", import.meta.url));

const workers = 2;
const readyWithinMs = 60_000;
/** After SIGTERM; the gateway's own drain ends before. */
const stopGraceMs = 5_000;
const drainTimeout = "3s";

/** One line that says why the demo cannot start or go on. */
export class DemoError extends Error {
  override readonly name = "DemoError";
}

export interface DemoAddresses {
  readonly http: Address;
  readonly internal: Address;
  readonly admin: Address;
  readonly agent: Address;
}

export class Demo {
  readonly #addresses: DemoAddresses;
  readonly #log: Log;
  readonly #directory: string;
  readonly #services: Child[] = [];
  #agent: Child | null = null;
  #gateway: Child | null = null;
  #stopping = false;
  readonly #broken = Promise.withResolvers<never>();

  private constructor(addresses: DemoAddresses, log: Log, directory: string) {
    this.#addresses = addresses;
    this.#log = log;
    this.#directory = directory;
    // Whoever waits for it hears of it; nobody has to.
    this.#broken.promise.catch(() => undefined);
  }

  /** Nothing runs yet. Makes the directory that `stop` removes. */
  static async create(addresses: DemoAddresses, log: Log): Promise<Demo> {
    return new Demo(addresses, log, await mkdtemp(join(tmpdir(), "sluice-demo-")));
  }

  /** Never resolves. Rejects with a `DemoError` when the agent or the gateway ends by itself. */
  get broken(): Promise<never> {
    return this.#broken.promise;
  }

  /**
   * Starts everything and resolves when each route of the tour answers. Rejects with a `DemoError`,
   * or with the signal's reason; call `stop` in any case. `onServiceEnd` is told of each service that ends.
   */
  async start(
    signal: AbortSignal,
    onServiceEnd: (name: string, end: string) => void,
  ): Promise<Places> {
    const agentUrl = urlOf(this.#addresses.agent);
    const httpUrl = urlOf(this.#addresses.http);
    const internalUrl = urlOf(this.#addresses.internal);
    const adminUrl = urlOf(this.#addresses.admin);

    const agentArgs = ["--http", formatAddress(this.#addresses.agent)];
    this.#agent = await this.#startPart("agent", [
      ...agentArgs,
      "--data-dir",
      join(this.#directory, "agent"),
    ]);
    // Any answer will do: it listens.
    await this.#until({ url: `${agentUrl}/v1/status/leader` }, () => true, signal);
    for (const [key, body] of Object.entries(entries)) {
      const status = await ask({ url: `${agentUrl}/v1/kv/${key}`, method: "PUT", body });
      if (status !== 200) throw new DemoError(`the agent answers ${status} to PUT ${key}`);
    }

    // One after the other: what is started is known before anything else can fail.
    for (const id of ["web-1", "api-1"]) await this.#startService(id, signal, onServiceEnd);
    const second = await this.#startService("web-2", signal, onServiceEnd);

    const consul = ["--consul", agentUrl, "--data-dir", join(this.#directory, "gateway")];
    const listen = [
      "--http",
      formatAddress(this.#addresses.http),
      "--internal",
      formatAddress(this.#addresses.internal),
      "--admin",
      formatAddress(this.#addresses.admin),
    ];
    const size = ["--workers", String(workers), "--drain-timeout", drainTimeout];
    this.#gateway = await this.#startPart("start", [...consul, ...listen, ...size]);
    await this.#until({ url: `${adminUrl}/readyz` }, (status) => status === 200, signal);
    const shop = { url: `${httpUrl}/`, host: demoHost };
    await this.#until(shop, (status) => status === 200, signal);
    await this.#until({ ...shop, url: `${httpUrl}/api` }, (status) => status === 200, signal);
    await this.#until({ ...shop, method: "DELETE" }, (status) => status === 403, signal);
    return { httpUrl, internalUrl, adminUrl, agentUrl, secondWebPid: second.pid };
  }

  /**
   * Ends what runs, the services first, so that they can still take their leave of Consul, and
   * removes the directory. Never leaves a process behind.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#services.map((child) => child.stop(stopGraceMs)));
    await this.#gateway?.stop(stopGraceMs);
    await this.#agent?.stop(stopGraceMs);
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Ends everything at once. */
  kill(): void {
    this.#stopping = true;
    for (const child of this.#children()) child.kill();
  }

  *#children(): Generator<Child> {
    yield* this.#services;
    if (this.#gateway !== null) yield this.#gateway;
    if (this.#agent !== null) yield this.#agent;
  }

  /** A command of the command line's; the demo cannot go on without it. */
  async #startPart(command: string, args: readonly string[]): Promise<Child> {
    const name = command === "start" ? "gateway" : command;
    const child = await Child.start({
      name,
      args: [cli, command, ...args],
      directory: this.#directory,
    });
    this.#log.debug({ pid: child.pid }, `${name} started`);
    void child.ended.then((end) => {
      if (this.#stopping) return;
      const last = child.lastLines(3).filter((line) => line !== "");
      const words = last.length === 0 ? "without a word" : `after: ${last.join(" | ")}`;
      this.#broken.reject(new DemoError(`the ${name} ended with ${end} ${words}`));
    });
    return child;
  }

  async #startService(
    id: string,
    signal: AbortSignal,
    onServiceEnd: (name: string, end: string) => void,
  ): Promise<Child> {
    signal.throwIfAborted();
    const name = id.slice(0, id.lastIndexOf("-"));
    const agentUrl = urlOf(this.#addresses.agent);
    const child = await Child.start({
      name: id,
      args: [service, "--name", name, "--id", id, "--consul", agentUrl, ...tagsOf(name)],
      directory: this.#directory,
    });
    this.#services.push(child);
    this.#log.debug({ pid: child.pid }, `${id} started`);
    const registered = await child.message().then(
      () => true,
      () => false,
    );
    if (!registered) throw new DemoError(`${id} did not start: ${child.lastLines(3).join(" | ")}`);
    void child.ended.then((end) => {
      if (!this.#stopping) onServiceEnd(id, end);
    });
    return child;
  }

  async #until(
    question: Question,
    isRight: (status: number) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await Promise.race([askUntil(question, isRight, readyWithinMs, signal), this.broken]);
    } catch (error) {
      if (error instanceof DemoError || signal.aborted) throw error;
      throw new DemoError(error instanceof Error ? error.message : String(error));
    }
  }
}

function tagsOf(name: string): readonly string[] {
  return name === exposedService ? ["--tag", "sluice"] : [];
}
