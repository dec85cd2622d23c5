/**
 * Requests at a steady rate, whether or not those before were answered, as clients that know nothing of each other send
 * them. Remembers of each when it was due, what came of it and from whom.
 */
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export interface Sent {
  /** Monotonic: when it was due. */
  readonly atMs: number;
  tookMs: number;
  /** 0: no answer. */
  status: number;
  origin: string;
}

const tickMs = 5;
const timeoutMs = 10_000;

export class OpenLoad {
  readonly sent: Sent[] = [];
  readonly #agent = new Agent({ keepAlive: true, scheduling: "lifo" });
  readonly #port: number;
  readonly #host: string;
  readonly #perSecond: number;
  #isStopped = false;
  #running: Promise<void>;
  #open = 0;

  constructor(port: number, host: string, perSecond: number) {
    this.#port = port;
    this.#host = host;
    this.#perSecond = perSecond;
    this.#running = this.#run();
  }

  /** Resolves when all that were sent have ended. */
  async stop(): Promise<readonly Sent[]> {
    this.#isStopped = true;
    await this.#running;
    while (this.#open > 0) await sleep(tickMs);
    this.#agent.destroy();
    return this.sent;
  }

  async #run(): Promise<void> {
    const startedMs = performance.now();
    for (let count = 0; !this.#isStopped; ) {
      const due = ((performance.now() - startedMs) * this.#perSecond) / 1_000;
      for (; count < due; count += 1) this.#send(startedMs + (count * 1_000) / this.#perSecond);
      await sleep(tickMs);
    }
  }

  #send(atMs: number): void {
    const one: Sent = { atMs, tookMs: 0, status: 0, origin: "" };
    this.sent.push(one);
    this.#open += 1;
    const end = () => {
      if (one.tookMs > 0) return;
      one.tookMs = Math.max(0.001, performance.now() - atMs);
      this.#open -= 1;
    };
    const options = { host: "127.0.0.1", port: this.#port, agent: this.#agent };
    const call = request({ ...options, headers: { host: this.#host }, timeout: timeoutMs });
    call.once("response", (response) => {
      one.status = response.statusCode ?? 0;
      one.origin = String(response.headers["x-origin"] ?? "");
      response.resume();
      response.once("close", end);
    });
    call.once("timeout", () => call.destroy());
    call.once("error", end);
    call.end();
  }
}
