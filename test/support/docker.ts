/**
 * Docker for tests: a private engine with directories, a socket and a bridge of its own, and one small
 * image made of Debian's `busybox-static`. It pulls nothing and leaves the machine's firewall alone.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import {
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import Dockerode from "dockerode";
import { findProgram } from "./programs.ts";
import { eventually } from "./registered.ts";

const execute = promisify(execFile);
const directoryPrefix = "sluice-docker-";
const startTimeoutMs = 90_000;
const stopTimeoutMs = 60_000;

/** The image that every engine has; its default name as a service is `web`. */
const webImage = "demo/web:1";

export interface RunOptions {
  readonly name?: string;
  readonly image?: string;
  /** Exposed ports, `80` or `53/udp`. Default: 80. */
  readonly ports?: readonly (number | string)[];
  /** Publishes all exposed ports on free ports (default), as `docker run -P`, or none. */
  readonly publish?: boolean;
  /** The host's address for published ports. Default: all addresses. */
  readonly hostIp?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** What its web server on the first port answers for `/`. Default: the container's name. */
  readonly body?: string;
  /** Seconds for which it goes on serving after SIGTERM. Default 0. */
  readonly lingerSeconds?: number;
  /** A command instead of the web server. */
  readonly command?: readonly string[];
  readonly stopSignal?: string;
  /** A shell command that Docker runs ten times a second as the container's HEALTHCHECK. */
  readonly healthcheck?: string;
  readonly network?: string;
}

export interface RunningContainer {
  readonly id: string;
  readonly name: string;
  /** The host's port for an exposed one (`80` or `53/udp`). Throws when it is not published. */
  port(exposed: number | string): Promise<number>;
  /** As `docker stop`: the stop signal, then SIGKILL after `seconds` (default 10). */
  stop(seconds?: number): Promise<void>;
  kill(signal?: string): Promise<void>;
  /** Waits until its first process handles the signal; before that the kernel drops it. */
  handles(signal: NodeJS.Signals): Promise<void>;
  /** Runs a shell command in it and waits for its end. */
  execute(command: string): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
  inspect(): Promise<Dockerode.ContainerInspectInfo>;
}

export interface DockerEngine {
  /** The path of the socket. */
  readonly socket: string;
  /** `unix://<socket>`, as for DOCKER_HOST. */
  readonly host: string;
  /** The host's address on the bridge: how containers reach the host. */
  readonly gateway: string;
  /** The bridge's network interface. */
  readonly bridge: string;
  readonly api: Dockerode;
  run(options?: RunOptions): Promise<RunningContainer>;
  /** Makes an image that exposes a port by itself, `demo/exposes:<port>`, and gives its name. */
  exposing(port: number): Promise<string>;
  /** Ends dockerd and starts it again on the same directories; `whileDown` runs in between. */
  restart(whileDown?: () => Promise<void>): Promise<void>;
  /** Removes every container, ends dockerd and deletes all that it made. May be called twice. */
  stop(): Promise<void>;
}

/**
 * The path of `dockerd`, or `null`. Throws when it is missing and SLUICE_REQUIRE_REAL=1. An engine
 * needs root, `ip` and Debian's static busybox too.
 */
export function findDocker(): string | null {
  const missing = whatIsMissing();
  if (missing === null) return findProgram("dockerd", systemDirectories);
  if (process.env.SLUICE_REQUIRE_REAL === "1")
    throw new Error(
      `no Docker Engine for tests: ${missing} (node tools/real-parts.mjs installs it)`,
    );
  return null;
}

function whatIsMissing(): string | null {
  if (process.getuid?.() !== 0) return "an engine needs root";
  for (const program of ["dockerd", "ip", "busybox", "tar"])
    if (findProgram(program, systemDirectories) === null) return `"${program}" is not in PATH`;
  return null;
}

/** Also where a service's `PATH` may not look. */
const systemDirectories = ["/usr/sbin", "/sbin", "/bin"];

