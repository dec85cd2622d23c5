/**
 * The library http-proxy before the origin: `PORT keep` with an agent that keeps connections, `PORT` as it
 * comes, with a connection to the origin for each request. Prints its port.
 */
import { Agent, createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** The part of the library that is used here; the package comes without types of its own. */
interface HttpProxy {
  on(event: "error", listener: (error: Error) => void): void;
  web(request: IncomingMessage, response: ServerResponse): void;
}

interface HttpProxyModule {
  readonly default: { createProxyServer(options: object): HttpProxy };
}

// Named at run time, so that the project can be checked where the package is not installed.
const library = "http-proxy";
const { default: httpProxy } = (await import(library)) as HttpProxyModule;
const [port, connections] = process.argv.slice(2);
const kept = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 1_024 };
const proxy = httpProxy.createProxyServer({
  target: { host: "127.0.0.1", port: Number(port) },
  ...(connections === "keep" ? { agent: new Agent(kept) } : {}),
  xfwd: true,
});
proxy.on("error", (error) => {
  throw error;
});
const server = createServer((request, response) => proxy.web(request, response));
server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a TCP address");
  process.stdout.write(`port ${address.port}\n`);
});
