/** A client that asks at a steady rate, whether answers come or not, so that a wait shows in every request it hit. */
import { Agent, get } from "node:http";

export interface Answer {
  readonly status: number;
  readonly ms: number;
  /** Milliseconds from the start of the load to the request. */
  readonly atMs: number;
}

export interface Load {
  readonly port: number;
  readonly host: string;
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
}

export class SteadyClient {
  readonly #agent = new Agent({ keepAlive: true });

  async load({ port, host, rate, seconds }: Load): Promise<readonly Answer[]> {
    const all: Promise<Answer>[] = [];
    const start = performance.now();
    while (performance.now() - start < seconds * 1_000) {
      const atMs = performance.now() - start;
      while (all.length < (atMs / 1_000) * rate) all.push(this.#ask(port, host, atMs));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return Promise.all(all);
  }

  close(): void {
    this.#agent.destroy();
  }

  #ask(port: number, host: string, atMs: number): Promise<Answer> {
    const start = performance.now();
    return new Promise((resolve) => {
      const end = (status: number) => resolve({ status, ms: performance.now() - start, atMs });
      get({ port, path: "/small", headers: { host }, agent: this.#agent }, (response) => {
        response.resume().once("end", () => end(response.statusCode ?? 0));
      }).once("error", () => end(0));
    });
  }
}

/** At the end of `part` of the sorted times, in milliseconds. */
export function quantile(answers: readonly Answer[], part: number): number {
  const sorted = answers.map(({ ms }) => ms).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
