/** What runs on the machines of a cluster: Consul's servers and agents, and gateways. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as readText } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Status, UpstreamsAnswer } from "../../../gateway/primary/index.ts";
import { knowsGrpcTls } from "../consul.ts";
import { cleanEnvironment } from "../gateway.ts";
import type { Machine } from "./network.ts";

const cli = join(import.meta.dirname, "..", "..", "..", "gateway", "cli.ts");
const clockAhead = join(import.meta.dirname, "clock-ahead.ts");

/** A process on a machine, which may be killed and started again. */
class Member {
  readonly machine: Machine;
  readonly #command: () => readonly [program: string, args: readonly string[]];
  readonly #env: Readonly<Record<string, string | undefined>>;
  #child: ChildProcess | null = null;
  /** Its last lines. */
  output = "";

  constructor(
    machine: Machine,
    command: () => readonly [program: string, args: readonly string[]],
    env: Readonly<Record<string, string | undefined>> = cleanEnvironment,
  ) {
    this.machine = machine;
    this.#command = command;
    this.#env = env;
  }

  start(): void {
    const [program, args] = this.machine.on(...this.#command());
    const child = spawn(program, args, { env: this.#env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const onExit = () => child.kill("SIGKILL");
    process.once("exit", onExit);
    child.once("exit", () => process.off("exit", onExit));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.output = (this.output + chunk.toString()).slice(-6_000);
      });
    }
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
    await exited;
    clearTimeout(timer);
  }
}

export class ConsulMember extends Member {
  readonly url: string;
  readonly #directory: { path: string; generation: number };

  private constructor(
    machine: Machine,
    directory: { path: string; generation: number },
    command: () => readonly [program: string, args: readonly string[]],
  ) {
    super(machine, command);
    this.url = `http://${machine.address}:8500`;
    this.#directory = directory;
  }

  /** `servers`: the addresses of all servers; whoever is none of them is a client agent. */
  static async on(
    machine: Machine,
    options: {
      readonly binary: string;
      readonly name: string;
      readonly servers: readonly string[];
    },
  ): Promise<ConsulMember> {
    const { binary, name, servers } = options;
    const isServer = servers.includes(machine.address);
    const path = await mkdtemp(join(tmpdir(), "sluice-cluster-"));
    const directory = { path, generation: 0 };
    const config = {
      ...(isServer ? { server: true, bootstrap_expect: servers.length } : {}),
      ...{ node_name: name, bind_addr: machine.address, client_addr: "0.0.0.0" },
      ...{ retry_join: servers, retry_interval: "1s", leave_on_terminate: false },
      ports: {
        dns: -1,
        grpc: -1,
        ...(isServer ? { serf_wan: -1 } : {}),
        ...(knowsGrpcTls(binary) ? { grpc_tls: -1 } : {}),
      },
      ...{ performance: { raft_multiplier: 1 }, disable_update_check: true },
    };
    return new ConsulMember(machine, directory, () => [
      binary,
      [
        ...["agent", "-log-level", "warn", "-hcl", JSON.stringify(config)],
        ...["-data-dir", join(path, String(directory.generation))],
      ],
    ]);
  }

  /** Its data is gone at the next start. */
  forget(): void {
    this.#directory.generation += 1;
  }

  async remove(): Promise<void> {
    await this.end("SIGKILL");
    await rm(this.#directory.path, { recursive: true, force: true });
  }

  /** The address of the leader as this member sees it; `null`: it knows none, or does not answer. */
  async leader(): Promise<string | null> {
    try {
      const answer = await fetch(`${this.url}/v1/status/leader`, {
        signal: AbortSignal.timeout(2_000),
      });
      const [address = ""] = String(await answer.json()).split(":");
      return address === "" ? null : address;
    } catch {
      return null;
    }
  }
}

const token = "a-token-for-tests-of-clusters";

export class GatewayMember extends Member {
  readonly port = 8080;

  static on(
    machine: Machine,
    options: {
      readonly consul: string;
      readonly isAhead: boolean;
      readonly flags?: readonly string[];
    },
  ): GatewayMember {
    const { consul, isAhead, flags = [] } = options;
    const env = {
      ...{ ...cleanEnvironment, SLUICE_ADMIN_TOKEN: token },
      ...(isAhead ? { NODE_OPTIONS: `--import ${clockAhead}` } : {}),
    };
    const args = [
      ...[cli, "start", "--consul", consul, "--http", `${machine.address}:8080`],
      ...["--admin", `${machine.address}:1995`, "--workers", "2", "--expose", "all", ...flags],
    ];
    return new GatewayMember(machine, () => [process.execPath, args], env);
  }

  async status(): Promise<Status> {
    return JSON.parse(await this.#admin("/status")) as Status;
  }

  /** The addresses of the peers of an upstream, in order. */
  async peers(upstream: string): Promise<readonly string[]> {
    const answer = JSON.parse(await this.#admin(`/upstreams?name=${upstream}`)) as UpstreamsAnswer;
    return (answer.upstreams[0]?.peers ?? []).map(({ address }) => address).sort();
  }

  async isReady(): Promise<boolean> {
    try {
      await this.#admin("/readyz");
      return true;
    } catch {
      return false;
    }
  }

  /** The body of an answer on a connection of its own. */
  async ask(host: string): Promise<string> {
    return (await this.#get(this.port, "/", { host })).body;
  }

  async #admin(path: string): Promise<string> {
    const { status, body } = await this.#get(1995, path, { authorization: `Bearer ${token}` });
    if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
    return body;
  }

  async #get(port: number, path: string, headers: Readonly<Record<string, string>>) {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
    const outgoing = request({
      ...{ host: this.machine.address, port, path, headers, agent: false, timeout: 5_000 },
    });
    outgoing.once("timeout", () => outgoing.destroy(new Error(`${path}: no answer`)));
    outgoing.once("error", reject);
    outgoing.once("response", (answer) => {
      readText(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body }), reject);
    });
    outgoing.end();
    return promise;
  }
}

/** Resolves as soon as `holds` does, with how long that took; rejects after two minutes with `what` and `describe()`. */
export async function waitFor(
  what: string,
  holds: () => Promise<boolean>,
  describe: () => string | Promise<string> = () => "",
): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    if (await holds().catch(() => false)) return performance.now() - startMs;
    if (performance.now() - startMs > 120_000) {
      throw new Error(`waited in vain until ${what}: ${await describe()}`);
    }
    await sleep(20);
  }
}
