/** A whole gateway for the measurements of scripts: an embedded agent, a host for each script, one origin. */
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../../test/support/ports.ts";
import type { Processes } from "../http/processes.ts";

export interface GatewayUnderTest {
  readonly processes: Processes;
  /** The core of the gateway, and the one of everything that is not measured. */
  readonly core: number | string;
  readonly otherCore: number;
  readonly directory: string;
  readonly originPort: number;
  readonly workers: number;
  /** The script of each host; `null`: none. All are forwarded to the origin. */
  readonly hosts: Readonly<Record<string, string | null>>;
  /** Whether to resolve as soon as it serves anybody. Default: when every script was looked at. */
  readonly isEager?: boolean;
  /** Flags of `sluice start` beyond the addresses. */
  readonly flags?: readonly string[];
  /** A file for what it writes to its standard output. Default: nobody keeps it. */
  readonly output?: string;
}

export interface RunningGateway {
  readonly port: number;
  /** `http://address:port` of the admin API. */
  readonly admin: string;
  /** Of the primary. */
  readonly pid: number;
  /** By `performance.now()`. */
  readonly startedAtMs: number;
}

const cli = fileURLToPath(new URL("../../gateway/cli.ts", import.meta.url));

/** Starts the agent and the gateway. */
export async function startGateway(given: GatewayUnderTest): Promise<RunningGateway> {
  const { processes, directory, originPort } = given;
  const [consulPort, port, adminPort] = [await freePort(), await freePort(), await freePort()];
  const consul = `http://127.0.0.1:${consulPort}`;
  const admin = `http://127.0.0.1:${adminPort}`;
  const agent = processes.start(given.otherCore, [
    ...[process.execPath, cli, "agent", "--http", `127.0.0.1:${consulPort}`],
    ...["--data-dir", join(directory, "agent")],
  ]);
  await agent.answers(`${consul}/v1/agent/self`);
  const put = async (key: string, body: string): Promise<void> => {
    const stored = await fetch(`${consul}/v1/kv/sluice/${key}`, { method: "PUT", body });
    if (!stored.ok) throw new Error(`the agent refused ${key}: ${stored.status}`);
  };
  const upstream = JSON.stringify({ servers: [{ host: "127.0.0.1", port: originPort }] });
  for (const [host, script] of Object.entries(given.hosts)) {
    await put(`upstreams/${host}`, upstream);
    if (script !== null) await put(`scripts/${host}`, script);
  }
  const startedAtMs = performance.now();
  // The shell becomes the gateway.
  const into = given.output === undefined ? [] : ["sh", "-c", `exec "$@" > "$0"`, given.output];
  const started = processes.start(given.core, [
    ...into,
    ...[process.execPath, cli, "start", "--workers", String(given.workers), "--consul", consul],
    ...["--http", `127.0.0.1:${port}`, "--admin", `127.0.0.1:${adminPort}`],
    ...["--log-level", "fatal", ...(given.flags ?? [])],
  ]);
  await started.answers(`${admin}/readyz`);
  while (!given.isEager && (await isExamining(admin))) await setTimeout(100);
  return { port, admin, pid: started.pid, startedAtMs };
}

/** Whether any host is without its script for the time being. */
export async function isExamining(admin: string): Promise<boolean> {
  const status = await (await fetch(`${admin}/status`)).json();
  const { scripts } = status as { scripts: readonly { outOfService: string | null }[] };
  return scripts.some(({ outOfService }) => outOfService === "not examined yet");
}
