/**
 * A whole gateway as a process of its own: `node gateway/cli.ts start` on free ports, with what it logs,
 * what it says of itself and a look at what it leaves behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text as readText } from "node:stream/consumers";
import type { Status } from "../../gateway/primary/index.ts";
import { until } from "./conditions.ts";
import { latestIn } from "./latest-keys.ts";
import { eventually } from "./registered.ts";

const cli = join(import.meta.dirname, "..", "..", "gateway", "cli.ts");

/** The gateway has ended by then whatever its clients do: its own drain timeout is shorter. */
const stopTimeoutMs = 60_000;

export interface GatewayOptions {
  /** Consul's URL; without it none is named. */
  readonly consul?: string;
  /** Default 2. */
  readonly workers?: number;
  /** Further flags. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Descriptors that each of its processes may have open (`ulimit -n`). */
  readonly descriptors?: number;
  /** The descriptor of the socket for `--http`, which is handed to it as systemd does. */
  readonly heldSocket?: number;
}

export interface Asked {
  readonly host: string;
  /** Default `/`. */
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Default: a connection of its own, closed afterwards. */
  readonly agent?: Agent;
}

export interface GatewayAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Whether the connection had carried a request before. */
  readonly isReused: boolean;
}

/** A line of its log. */
export interface LogRecord {
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** The environment of the tests without what would change the gateway's behaviour. */
export const cleanEnvironment: Readonly<Record<string, string | undefined>> = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SLUICE|CONSUL|DOCKER)_/.test(name)),
);

/** Commands that print JSON in a pipe, of which most tests read what people do. */
const answering =
  /^(?:script (?:push|test|list|history|rollback|remove|status)|(?:host|upstream)(?! show)|resync|doctor|certificate push)\b/;

/** How a command ended, and what it printed. */
interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line to its end. What it answers is what people get, unless there is a `--json`. */
export function runSluice(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const text = answering.test(args.join(" ")) && !args.includes("--json") ? ["--text"] : [];
  return runInPipe([...args, ...text], env);
}

