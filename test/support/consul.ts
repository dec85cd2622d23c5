/**
 * Consul for tests, as a real process on loopback: the embedded agent always, a real Consul where one
 * is found. Both have the same interface, so a suite is written once and run against each kind.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./ports.ts";
import { findProgram, isExecutable } from "./programs.ts";

const root = join(import.meta.dirname, "..", "..");
const startTimeoutMs = 90_000;

/** One running Consul. Its address stays the same through `kill` and `restart`. */
export interface TestConsul {
  readonly kind: "embedded" | "real";
  /** `http://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Of the process that runs now; 0 while none does. */
  readonly pid: number;
  /** Ends the process (SIGTERM, then SIGKILL) and removes its data. May be called twice. */
  stop(): Promise<void>;
  /** kill -9. The data stays, for `restart`. */
  kill(): Promise<void>;
  /** Ends the process if it runs and starts it again; without its data it comes back empty. */
  restart(options: { readonly keepData: boolean }): Promise<void>;
  /** SIGSTOP: connections stay open and nothing is answered, until `resume`. */
  suspend(): void;
  resume(): void;
}

export interface ConsulKind {
  readonly name: string;
  readonly start: () => Promise<TestConsul>;
}

export interface RealConsulOptions {
  /** Merged over the configuration file, for example `{ acl: { enabled: true } }`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Where it meets the servers of other datacenters. Default: nowhere. */
  readonly wanPort?: number;
  /** The token that asks whether Consul is ready; needed when `config` switches ACLs on. */
  readonly token?: string;
}

/** The kinds that are here. Throws when SLUICE_REQUIRE_REAL=1 and there is no real Consul. */
export function consulKinds(): readonly ConsulKind[] {
  const embedded = { name: "embedded agent", start: startEmbeddedAgent };
  const binary = findRealConsul();
  if (binary !== null) return [embedded, { name: "real Consul", start: () => startRealConsul() }];
  if (process.env.SLUICE_REQUIRE_REAL === "1") throw new Error(noConsul);
  return [embedded];
}

const noConsul =
  "no real Consul: not in CONSUL_BIN, PATH or .cache/consul (node tools/consul.mjs fetches one)";

/** `CONSUL_BIN`, then `PATH`, then `.cache/consul`. Throws when `CONSUL_BIN` names no executable file. */
export function findRealConsul(): string | null {
  const named = process.env.CONSUL_BIN;
  if (named) {
    if (isExecutable(named)) return named;
    throw new Error(`CONSUL_BIN names "${named}", which is not an executable file`);
  }
  return findProgram("consul", [join(root, ".cache", "consul", "usr", "bin")]);
}

/** A single server with its own data directory, ready once it leads and is in its own catalog. */
export async function startRealConsul(options: RealConsulOptions = {}): Promise<TestConsul> {
  const binary = findRealConsul();
  if (binary === null) throw new Error(noConsul);
  const [http, server, serf] = [await freePort(), await freePort(), await freePort()];
  const directory = await mkdtemp(join(tmpdir(), "sluice-consul-"));
  const file = join(directory, "config.json");
  const config = {
    server: true,
    bootstrap_expect: 1,
    bind_addr: "127.0.0.1",
    client_addr: "127.0.0.1",
    node_name: "test-node",
    ports: {
      http,
      server,
      serf_lan: serf,
      serf_wan: options.wanPort ?? -1,
      dns: -1,
      https: -1,
      grpc: -1,
      ...(knowsGrpcTls(binary) ? { grpc_tls: -1 } : {}),
    },
    performance: { raft_multiplier: 1 },
    disable_update_check: true,
    ...options.config,
  };
  await writeFile(file, JSON.stringify(config));
  const commandLine: CommandLine = (dataDir) => [
    binary,
    ["agent", "-config-file", file, "-data-dir", dataDir, "-log-level", "warn"],
  ];
  return TestProcess.start({ kind: "real", port: http, directory, commandLine, ...options });
}

