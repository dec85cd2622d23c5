/** Addresses that cannot be connected to: one that refuses, and one that is silent. */
import { connect, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { Peer } from "../../gateway/engine/engine.ts";
import { startOrigin } from "./origin.ts";

const BACKLOG = 1;

/**
 * Listens and then blocks for ever, so that nobody takes connections off the queue. The event loop
 * of a thread of its own is blocked, since Node accepts whatever comes while its loop turns.
 */
const LISTENER = `
  const { parentPort } = require("node:worker_threads");
  const server = require("node:net").createServer();
  server.listen({ host: "127.0.0.1", port: 0, backlog: ${BACKLOG} }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

/** A peer on which nobody listens. */
export async function refusingPeer(): Promise<Peer> {
  const origin = await startOrigin("");
  const { port } = origin;
  await origin.close();
  return new Peer("127.0.0.1", port);
}

/**
 * A port that neither accepts nor refuses: connections to it hang, as to a host that went away.
 * `bench.later` closes it when the test is over.
 */
export async function silentPort(bench: {
  later(close: () => void | Promise<void>): void;
}): Promise<number> {
  const worker = new Worker(LISTENER, { eval: true });
  const fillers: Socket[] = [];
  bench.later(async () => {
    for (const socket of fillers) socket.destroy();
    await worker.terminate();
  });
  const port = await new Promise<number>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  // Linux completes one handshake more than the queue is long, and drops what comes after.
  for (let n = 0; n <= BACKLOG; n += 1) {
    const socket = connect({ host: "127.0.0.1", port });
    fillers.push(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    socket.on("error", () => {});
  }
  return port;
}
