/**
 * Steady connections to ports of several machines: each is greeted by its peer, has some words echoed and is closed.
 * Every one that ends otherwise is kept, with where it went.
 */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface Transfer {
  readonly machine: string;
  /** As the peer's greeting has it; empty before that. */
  readonly peer: string;
  /** Of `performance.now`. */
  readonly startedMs: number;
  /** What went wrong; `null` while nothing has. */
  readonly failure: string | null;
}

interface Running {
  readonly machine: string;
  peer: string;
  readonly startedMs: number;
  failure: string | null;
}

const words = 8;
/** Between two words, so that a connection is there for a while. */
const paceMs = 15;

export class MeshLoad {
  readonly #port: number;
  readonly #running = new Set<Running>();
  readonly #failed: Running[] = [];
  readonly #good = new Map<string, number>();
  readonly #left = new Set<string>();
  readonly #loops: Promise<void>[] = [];

  /** Begins, with so many connections at a time to each machine. */
  constructor(machines: readonly string[], port: number, each: number) {
    this.#port = port;
    for (const machine of machines)
      for (let loop = 0; loop < each; loop += 1) this.#loops.push(this.#loop(machine));
  }

  /** Connections that went well so far. */
  good(machine: string): number {
    return this.#good.get(machine) ?? 0;
  }

  get failed(): readonly Transfer[] {
    return this.#failed;
  }

  /** Connections that are open now. */
  get open(): readonly Transfer[] {
    return [...this.#running].map((one) => ({ ...one }));
  }

  /** Begins no more connections to a machine. */
  leave(machine: string): void {
    this.#left.add(machine);
  }

  /** Resolves when the last connection is over. */
  async stop(): Promise<void> {
    this.#left.add("");
    await Promise.all(this.#loops);
  }

  async #loop(machine: string): Promise<void> {
    while (!this.#left.has(machine) && !this.#left.has("")) {
      const one: Running = { machine, peer: "", startedMs: performance.now(), failure: null };
      this.#running.add(one);
      await this.#carry(one).catch((error: NodeJS.ErrnoException) => {
        one.failure = error.code ?? error.message;
        this.#failed.push(one);
      });
      this.#running.delete(one);
      if (one.failure === null) this.#good.set(machine, this.good(machine) + 1);
    }
  }

  async #carry(one: Running): Promise<void> {
    const socket = connect({ host: one.machine, port: this.#port, allowHalfOpen: true });
    socket.setEncoding("utf8");
    const heard = socket.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]();
    let text = "";
    const line = async (): Promise<string> => {
      while (!text.includes("\n")) {
        const { value, done } = await heard.next();
        if (done === true) throw new Error("it ended early");
        text += value;
      }
      const end = text.indexOf("\n");
      const said = text.slice(0, end);
      text = text.slice(end + 1);
      return said;
    };
    try {
      one.peer = await line();
      for (let word = 0; word < words; word += 1) {
        socket.write(`word ${word}\n`);
        const echo = await line();
        if (echo !== `word ${word}`) throw new Error(`the echo of word ${word} was ${echo}`);
        await sleep(paceMs);
      }
      socket.end();
      const { done } = await heard.next();
      if (done !== true) throw new Error("it said more than it was told");
    } finally {
      socket.destroy();
    }
  }
}