/** Starts an engine; its `webImage` is there. Throws with dockerd's last lines when it does not come up. */
export async function startDocker(): Promise<DockerEngine> {
  const dockerd = findDocker();
  if (dockerd === null) throw new Error(`no Docker Engine for tests: ${whatIsMissing()}`);
  await sweep();
  const directory = await mkdtemp(join(tmpdir(), `${directoryPrefix}${process.pid}-`));
  const bridge = await createBridge();
  await writeFile(join(directory, "bridge"), bridge.name);
  const engine = new PrivateEngine(dockerd, directory, bridge);
  try {
    await engine.boot();
    await engine.prepare();
  } catch (error) {
    await engine.stop();
    throw error;
  }
  return engine;
}

class PrivateEngine implements DockerEngine {
  readonly socket: string;
  readonly host: string;
  readonly gateway: string;
  readonly bridge: string;
  readonly api: Dockerode;
  readonly #dockerd: string;
  readonly #directory: string;
  readonly #bridge: Bridge;
  #child: ChildProcess | null = null;
  #stopped = false;

  constructor(dockerd: string, directory: string, bridge: Bridge) {
    this.#dockerd = dockerd;
    this.#directory = directory;
    this.#bridge = bridge;
    this.gateway = bridge.address;
    this.bridge = bridge.name;
    this.socket = join(directory, "docker.sock");
    this.host = `unix://${this.socket}`;
    this.api = new Dockerode({ socketPath: this.socket, host: undefined });
  }

