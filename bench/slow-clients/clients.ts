/**
 * Many clients of one kind in one process, from one local address. Prints `ready` once all are where
 * they should be. On SIGUSR2 they leave, and what they saw is printed as JSON.
 *
 *     node clients.ts KIND PORT COUNT ADDRESS
 */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { host } from "../http/processes.ts";

/** What the clients of one process saw. */
export interface Seen {
  readonly opened: number;
  /** Connections that the gateway closed. */
  readonly closed: number;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly bytes: number;
}

/** Connections that are being opened at once: less than any listener's queue. */
const opening = 100;
const head = `GET /small HTTP/1.1\r\nHost: ${host}\r\nAccept: */*\r\nUser-Agent: bench/1.0\r\n`;
const bodyBytesPerSecond = 10_000;
/** Stays until it is ended, but no longer than this: a benchmark that was killed leaves nobody. */
const longestMs = 300_000;
const readsPerSecond = 4;

const [kind = "", port = "", count = "", address = ""] = process.argv.slice(2);
const sockets = new Set<Socket>();
const statuses: Record<string, number> = {};
let opened = 0;
let closed = 0;
let bytes = 0;
let isOver = false;

process.once("SIGUSR2", () => {
  isOver = true;
  for (const socket of sockets) socket.destroy();
  const seen: Seen = { opened, closed, statuses, bytes };
  process.stdout.write(`seen ${JSON.stringify(seen)}\n`);
});

setTimeout(() => process.exit(1), longestMs);

const kinds: Readonly<Record<string, () => Promise<void>>> = {
  idle: openIdle,
  head: () => openAll(dripHead),
  body: () => openAll(readSlowly),
};
const open = kinds[kind];
if (open === undefined) throw new Error(`no kind of client: ${kind}`);
await open();
process.stdout.write("ready\n");

/** Clients that got one answer and keep their connection. */
function openIdle(): Promise<void> {
  return openAll(async (socket) => {
    const answered = new Promise<void>((resolve, reject) => {
      socket.once("data", () => resolve());
      socket.once("close", () => reject(new Error("closed before its answer")));
    });
    socket.write(`${head}\r\n`);
    await answered;
  });
}

/** A head at one byte a second, begun again on a new connection when the gateway has had enough. */
async function dripHead(socket: Socket): Promise<void> {
  const line = `${head}X-Padding: ${"x".repeat(4_000)}`;
  let at = 0;
  // Spread over the second, as a thousand clients of their own would be.
  await sleep(Math.random() * 1_000);
  const timer = setInterval(() => {
    socket.write(line.charAt(at % line.length));
    at += 1;
  }, 1_000);
  socket.once("close", () => {
    clearInterval(timer);
    if (!isOver) void openOne().then(dripHead);
  });
}

/** A large body, read so slowly that it is the client that everybody waits for. */
async function readSlowly(socket: Socket): Promise<void> {
  socket.removeAllListeners("data");
  socket.pause();
  socket.write(`GET /100m HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  let isBegun = false;
  const timer = setInterval(() => {
    const piece: Buffer | null = socket.read(bodyBytesPerSecond / readsPerSecond);
    if (piece === null) return;
    bytes += piece.length;
    if (!isBegun) countStatus(piece);
    isBegun = true;
  }, 1_000 / readsPerSecond);
  socket.once("close", () => clearInterval(timer));
}

async function openAll(use: (socket: Socket) => Promise<void>): Promise<void> {
  let left = Number(count);
  const one = async () => {
    while (left > 0) {
      left -= 1;
      await use(await openOne());
    }
  };
  await Promise.all(Array.from({ length: opening }, one));
}

async function openOne(): Promise<Socket> {
  const socket = connect({
    host: "127.0.0.1",
    port: Number(port),
    localAddress: address,
    noDelay: true,
  });
  sockets.add(socket);
  socket.on("data", countStatus);
  socket.on("error", () => {});
  socket.once("close", () => {
    sockets.delete(socket);
    if (!isOver) closed += 1;
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("close", () => reject(new Error("not connected")));
  });
  opened += 1;
  return socket;
}

function countStatus(piece: Buffer): void {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(piece.toString("latin1", 0, 12))?.[1];
  if (status !== undefined) statuses[status] = (statuses[status] ?? 0) + 1;
}
