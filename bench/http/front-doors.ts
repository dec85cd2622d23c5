/**
 * Proxies with a port of their own for TLS, or for HTTP/2 in clear, each on one core: the engine, nginx, HAProxy and, where
 * an environment variable names their program, Caddy and Traefik.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestCertificate } from "../../test/support/certificates.ts";
import { freePort } from "../../test/support/ports.ts";
import type { Contending } from "./comparison.ts";
import { nginxFrame, nginxLocation } from "./contenders.ts";
import { host, type Processes, type Started } from "./processes.ts";
import { workerCommand } from "./worker-command.ts";

/** What all front doors of one row have in common. */
export interface Doors {
  readonly processes: Processes;
  readonly core: number;
  /** A folder that the contenders may read, and that no other row has. */
  readonly folder: string;
  /** `null`: HTTP/2 in clear. */
  readonly certificate: TestCertificate | null;
  readonly originPort: number;
  /** `grpc`: the origin is a server of gRPC, in clear. */
  readonly origin: "http1" | "grpc";
  /** Resolves when the origin answers through this port, which speaks HTTP/2 in clear. For gRPC. */
  readonly answersCalls?: (port: number) => Promise<void>;
}

interface Files {
  readonly chain: string;
  readonly key: string;
  readonly both: string;
}

/** A front door, and a port beside it where plain HTTP/1.1 shows whether it is there. */
interface Opened {
  readonly started: Started;
  readonly port: number;
  readonly plainPort: number;
}

type Open = (doors: Doors, root: string, files: Files | null) => Promise<Opened>;

/** Opens all that can be had on this machine. Says which cannot. */
export async function openDoors(
  doors: Doors,
  say: (line: string) => void,
): Promise<readonly Contending[]> {
  await mkdir(doors.folder, { mode: 0o755 });
  const files = doors.certificate === null ? null : await write(doors.folder, doors.certificate);
  const all: readonly (readonly [string, Open | string])[] = [
    ["engine", openEngine],
    ["nginx", openNginx],
    ["HAProxy", openHaproxy],
    ["Caddy", fromEnvironment("CADDY_BIN", openCaddy)],
    ["Traefik", fromEnvironment("TRAEFIK_BIN", openTraefik)],
  ];
  const contending: Contending[] = [];
  for (const [name, open] of all) {
    if (typeof open === "string") {
      say(`Without ${name}: ${open}.`);
      continue;
    }
    const root = join(doors.folder, name);
    await mkdir(root, { mode: 0o755 });
    const { started, port, plainPort } = await open(doors, root, files);
    if (doors.answersCalls !== undefined) await doors.answersCalls(port);
    else await started.answers(`http://127.0.0.1:${plainPort}/small`, host);
    contending.push({ name, port, pid: started.pid });
  }
  return contending;
}

async function write(folder: string, { cert, key }: TestCertificate): Promise<Files> {
  const files = {
    chain: join(folder, "chain.pem"),
    key: join(folder, "key.pem"),
    both: join(folder, "both.pem"),
  };
  await writeFile(files.chain, cert, { mode: 0o644 });
  await writeFile(files.key, key, { mode: 0o644 });
  await writeFile(files.both, cert + key, { mode: 0o644 });
  return files;
}

function fromEnvironment(
  variable: string,
  open: (doors: Doors, root: string, files: Files | null, program: string) => Promise<Opened>,
): Open | string {
  const program = process.env[variable];
  if (program === undefined || program === "") return `${variable} names no program`;
  return (doors, root, files) => open(doors, root, files, program);
}

const openEngine: Open = async ({ processes, core, originPort, origin }, _root, files) => {
  const command = workerCommand(
    join(import.meta.dirname, "engine-worker.ts"),
    ...[String(originPort), origin === "grpc" ? "h2c" : "http1"],
    ...(files === null ? [] : [files.chain, files.key]),
  );
  const started = processes.start(core, command);
  const [, port] = await started.line(/^port (\d+)$/);
  const [, plainPort] = await started.line(/^plain (\d+)$/);
  return { started, port: Number(port), plainPort: Number(plainPort) };
};

