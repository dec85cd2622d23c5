/** Ports of this machine that nobody uses now, for what cannot be given the port 0. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below the ports that systems give to connections and to listeners on port 0 (from 32768 in Linux), so that
 * nothing takes one while it waits for its listener, nor while its listener is away. Each of the processes of one test
 * run has its own; those of several runs leave each other's alone (`claim`).
 */
const first = 10_000;
const slice = 1_800;
const slices = 12;
/** Mocha numbers the processes of its parallel mode; outside of it there is one, without a number. */
const start = (Number(process.env.MOCHA_WORKER_ID ?? slices - 1) % slices) * slice + first;
/** Runs one after the other begin somewhere else. */
let next = Math.floor(Math.random() * slice);

/** For TCP on 127.0.0.1; the same number is free for UDP. No two calls of a process have the same one soon. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < slice; tries += 1) {
    const port = start + next;
    next = (next + 1) % slice;
    if ((await isFreeForTcp(port)) && (await isFreeForUdp(port)) && (await claim(port)))
      return port;
  }
  throw new Error(`no port from ${start} to ${start + slice} is free`);
}

async function isFreeForTcp(port: number): Promise<boolean> {
  const server = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (isFree) await once(server.close(), "close");
  return isFree;
}

async function isFreeForUdp(port: number): Promise<boolean> {
  const socket = createSocket("udp4");
  const isFree = await new Promise<boolean>((resolve) => {
    socket.once("error", () => resolve(false));
    socket.bind(port, "127.0.0.1", () => resolve(true));
  });
  socket.close();
  await once(socket, "close");
  return isFree;
}

/** Ports that this process was given. */
const claimed = new Set<number>();

/** Keeps the port from the processes of other runs until this one ends, by a name that is a file's in no folder. */
async function claim(port: number): Promise<boolean> {
  if (claimed.has(port)) return true;
  const server = createServer();
  const isOurs = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(`\0sluice-test-port-${port}`, () => resolve(true));
  });
  if (!isOurs) return false;
  server.unref();
  claimed.add(port);
  return true;
}
