/** The proxies that are measured, each with one worker, forwarding to one origin over kept connections. */
import { mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../../test/support/ports.ts";
import { host, type Processes, type Started } from "./processes.ts";
import { workerCommand } from "./worker-command.ts";

/** What a contender is started with. */
export interface Setting {
  readonly processes: Processes;
  /** The core of the contender, and the one of everything that is not measured. */
  readonly core: number;
  readonly otherCore: number;
  readonly originPort: number;
  /** A folder of the contender's own; it exists. */
  readonly directory: string;
}

export interface Running {
  readonly port: number;
  /** Whose memory is looked at, with the processes that it started. */
  readonly pid: number;
}

export interface Contender {
  readonly name: string;
  /** Why it cannot be measured on this machine; `null` when it can. */
  missing(): string | null;
  start(setting: Setting): Promise<Running>;
}

const repository = fileURLToPath(new URL("../..", import.meta.url));

/** The engine with a handler that always picks the one peer: what everything else comes on top of. */
export const engine: Contender = engineAs("sluice, engine alone", repository);

/** The same of another checkout of the project, with its own `node_modules`. */
export function engineBefore(checkout: string): Contender {
  return engineAs("sluice before, engine alone", checkout);
}

function engineAs(name: string, checkout: string): Contender {
  const worker = join(checkout, "bench", "http", "engine-worker.ts");
  return {
    name,
    missing: () => null,
    start: (setting) => startWorker(setting, workerCommand(worker, String(setting.originPort))),
  };
}

/** Host documents beside the one that is asked for: a table of a real size. */
const hostDocuments = 10_000;
/** Operations in one of Consul's transactions (its Transaction API page). */
const transactionSize = 64;

/** The whole gateway with one worker, its routes from Consul's key-value store; memory is the worker's. */
export const gateway: Contender = gatewayAs("sluice", repository, () => []);

/** The same of another checkout of the project, with its own `node_modules`. */
export function gatewayBefore(checkout: string): Contender {
  return gatewayAs("sluice before", checkout, () => []);
}

/** The same with its access log, written to a file. */
export const loggingGateway: Contender = gatewayAs(
  "sluice, access log",
  repository,
  (directory) => ["--access-log", join(directory, "access.log")],
);

function gatewayAs(
  name: string,
  checkout: string,
  flags: (directory: string) => readonly string[],
): Contender {
  return {
    name,
    missing: () => null,
    async start({ processes, core, otherCore, originPort, directory }) {
      const cli = join(checkout, "gateway", "cli.ts");
      const [consulPort, port, adminPort] = [await freePort(), await freePort(), await freePort()];
      const consul = `http://127.0.0.1:${consulPort}`;
      const agent = processes.start(otherCore, [
        process.execPath,
        cli,
        ...["agent", "--http", `127.0.0.1:${consulPort}`, "--data-dir", join(directory, "agent")],
      ]);
      await agent.answers(`${consul}/v1/agent/self`);
      await store(consul, originPort);
      const admin = `127.0.0.1:${adminPort}`;
      const started = processes.start(core, [
        process.execPath,
        cli,
        ...["start", "--workers", "1", "--consul", consul, "--http", `127.0.0.1:${port}`],
        ...["--admin", admin, ...flags(directory)],
      ]);
      const running = await whenAnswering(started, port);
      const answer = await fetch(`http://${admin}/status`);
      const status = (await answer.json()) as { workers: readonly { pid: number }[] };
      return { ...running, pid: status.workers[0]?.pid ?? running.pid };
    },
  };
}

/** Puts the upstream, the host that is asked for and all the others into Consul. */
async function store(consul: string, originPort: number): Promise<void> {
  const entry = (key: string, document: object) => ({
    KV: {
      Verb: "set",
      Key: `sluice/${key}`,
      Value: Buffer.from(JSON.stringify(document)).toString("base64"),
    },
  });
  const paths = { "/": "origin" };
  const entries = [
    entry("upstreams/origin", { servers: [{ host: "127.0.0.1", port: originPort }] }),
    entry(`hosts/${host}`, { paths }),
    ...Array.from({ length: hostDocuments }, (_, at) =>
      entry(`hosts/h${at}.example.com`, { paths }),
    ),
  ];
  for (let at = 0; at < entries.length; at += transactionSize) {
    const body = JSON.stringify(entries.slice(at, at + transactionSize));
    const stored = await fetch(`${consul}/v1/txn`, { method: "PUT", body });
    if (!stored.ok) throw new Error(`the agent refused the documents: ${stored.status}`);
  }
}

/** Of nginx: sends everything to its upstream `origin`, with the fields that the gateway writes. */
export const nginxLocation = `      location / {
        proxy_pass http://origin;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Request-Id $request_id;
      }`;

/** http-proxy with an agent that keeps connections to the origin. */
export const httpProxy: Contender = httpProxyAs("http-proxy", ["keep"]);

/** http-proxy as its own documentation begins: a connection to the origin for each request. */
export const plainHttpProxy: Contender = httpProxyAs("http-proxy, as it comes", []);

function httpProxyAs(name: string, flags: readonly string[]): Contender {
  return {
    name,
    missing() {
      try {
        createRequire(import.meta.url).resolve("http-proxy");
        return null;
      } catch {
        return "the package http-proxy is not installed";
      }
    },
    start: (setting) => startNode(setting, here("http-proxy-worker.ts"), flags),
  };
}

/** A pipe of bytes between sockets of Node's: no proxy on them is faster by much. */
export const pipe: Contender = {
  name: "a bare pipe on Node",
  missing: () => null,
  start: (setting) => startNode(setting, here("pipe-worker.ts")),
};

/** What the gateway's own records have, in batches of the same size. */
const nginxFormat = `
    log_format record escape=json '{"time":"$time_iso8601","msg":"request","id":"$request_id",'
      '"client":"$remote_addr","method":"$request_method","host":"$host","target":"$request_uri",'
      '"status":$status,"ms":$request_time,"bytesOut":$body_bytes_sent,"upstream":"origin",'
      '"peer":"$upstream_addr","userAgent":"$http_user_agent","name":"nginx","hostname":"$hostname",'
      '"pid":$pid,"level":30,"v":0}';`;

export const nginx: Contender = nginxAs("nginx", "off");

export const loggingNginx: Contender = nginxAs(
  "nginx, access log",
  "access.log record buffer=256k flush=1s",
);

function nginxAs(name: string, log: string): Contender {
  return {
    name,
    missing: () => null,
    async start({ processes, core, originPort, directory }) {
      const port = await freePort();
      const config = nginxFrame(
        directory,
        `${nginxFormat}
    upstream origin {
      server 127.0.0.1:${originPort};
      keepalive 1024;
      keepalive_requests 1000000000;
    }
    server {
      listen 127.0.0.1:${port} backlog=4096;
      access_log ${log};
${nginxLocation}
    }`,
      );
      await writeFile(join(directory, "nginx.conf"), config);
      const file = join(directory, "nginx.conf");
      const started = processes.start(core, ["nginx", "-p", directory, "-c", file]);
      return whenAnswering(started, port);
    },
  };
}

export const haproxy: Contender = {
  name: "HAProxy",
  missing: () => null,
  async start({ processes, core, originPort, directory }) {
    const port = await freePort();
    const file = join(directory, "haproxy.cfg");
    await writeFile(
      file,
      `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend gateway
  bind 127.0.0.1:${port} backlog 4096
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Request-Id %[uuid]
  default_backend origin
backend origin
  server origin 127.0.0.1:${originPort}
`,
    );
    const started = processes.start(core, ["haproxy", "-db", "-f", file]);
    return whenAnswering(started, port);
  },
};

function startNode(
  setting: Setting,
  path: string,
  flags: readonly string[] = [],
): Promise<Running> {
  const { originPort } = setting;
  return startWorker(setting, [process.execPath, path, String(originPort), ...flags]);
}

/** A worker of ours that prints its port once it listens. */
async function startWorker(
  { processes, core }: Setting,
  command: readonly string[],
): Promise<Running> {
  const started: Started = processes.start(core, command);
  const [, port] = await started.line(/^port (\d+)$/);
  return whenAnswering(started, Number(port));
}

function here(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

export async function whenAnswering(started: Started, port: number): Promise<Running> {
  await started.answers(`http://127.0.0.1:${port}/small`, host);
  return { port, pid: started.pid };
}

/** What every nginx of the benchmark has in common: one worker, no log, its files in `directory`. */
export function nginxFrame(directory: string, http: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `    ${kind}_temp_path ${join(directory, kind)};`)
    .join("\n");
  return `daemon off;
pid ${join(directory, "nginx.pid")};
error_log ${join(directory, "error.log")} warn;
worker_processes 1;
events { worker_connections 16384; }
http {
    access_log off;
    keepalive_requests 1000000000;
${temporary}
${http}
}
`;
}

/** Makes a contender's folder, readable for a worker that runs as another user. */
export async function folderOf(parent: string, contender: Contender): Promise<string> {
  const directory = join(parent, contender.name.replaceAll(/\W+/g, "-"));
  await mkdir(directory, { recursive: true, mode: 0o755 });
  return directory;
}