const openNginx: Open = async ({ processes, core, originPort, origin }, root, files) => {
  const [port, plainPort] = [await freePort(), await freePort()];
  const secrets =
    files === null
      ? ""
      : `ssl_certificate ${files.chain};
    ssl_certificate_key ${files.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;`;
  const config = nginxFrame(
    root,
    `
    upstream origin {
      server 127.0.0.1:${originPort};
      keepalive 1024;
      keepalive_requests 1000000000;
    }
    keepalive_timeout 600s;
    ${secrets}
    server {
      listen 127.0.0.1:${port} ${files === null ? "" : "ssl"} http2 backlog=4096;
      listen 127.0.0.1:${plainPort};
${origin === "grpc" ? "      location / { grpc_pass grpc://origin; }" : nginxLocation}
    }`,
  );
  const file = join(root, "nginx.conf");
  await writeFile(file, config);
  const started = processes.start(core, ["nginx", "-p", root, "-c", file]);
  return { started, port, plainPort };
};

const openHaproxy: Open = async ({ processes, core, originPort, origin }, root, files) => {
  const [port, plainPort] = [await freePort(), await freePort()];
  const file = join(root, "haproxy.cfg");
  const how = files === null ? "proto h2" : `ssl crt ${files.both} alpn h2,http/1.1`;
  await writeFile(
    file,
    `global
  nbthread 1
  maxconn 4000
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout http-keep-alive 600s
  timeout http-request 600s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend gateway
  bind 127.0.0.1:${port} ${how} backlog 4096
  bind 127.0.0.1:${plainPort}
  default_backend origin
backend origin
  server origin 127.0.0.1:${originPort} ${origin === "grpc" ? "proto h2" : ""}
`,
  );
  const started = processes.start(core, ["haproxy", "-db", "-f", file]);
  return { started, port, plainPort };
};

/** Programs in Go have as many threads as they may run at once, and so one more core would not help them. */
const oneThread = ["env", "GOMAXPROCS=1"];

async function openCaddy(
  { processes, core, originPort, origin }: Doors,
  root: string,
  files: Files | null,
  program: string,
): Promise<Opened> {
  const [port, plainPort] = [await freePort(), await freePort()];
  const file = join(root, "Caddyfile");
  const to = `${origin === "grpc" ? "h2c://" : ""}127.0.0.1:${originPort}`;
  const site = (address: string, tls: string) =>
    `${address} {\n  bind 127.0.0.1\n  ${tls}\n  reverse_proxy ${to}\n}\n`;
  const options = `admin off
  auto_https off
  persist_config off
  storage file_system ${root}
  log {
    output discard
  }
  servers {
    protocols h1 h2 h2c
  }`;
  const door =
    files === null
      ? site(`http://:${port}`, "")
      : site(`https://:${port}`, `tls ${files.chain} ${files.key}`);
  await writeFile(file, `{\n  ${options}\n}\n${door}${site(`http://:${plainPort}`, "")}`);
  const run = [...oneThread, `HOME=${root}`, program, "run", "--config", file];
  const started = processes.start(core, [...run, "--adapter", "caddyfile"]);
  return { started, port, plainPort };
}

async function openTraefik(
  { processes, core, originPort, origin }: Doors,
  root: string,
  files: Files | null,
  program: string,
): Promise<Opened> {
  const [port, plainPort] = [await freePort(), await freePort()];
  const rules = join(root, "rules.json");
  const router = { rule: "PathPrefix(`/`)", service: "origin" };
  const routers = {
    door: { ...router, entryPoints: ["door"], ...(files === null ? {} : { tls: {} }) },
    plain: { ...router, entryPoints: ["plain"] },
  };
  const url = `${origin === "grpc" ? "h2c" : "http"}://127.0.0.1:${originPort}`;
  const services = { origin: { loadBalancer: { servers: [{ url }] } } };
  const pair = files === null ? null : { certFile: files.chain, keyFile: files.key };
  const tls = pair === null ? {} : { tls: { stores: { default: { defaultCertificate: pair } } } };
  await writeFile(rules, JSON.stringify({ http: { routers, services }, ...tls }));
  const file = join(root, "traefik.json");
  const entryPoints = {
    door: { address: `127.0.0.1:${port}` },
    plain: { address: `127.0.0.1:${plainPort}` },
  };
  const global = { checkNewVersion: false, sendAnonymousUsage: false };
  const fixed = {
    ...{ global, entryPoints, log: { level: "ERROR" } },
    providers: { file: { filename: rules } },
  };
  await writeFile(file, JSON.stringify(fixed));
  const run = [...oneThread, program, `--configFile=${file}`];
  const started = processes.start(core, run);
  return { started, port, plainPort };
}