/** The same with the arguments alone, so that it answers what programs get. */
export async function runInPipe(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [cli, ...args], {
    env: { ...cleanEnvironment, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  const [stdout, stderr] = await Promise.all([readText(child.stdout), readText(child.stderr)]);
  await closed;
  return { status: child.exitCode, stdout, stderr };
}

export class TestGateway {
  readonly process: ChildProcess;
  /** Whole lines of standard output that are log records. */
  readonly records: LogRecord[] = [];
  /** Standard error. */
  errors = "";
  /** The exit status or the signal; resolves when all output has been read. */
  readonly ended: Promise<number | NodeJS.Signals>;
  #outcome: number | NodeJS.Signals | null = null;
  /** TMPDIR of the process: whatever it leaves there is seen. */
  readonly #temporary = mkdtempSync(join(tmpdir(), "sluice-gateway-"));
  /** Where it leaves the token of its admin API. */
  readonly #runtime = mkdtempSync(join(tmpdir(), "sluice-runtime-"));
  readonly #seenPids = new Set<number>();
  readonly #options: GatewayOptions;
  #isStopped = false;

  private constructor(options: GatewayOptions) {
    this.#options = options;
    const { consul, workers = 2, flags = [], env = {}, descriptors, heldSocket } = options;
    const args = [
      cli,
      "start",
      ...(consul === undefined ? [] : ["--consul", consul]),
      ...["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", String(workers)],
      ...flags,
    ];
    // The shell becomes the gateway, so that its process is the gateway's.
    const before = [
      ...(descriptors === undefined ? [] : [`ulimit -n ${descriptors};`]),
      ...(heldSocket === undefined ? [] : ["LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http"]),
    ];
    const [program, programArgs] =
      before.length === 0
        ? [process.execPath, args]
        : ["sh", ["-c", `${before.join(" ")} exec "$0" "$@"`, process.execPath, ...args]];
    this.process = spawn(program, programArgs, {
      env: {
        ...cleanEnvironment,
        TMPDIR: this.#temporary,
        XDG_RUNTIME_DIR: this.#runtime,
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe", ...(heldSocket === undefined ? [] : [heldSocket])],
    });
    // A test run that dies takes its gateways with it; the workers follow their primary.
    const onExit = () => {
      this.process.kill("SIGKILL");
      rmSync(this.#temporary, { recursive: true, force: true });
      rmSync(this.#runtime, { recursive: true, force: true });
    };
    process.once("exit", onExit);
    if (this.process.stdout !== null)
      createInterface({ input: this.process.stdout }).on("line", (line) => this.#take(line));
    this.process.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      this.errors += chunk;
    });
    this.ended = once(this.process, "close").then(([status, signal]) => {
      process.off("exit", onExit);
      this.#outcome = signal ?? status;
      return signal ?? status;
    });
  }

  /** Starts it and waits for nothing. */
  static launch(options: GatewayOptions): TestGateway {
    return new TestGateway(options);
  }

  /** Starts it and waits until /readyz answers 200. Rejects with its log when it ends instead. */
  static async start(options: GatewayOptions): Promise<TestGateway> {
    const gateway = new TestGateway(options);
    try {
      await gateway.ready();
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#outcome !== null;
  }

  /** The port that its workers share. Throws before one of them listens. */
  get httpPort(): number {
    return portOf(this.records, /^worker \d+ listens on [^ ]*:(\d+)/);
  }

  /** That of any listener, by its place among them. */
  portAt(place: number): number {
    const before = "[^ ]+ and ".repeat(place);
    return portOf(this.records, new RegExp(`^worker \\d+ listens on ${before}[^ ]*:(\\d+)`));
  }

  /** The same of `--internal`. */
  get internalPort(): number {
    return portOf(this.records, /^worker \d+ listens on .* and [^ ]*:(\d+)$/);
  }

  /** Throws before it listens there. */
  get adminPort(): number {
    return portOf(this.records, /^admin API on .*:(\d+)\/status$/);
  }

  async ready(): Promise<void> {
    await this.adminUp();
    await eventually("the gateway is ready", async () => {
      if (this.hasEnded) return;
      const { status, body } = await this.admin("/readyz");
      if (status !== 200) throw new Error(body);
    });
    if (this.hasEnded) throw new Error(`the gateway ended: ${this.#describe()}`);
    // The answer may overtake the line of the log that names the ports.
    const listens = () => this.records.some(({ msg }) => /^worker \d+ listens on/.test(msg));
    await until("the log says where a worker listens", listens, {
      describe: () => this.#describe(),
    });
    await this.status();
  }

  /** Resolves when the admin API listens; rejects when the gateway has ended. */
  async adminUp(): Promise<void> {
    const isUp = () => this.records.some(({ msg }) => msg.startsWith("admin API on"));
    await until("the admin API listens", () => isUp() || this.hasEnded, {
      // A start is more work than anything else that is waited for.
      deadlineMs: 180_000,
      describe: () => this.#describe(),
    });
    if (this.hasEnded) throw new Error(`the gateway ended: ${this.#describe()}`);
  }

  /** Writes bring the token. */
  async admin(path: string, method = "GET"): Promise<GatewayAnswer> {
    const headers = method === "GET" ? {} : await this.credentials();
    return send(this.adminPort, { host: "localhost", path, method, headers });
  }

  /** The directory that commands must be given as XDG_RUNTIME_DIR to find its token. */
  get runtimeDir(): string {
    return this.#runtime;
  }

  /** The header that writes to its admin API need, with the token that it made. */
  async credentials(): Promise<Readonly<Record<string, string>>> {
    const path = join(this.#runtime, "sluice", `admin-token-${this.adminPort}`);
    const token = await eventually("the gateway has left its token", async () =>
      readFileSync(path, "utf8").trim(),
    );
    return { authorization: `Bearer ${token}` };
  }

  async status(): Promise<Status> {
    const { status, body } = await this.admin("/status");
    if (status !== 200) throw new Error(`/status answers ${status} ${body}`);
    // The gateway's own shape; the tests say what they expect of its values.
    const value = JSON.parse(body) as Status;
    for (const { pid } of value.workers) this.#seenPids.add(pid);
    return value;
  }

  /** The first status for which `holds`; rejects with the last one after 40 seconds. */
  statusWhen(what: string, holds: (status: Status) => boolean): Promise<Status> {
    return eventually(what, async () => {
      const status = await this.status();
      if (!holds(status)) throw new Error(JSON.stringify(status));
      return status;
    });
  }

  /**
   * Every worker has the documents that Consul has now, as far as it answers, and all that a status has shown before.
   * A script may still have to be examined, and what a key that is gone has left may still be there.
   */
  async caughtUp(): Promise<Status> {
    const { consul, env = {} } = this.#options;
    const latest =
      consul === undefined ? new Map() : await latestIn(consul, env.CONSUL_HTTP_TOKEN ?? "");
    await this.statusWhen("it has read what Consul has", ({ watches }) =>
      watches.every(
        ({ name, state, index }) => state === "failing" || (index ?? 0) >= (latest.get(name) ?? 0),
      ),
    );
    return this.statusWhen(
      "every worker has the current version",
      ({ version, workers }) =>
        workers.length > 0 && workers.every((worker) => worker.version === version),
    );
  }

  request(asked: Asked): Promise<GatewayAnswer> {
    return send(this.httpPort, asked);
  }

  /** Through `--internal`. */
  internalRequest(asked: Asked): Promise<GatewayAnswer> {
    return send(this.internalPort, asked);
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /**
   * SIGTERM, then SIGKILL when it does not end; gives how it ended. Throws when it leaves a process
   * or a file behind. May be called twice.
   */
  async stop(): Promise<number | NodeJS.Signals> {
    if (!this.hasEnded) this.process.kill("SIGTERM");
    const left = () => [...this.#seenPids].filter(isWorkerOf(this.#temporary));
    // Workers hold its output open, so that those which do not end must be killed as well.
    const timer = setTimeout(() => {
      this.process.kill("SIGKILL");
      killAll(left());
    }, stopTimeoutMs);
    const outcome = await this.ended;
    clearTimeout(timer);
    if (this.#isStopped) return outcome;
    this.#isStopped = true;
    try {
      await until("every worker of the gateway has ended", () => left().length === 0, {
        describe: left,
      });
      const runtime = join(this.#runtime, "sluice");
      const tokens = outcome === 0 && existsSync(runtime) ? readdirSync(runtime) : [];
      const files = [...readdirSync(this.#temporary), ...tokens];
      if (files.length > 0) throw new Error(`the gateway left files behind: ${files.join(", ")}`);
    } finally {
      killAll(left());
      rmSync(this.#temporary, { recursive: true, force: true });
      rmSync(this.#runtime, { recursive: true, force: true });
    }
    return outcome;
  }

  #take(line: string): void {
    let record: unknown = null;
    try {
      record = JSON.parse(line);
    } catch {
      this.errors += `${line}\n`;
      return;
    }
    if (typeof record !== "object" || record === null || !("msg" in record)) return;
    this.records.push(record as LogRecord);
    const pid = "workerPid" in record ? record.workerPid : null;
    if (typeof pid === "number") this.#seenPids.add(pid);
  }

  #describe(): string {
    const log = this.records.slice(-20).map((record) => JSON.stringify(record));
    return [this.#outcome, this.errors, ...log].join("\n");
  }
}

function portOf(records: readonly LogRecord[], pattern: RegExp): number {
  for (const { msg } of records) {
    const port = pattern.exec(msg)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`no line of the log is like ${pattern}`);
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has just ended by itself.
    }
  }
}

/** A pid may have been given to another process by now; a worker has its primary's TMPDIR. */
function isWorkerOf(temporary: string): (pid: number) => boolean {
  return (pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "utf8").includes(`TMPDIR=${temporary}\0`);
    } catch {
      return false;
    }
  };
}

/** One request to a port of this machine. */
export function send(port: number, asked: Asked): Promise<GatewayAnswer> {
  const { host, path = "/", method = "GET", headers = {}, body, agent = false } = asked;
  const { promise, resolve, reject } = Promise.withResolvers<GatewayAnswer>();
  // Node sends the body of a GET without any framing unless a length is given.
  const framing = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
  const outgoing = request(
    { host: "127.0.0.1", port, path, method, headers: { host, ...framing, ...headers }, agent },
    (answer) => {
      readText(answer).then((text) => {
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          body: text,
          isReused: outgoing.reusedSocket,
        });
      }, reject);
    },
  );
  outgoing.once("error", reject);
  outgoing.end(body);
  return promise;
}

/** Keeps one connection. */
export function oneConnection(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1 });
}