/** From 1.14 on there is a second port for gRPC, which is open unless it is switched off; before that it is unknown. */
export function knowsGrpcTls(binary: string): boolean {
  const text = execFileSync(binary, ["version"], { encoding: "utf8" });
  const [major, minor] = (/v(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number);
  return (major ?? 0) > 1 || (minor ?? 0) >= 14;
}

/** Two real ones, `dc1` and `dc2`, that know each other; neither is ready before it can ask the other. */
export async function startTwoDatacenters(): Promise<readonly [TestConsul, TestConsul]> {
  const [one, two] = [await freePort(), await freePort()];
  const start = (datacenter: string, wanPort: number, other: number) => {
    const retry_join_wan = [`127.0.0.1:${other}`];
    const config = { datacenter, retry_join_wan, retry_interval_wan: "1s" };
    return startRealConsul({ wanPort, config });
  };
  const both = await Promise.all([start("dc1", one, two), start("dc2", two, one)]);
  const [first, second] = both;
  const ask = (consul: TestConsul, datacenter: string) =>
    fetch(`${consul.url}/v1/catalog/services?dc=${datacenter}`).then(({ ok }) => ok);
  const deadline = Date.now() + startTimeoutMs;
  while (!((await ask(first, "dc2")) && (await ask(second, "dc1")))) {
    if (Date.now() > deadline) throw new Error("the datacenters do not find each other");
    await sleep(50);
  }
  return both;
}

/** The embedded agent as `sluice agent`, with its own data directory. */
export async function startEmbeddedAgent(): Promise<TestConsul> {
  const http = await freePort();
  const directory = await mkdtemp(join(tmpdir(), "sluice-agent-"));
  const cli = join(root, "gateway", "cli.ts");
  const commandLine: CommandLine = (dataDir) => [
    process.execPath,
    [cli, "agent", "--http", `127.0.0.1:${http}`, "--data-dir", dataDir],
  ];
  return TestProcess.start({ kind: "embedded", port: http, directory, commandLine });
}

type CommandLine = (dataDir: string) => [program: string, args: readonly string[]];

interface Launch {
  readonly kind: TestConsul["kind"];
  readonly port: number;
  readonly directory: string;
  readonly commandLine: CommandLine;
  readonly token?: string;
}

class TestProcess implements TestConsul {
  readonly kind: TestConsul["kind"];
  readonly url: string;
  readonly port: number;
  readonly #launch: Launch;
  /** Counts the data directories that were used, so that a restart without data gets a new one. */
  #generation = 0;
  #child: ChildProcess | null = null;

  private constructor(launch: Launch) {
    this.kind = launch.kind;
    this.port = launch.port;
    this.url = `http://127.0.0.1:${launch.port}`;
    this.#launch = launch;
  }

  static async start(launch: Launch): Promise<TestConsul> {
    const consul = new TestProcess(launch);
    try {
      await consul.#run();
    } catch (error) {
      await consul.stop();
      throw error;
    }
    return consul;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    await rm(this.#launch.directory, { recursive: true, force: true });
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async restart({ keepData }: { readonly keepData: boolean }): Promise<void> {
    await this.#end("SIGTERM");
    if (!keepData) this.#generation += 1;
    await this.#run();
  }

  suspend(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async #run(): Promise<void> {
    const [program, args] = this.#launch.commandLine(
      join(this.#launch.directory, `data-${this.#generation}`),
    );
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    // A test run that ends early takes its Consul with it, and the data.
    const onExit = () => {
      child.kill("SIGKILL");
      rmSync(this.#launch.directory, { recursive: true, force: true });
    };
    process.once("exit", onExit);
    let output = "";
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    let ended: string | null = null;
    child.once("error", (error) => {
      ended = error.message;
    });
    child.once("exit", (code, signal) => {
      ended = `ended with ${code ?? signal}`;
      process.off("exit", onExit);
    });
    const deadline = Date.now() + startTimeoutMs;
    while (!(await isReady(this.url, this.#launch.token ?? ""))) {
      if (ended !== null) throw new Error(`${program} ${args.join(" ")}: ${ended}\n${output}`);
      if (Date.now() > deadline)
        throw new Error(`${program}: no leader after ${startTimeoutMs} ms\n${output}`);
      await sleep(30);
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.pid === undefined) return;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGCONT");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
    await exited;
    clearTimeout(timer);
  }
}

/** A leader is known, it has caught up with its log, and the node has put itself into the catalog. */
async function isReady(url: string, token: string): Promise<boolean> {
  const headers = { "X-Consul-Token": token };
  try {
    const leader = await fetch(`${url}/v1/status/leader`, { headers });
    if ((await leader.text()).length <= 2) return false;
    // An ordinary read may be answered while the log of before a restart is still being replayed.
    const answer = await fetch(`${url}/v1/catalog/service/consul?consistent`, { headers });
    return answer.ok && (await answer.text()) !== "[]";
  } catch {
    // Not listening yet.
    return false;
  }
}
