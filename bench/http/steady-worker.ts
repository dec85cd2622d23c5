/**
 * A load at a fixed rate, whether or not answers come in time, and how long each answer took from the
 * moment its request was due: `node steady-worker.ts PORT RATE SECONDS CONNECTIONS`. Prints one line of JSON.
 * wrk asks as fast as it is answered and so cannot tell what a client sees below the highest rate.
 */
import { connect, type Socket } from "node:net";
import { host } from "./processes.ts";

const [port = 0, rate = 0, seconds = 0, connections = 0] = process.argv.slice(2).map(Number);
const request = `GET /small HTTP/1.1\r\nHost: ${host}\r\nAccept: */*\r\nUser-Agent: bench/1.0\r\n\r\n`;
const headEnd = "\r\n\r\n";

interface Client {
  readonly socket: Socket;
  /** When the request that is under way was due, in ms. */
  dueMs: number;
  /** Bytes of an answer, and what has come of the current one. */
  answerBytes: number;
  received: number;
}

const idle: Client[] = [];
const latenciesMs: number[] = [];
let failed = 0;

function open(): Promise<Client> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    const client: Client = { socket, dueMs: 0, answerBytes: 0, received: 0 };
    socket.once("connect", () => resolve(client));
    socket.once("error", reject);
    socket.on("data", (chunk: Buffer) => onData(client, chunk));
  });
}

function onData(client: Client, chunk: Buffer): void {
  if (client.received === 0) {
    const text = chunk.toString("latin1");
    if (!text.startsWith("HTTP/1.1 200")) failed += 1;
    const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1];
    client.answerBytes = text.indexOf(headEnd) + headEnd.length + Number(length);
  }
  client.received += chunk.length;
  if (client.received < client.answerBytes) return;
  client.received = 0;
  latenciesMs.push(performance.now() - client.dueMs);
  idle.push(client);
}

for (let n = 0; n < connections; n += 1) idle.push(await open());
const startMs = performance.now();
const total = rate * seconds;
let sent = 0;
while (latenciesMs.length < total) {
  const due = Math.min(total, Math.floor(((performance.now() - startMs) / 1000) * rate));
  while (sent < due) {
    const client = idle.pop();
    if (client === undefined) break;
    client.dueMs = startMs + (sent / rate) * 1000;
    client.socket.write(request, "latin1");
    sent += 1;
  }
  if (performance.now() - startMs > seconds * 3000) break;
  await new Promise((resolve) => setImmediate(resolve));
}
latenciesMs.sort((a, b) => a - b);
const at = (share: number) => latenciesMs[Math.floor(latenciesMs.length * share)] ?? Number.NaN;
const answered = latenciesMs.length;
const seen = { p50Ms: at(0.5), p99Ms: at(0.99), failed: failed + total - answered };
process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0));
