/** Addresses that cannot be connected to: one that refuses, one that is silent, one that falls silent. */
import { connect, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { Peer } from "../../gateway/engine/engine.ts";

const BACKLOG = 1;

/** What the thread finds when it is woken: stay silent, or answer once on the connection of before. */
const told = { nothing: 0, answer: 1 } as const;

/**
 * Answers every request with the number of its connection, and blocks when it is told to, so that nobody
 * takes connections off the queue. The event loop of a thread of its own is blocked, since Node accepts
 * whatever comes while its loop turns.
 */
const LISTENER = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { writeSync } = require("node:fs");
  let count = 0;
  let answerOnLast = () => {};
  const server = require("node:net").createServer((socket) => {
    const body = String((count += 1));
    const answer = "HTTP/1.1 200 OK\\r\\nContent-Length: " + body.length + "\\r\\n\\r\\n" + body;
    socket.on("data", () => socket.write(answer)).on("error", () => {});
    answerOnLast = () => writeSync(socket._handle.fd, answer);
  });
  server.listen({ host: "127.0.0.1", port: 0, backlog: ${BACKLOG} }, () => {
    parentPort.postMessage(server.address().port);
  });
  parentPort.on("message", () => {
    parentPort.postMessage("silent");
    for (;;) {
      Atomics.wait(workerData, 0, ${told.nothing});
      Atomics.store(workerData, 0, ${told.nothing});
      answerOnLast();
    }
  });
`;

let refusing = 0;

/**
 * A peer on which nobody listens, each at an address of its own. A port that was free a moment ago may be
 * another suite's by now; on port 1 of these addresses there is never anybody.
 */
export function refusingPeer(): Peer {
  refusing += 1;
  return new Peer(`127.86.${refusing >> 8}.${refusing & 255}`, 1);
}

interface Bench {
  later(close: () => void | Promise<void>): void;
}

/** Connections to it hang while it is silent, as to a host that went away. */
export class FallingSilent {
  readonly port: number;
  readonly #worker: Worker;
  readonly #told: Int32Array;
  readonly #fillers: Socket[] = [];

  private constructor(worker: Worker, told: Int32Array, port: number) {
    this.#worker = worker;
    this.#told = told;
    this.port = port;
  }

  /** `bench.later` closes it when the test is over. */
  static async start(bench: Bench): Promise<FallingSilent> {
    const words = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(LISTENER, { eval: true, workerData: words });
    const silent = new FallingSilent(worker, words, await nextMessage<number>(worker));
    bench.later(async () => {
      for (const socket of silent.#fillers) socket.destroy();
      await worker.terminate();
    });
    return silent;
  }

  /** From now on it neither accepts nor refuses, and answers nothing. */
  async fallSilent(): Promise<void> {
    this.#worker.postMessage("be silent");
    await nextMessage(this.#worker);
    // Linux completes one handshake more than the queue is long, and drops what comes after.
    for (let n = 0; n <= BACKLOG; n += 1) {
      const socket = connect({ host: "127.0.0.1", port: this.port });
      this.#fillers.push(socket);
      await new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("error", reject);
      });
      socket.on("error", () => {});
    }
  }

  /** Answers once on the connection that was accepted last, before it fell silent, and accepts no other. */
  answerOnLast(): void {
    Atomics.store(this.#told, 0, told.answer);
    Atomics.notify(this.#told, 0);
  }
}

function nextMessage<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

/** A port that neither accepts nor refuses: connections to it hang, as to a host that went away. */
export async function silentPort(bench: Bench): Promise<number> {
  const silent = await FallingSilent.start(bench);
  await silent.fallSilent();
  return silent.port;
}
