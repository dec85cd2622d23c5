/** Sluice and nginx in front of the same origins, with equal settings. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../test/support/ports.ts";
import type { Parts } from "../end-to-end/parts.ts";
import { host, Processes } from "../http/processes.ts";

/** Seconds; both heed them. */
export const settings = {
  failTimeout: 5,
  connectTimeout: 1,
  readTimeout: 1,
  workers: 2,
} as const;

/** What differs from one case to the next. */
export interface Choice {
  readonly policy: "wrr" | "least_conn" | "ewma";
  /** Whether an answer with status 500 is asked for again elsewhere, and counts as a failure. */
  readonly retries500: boolean;
}

export interface Contender {
  readonly name: string;
  /** Resolves to the port to ask. */
  open(ports: readonly number[], choice: Choice): Promise<number>;
  /** Epoch milliseconds at which it said that the server on this port is out, from then on; `null`: it says nothing of the kind. */
  outAt(port: number, fromMs: number): number | null;
  close(): Promise<void>;
}

export function sluice(parts: Parts, httpPort: number): Contender {
  return {
    name: "sluice",
    async open(ports, { policy, retries500 }) {
      const { failTimeout, connectTimeout, readTimeout } = settings;
      const servers = ports.map((port) => ({
        ...{ host: "127.0.0.1", port, max_fails: 1, fail_timeout: failTimeout },
      }));
      const next = ["error", "timeout", ...(retries500 ? ["http_500"] : [])];
      await parts.writes.put("upstreams/failing", {
        ...{ servers, policy, next_upstream: next, try: 4 },
        ...{ connect_timeout: connectTimeout, read_timeout: readTimeout },
      });
      await parts.writes.put(`hosts/${host}`, { paths: { "/": "failing" } });
      await parts.gateway.caughtUp();
      return httpPort;
    },
    outAt(port, fromMs) {
      for (const { peer, state, time } of parts.gateway.records) {
        const atMs = Date.parse(String(time));
        if (peer === `127.0.0.1:${port}` && state === "err" && atMs >= fromMs) return atMs;
      }
      return null;
    },
    async close() {
      await parts.writes.remove(`hosts/${host}`);
      await parts.writes.remove("upstreams/failing");
      await parts.gateway.caughtUp();
    },
  };
}

export function nginx(): Contender {
  let processes = new Processes();
  let directory = "";
  return {
    name: "nginx",
    async open(ports, { policy, retries500 }) {
      processes = new Processes();
      directory = await mkdtemp(join(tmpdir(), "sluice-failures-nginx-"));
      const port = await freePort();
      const { failTimeout, connectTimeout, readTimeout, workers } = settings;
      const servers = ports.map(
        (one) => `    server 127.0.0.1:${one} max_fails=1 fail_timeout=${failTimeout}s;`,
      );
      const config = `
worker_processes ${workers};
daemon off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log crit;
events { worker_connections 10000; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  upstream failing {
    zone failing 256k;
${policy === "wrr" ? "" : "    least_conn;\n"}${servers.join("\n")}
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    keepalive_requests 1000000;
    location / {
      proxy_pass http://failing;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout ${connectTimeout}s;
      proxy_read_timeout ${readTimeout}s;
      proxy_next_upstream error timeout${retries500 ? " http_500" : ""};
      proxy_next_upstream_tries 4;
    }
  }
}
`;
      const path = join(directory, "nginx.conf");
      await writeFile(path, config);
      const started = processes.start("0-1", ["nginx", "-c", path, "-p", directory]);
      await started.answers(`http://127.0.0.1:${port}/`, host);
      return port;
    },
    outAt: () => null,
    async close() {
      await processes.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