  async boot(): Promise<void> {
    const at = (name: string) => join(this.#directory, name);
    // Published ports are served by docker-proxy alone: several engines on one machine would undo
    // each other's iptables chains, and a test must not change the firewall.
    const child = spawn(
      this.#dockerd,
      [
        ...["--data-root", at("data"), "--exec-root", at("exec"), "--pidfile", at("pid")],
        ...["-H", this.host, "--bridge", this.#bridge.name, "--shutdown-timeout", "1"],
        ...["--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false"],
        ...["--default-address-pool", "base=10.214.0.0/16,size=24", "--log-level", "warn"],
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#child = child;
    const onExit = () => child.kill("SIGTERM");
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
    while (!(await this.#answers())) {
      if (ended !== null) throw new Error(`dockerd: ${ended}\n${output}`);
      if (Date.now() > deadline)
        throw new Error(`dockerd: no answer after ${startTimeoutMs} ms\n${output}`);
      await sleep(30);
    }
  }

  async prepare(): Promise<void> {
    await makeRoot(join(this.#directory, "root"));
    await importRoot(this.api, join(this.#directory, "root"), webImage);
  }

  async exposing(port: number): Promise<string> {
    const image = `demo/exposes:${port}`;
    await importRoot(this.api, join(this.#directory, "root"), image, [`EXPOSE ${port}`]);
    return image;
  }

  async #answers(): Promise<boolean> {
    try {
      await this.api.ping();
      return true;
    } catch {
      // Not listening yet.
      return false;
    }
  }

  async run(options: RunOptions = {}): Promise<RunningContainer> {
    const ports = (options.ports ?? [80]).map(withProtocol);
    const exposed = Object.fromEntries(ports.map((port) => [port, {}]));
    const bindings = Object.fromEntries(
      ports.map((port) => [port, [{ HostIp: options.hostIp ?? "", HostPort: "" }]]),
    );
    const command = options.command ?? webServer(options, ports[0] ?? "80/tcp");
    const container = await this.api.createContainer({
      Image: options.image ?? webImage,
      Cmd: [...command],
      Env: Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`),
      Labels: { ...options.labels },
      ExposedPorts: exposed,
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(options.stopSignal === undefined ? {} : { StopSignal: options.stopSignal }),
      ...(options.healthcheck === undefined ? {} : { Healthcheck: probing(options.healthcheck) }),
      HostConfig: {
        ...(options.publish === false ? {} : { PortBindings: bindings }),
        ...(options.network === undefined ? {} : { NetworkMode: options.network }),
      },
    });
    await container.start();
    const { Name } = await container.inspect();
    return new PrivateContainer(container, Name.slice(1));
  }

  async restart(whileDown: () => Promise<void> = async () => {}): Promise<void> {
    await this.#end();
    await whileDown();
    await this.boot();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    try {
      if (this.#child !== null && (await this.#answers())) await removeContainers(this.api);
    } finally {
      await this.#end();
      await removeTraces(this.#directory, this.#bridge.name);
    }
  }

  async #end(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.pid === undefined) return;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
    await exited;
    clearTimeout(timer);
  }
}

class PrivateContainer implements RunningContainer {
  readonly id: string;
  readonly name: string;
  readonly #container: Dockerode.Container;

  constructor(container: Dockerode.Container, name: string) {
    this.#container = container;
    this.id = container.id;
    this.name = name;
  }

  async port(exposed: number | string): Promise<number> {
    const { NetworkSettings } = await this.inspect();
    const binding = NetworkSettings.Ports[withProtocol(exposed)]?.[0];
    if (!binding) throw new Error(`container ${this.name}: port ${exposed} is not published`);
    return Number(binding.HostPort);
  }

  async stop(seconds = 10): Promise<void> {
    await this.#container.stop({ t: seconds });
  }

  async kill(signal = "SIGKILL"): Promise<void> {
    await this.#container.kill({ signal });
  }

  async handles(signal: NodeJS.Signals): Promise<void> {
    const { State } = await this.inspect();
    await eventually(`${this.name} handles ${signal}`, async () => {
      const status = await readFile(`/proc/${State.Pid}/status`, "utf8");
      const [, caught = ""] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status) ?? [];
      const bit = BigInt(constants.signals[signal] - 1);
      if (((BigInt(`0x${caught}`) >> bit) & 1n) === 0n) throw new Error(`SigCgt is ${caught}`);
    });
  }

  async execute(command: string): Promise<void> {
    const run = await this.#container.exec({ Cmd: ["sh", "-c", command] });
    await run.start({ Detach: true });
    while ((await run.inspect()).Running) await sleep(10);
  }

  async start(): Promise<void> {
    await this.#container.start();
  }

  async remove(): Promise<void> {
    await this.#container.remove({ force: true });
  }

  async inspect(): Promise<Dockerode.ContainerInspectInfo> {
    return this.#container.inspect();
  }
}

function withProtocol(port: number | string): string {
  return String(port).includes("/") ? String(port) : `${port}/tcp`;
}

function probing(command: string): Dockerode.HealthConfig {
  // In nanoseconds; a command may wait for the test, on a machine that is busy.
  return { Test: ["CMD-SHELL", command], Interval: 1e8, Timeout: 3e11, Retries: 1 };
}

/** A shell that serves one page and ends `lingerSeconds` after SIGTERM, serving to the last. */
function webServer(options: RunOptions, port: string): readonly string[] {
  const script = [
    'printf %s "$0" > /www/index.html',
    `trap "sleep ${options.lingerSeconds ?? 0}; exit 0" TERM`,
    `httpd -f -p ${Number.parseInt(port, 10)} -h /www & wait`,
  ].join("; ");
  return ["sh", "-c", script, options.body ?? options.name ?? "a container"];
}

/** A directory with busybox and a link for each of its commands. */
async function makeRoot(root: string): Promise<void> {
  const busybox = findProgram("busybox") ?? "busybox";
  for (const directory of ["bin", "www", "tmp", "etc"])
    await mkdir(join(root, directory), { recursive: true });
  await copyFile(busybox, join(root, "bin", "busybox"));
  const { stdout } = await execute(busybox, ["--list"]);
  for (const command of stdout.split("\n"))
    if (command !== "" && command !== "busybox")
      await symlink("busybox", join(root, "bin", command));
}

/** `docker import` of it. */
async function importRoot(
  api: Dockerode,
  root: string,
  image: string,
  changes: readonly string[] = [],
): Promise<void> {
  const archive = spawn("tar", ["-C", root, "-c", "."], { stdio: ["ignore", "pipe", "inherit"] });
  const [repo, tag] = image.split(":");
  const answer = await api.importImage(archive.stdout, { repo, tag, changes: [...changes] });
  for await (const line of answer)
    if (String(line).includes('"error"')) throw new Error(`docker import: ${line}`);
}

interface Bridge {
  readonly name: string;
  readonly address: string;
}

/** A bridge with a free /24 under 10.213.0.0/16; the caller deletes it. */
async function createBridge(): Promise<Bridge> {
  const { stdout } = await execute("ip", ["-o", "-4", "address"]);
  const free = Array.from({ length: 254 }, (_, index) => index + 1).filter(
    (third) => !stdout.includes(` 10.213.${third}.`),
  );
  while (free.length > 0) {
    const [third = 0] = free.splice(Math.floor(Math.random() * free.length), 1);
    const name = `sluice${third}`;
    const address = `10.213.${third}.1`;
    // Whoever makes the link first has the network: another suite may look for one at the same time.
    if (!(await isAdded(name))) continue;
    await execute("ip", ["address", "add", `${address}/24`, "dev", name]);
    await execute("ip", ["link", "set", name, "up"]);
    return { name, address };
  }
  throw new Error("no free network under 10.213.0.0/16 for a bridge");
}

/** Adds a bridge; false where there is one of this name. */
async function isAdded(bridge: string): Promise<boolean> {
  try {
    await execute("ip", ["link", "add", "name", bridge, "type", "bridge"]);
    return true;
  } catch (error) {
    if (String(error).includes("File exists")) return false;
    throw error;
  }
}

async function removeContainers(api: Dockerode): Promise<void> {
  const containers = await api.listContainers({ all: true });
  await Promise.all(containers.map(({ Id }) => api.getContainer(Id).remove({ force: true })));
  await api.pruneNetworks();
}

/** dockerd leaves the mount of its own network namespace behind, and with it the directory. */
async function removeTraces(directory: string, bridge: string): Promise<void> {
  // What is mounted may go by itself at the same moment.
  await eventually(`nothing is mounted in ${directory}`, async () => {
    const mounts = await readFile("/proc/self/mounts", "utf8");
    const points = mounts
      .split("\n")
      .map((line) => line.split(" ")[1] ?? "")
      .filter((point) => point.startsWith(`${directory}/`))
      .reverse();
    for (const point of points) await execute("umount", [point]);
  });
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  if (existsSync(`/sys/class/net/${bridge}`)) await execute("ip", ["link", "delete", bridge]);
}

/** Ends and removes the engines of test runs that were killed before they could do so. */
async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [, owner] = new RegExp(`^${directoryPrefix}(\\d+)-`).exec(name) ?? [];
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue;
    const directory = join(tmpdir(), name);
    if (!(await isOurs(join(directory, "sweeper")))) continue;
    const dockerd = Number(await readOr(join(directory, "pid"), "0"));
    const runs = async () =>
      dockerd > 0 && (await readOr(`/proc/${dockerd}/cmdline`, "")).includes(directory);
    if (await runs()) process.kill(dockerd, "SIGTERM");
    const deadline = Date.now() + stopTimeoutMs;
    while ((await runs()) && Date.now() < deadline) await sleep(30);
    await removeTraces(directory, await readOr(join(directory, "bridge"), "none"));
  }
}

/** Whether this process is to sweep: another suite may have begun at the same time, or have died of it. */
async function isOurs(mark: string): Promise<boolean> {
  const isDead = async () => !existsSync(`/proc/${await readOr(mark, "none")}`);
  try {
    if (existsSync(mark) && (await isDead())) await rm(mark);
    await writeFile(mark, String(process.pid), { flag: "wx" });
    return true;
  } catch {
    // It has a sweeper, or is gone already.
    return false;
  }
}

async function readOr(path: string, fallback: string): Promise<string> {
  return existsSync(path) ? (await readFile(path, "utf8")).trim() : fallback;
}
