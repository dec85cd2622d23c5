/**
 * One instance of a demo service: a tiny HTTP server that registers itself with Consul's agent API and
 * deregisters on SIGTERM, as a well-behaved service does. Run as a process of its own:
 * `node gateway/demo/service.ts --name web --id web-1 --consul http://127.0.0.1:8500 [--tag sluice]`.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

/** How long requests are still taken after deregistering, while the news travels. */
const lameDuckMs = 300;
const agentTimeoutMs = 10_000;

const { values } = parseArgs({
  options: {
    name: { type: "string" },
    id: { type: "string" },
    consul: { type: "string" },
    tag: { type: "string", multiple: true, default: [] },
  },
});
const { name, id, consul, tag: tags } = values;
if (name === undefined || id === undefined || consul === undefined)
  throw new Error("--name, --id and --consul are needed");

async function tellAgent(path: string, body?: object): Promise<void> {
  const response = await fetch(`${consul}/v1/agent/service/${path}`, {
    method: "PUT",
    signal: AbortSignal.timeout(agentTimeoutMs),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: the agent answers ${response.status} ${text}`);
}

const server = createServer((request, response) => {
  request.resume();
  if (request.url === "/health") {
    response.end("ok\n");
    return;
  }
  response.setHeader("content-type", "text/plain");
  const line = `${id} (process ${process.pid}) answers ${request.method} ${request.url}`;
  response.end(`${line} for ${request.headers.host}\n`);
});

server.listen(0, "127.0.0.1");
await once(server, "listening");
const address = server.address();
if (address === null || typeof address === "string") throw new Error("no port");

try {
  // Consul's API, "Service - Agent HTTP API", "Register Service".
  await tellAgent("register", {
    ID: id,
    Name: name,
    Tags: tags,
    Address: "127.0.0.1",
    Port: address.port,
    Check: {
      HTTP: `http://127.0.0.1:${address.port}/health`,
      Interval: "1s",
      Timeout: "10s",
      Status: "passing",
      DeregisterCriticalServiceAfter: "1m",
    },
  });
} catch (error) {
  process.stderr.write(`${id}: ${describe(error)}\n`);
  process.exitCode = 1;
  server.close();
  process.channel?.unref();
}
if (server.listening) process.send?.({ port: address.port });

process.once("SIGTERM", async () => {
  try {
    await tellAgent(`deregister/${encodeURIComponent(id)}`);
    await sleep(lameDuckMs);
  } catch (error) {
    // An agent that has gone needs no deregistration; for any other the check will tell.
    process.stderr.write(`${id}: ${describe(error)}\n`);
  }
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // `fetch` says no more than that it failed; the socket's error is its cause.
  return error.cause instanceof Error ? error.cause.message : error.message;
}
