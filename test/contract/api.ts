/** A small client for contract tests: every status is an answer, and what was read is kept raw. */
import { setTimeout as sleep } from "node:timers/promises";

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** `X-Consul-Index`; NaN when it is not there. */
  readonly index: number;
}

/** Parsed JSON whose shape a test asserts on. */
export type Parsed = Readonly<Record<string, unknown>>;

export class ConsulApi {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  get(path: string, signal: AbortSignal | null = null): Promise<ApiAnswer> {
    return this.#send("GET", path, null, signal);
  }

  /** Sends a text as it is, anything else as JSON. */
  put(path: string, body: unknown = null): Promise<ApiAnswer> {
    const text = body === null || typeof body === "string" ? body : JSON.stringify(body);
    return this.#send("PUT", path, text, null);
  }

  delete(path: string): Promise<ApiAnswer> {
    return this.#send("DELETE", path, null, null);
  }

  /** Reads JSON that must be there. */
  async read<T>(path: string): Promise<T> {
    const answer = await this.get(path);
    if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text);
  }

  /** Writes, and throws when it is refused. */
  async write(path: string, body: unknown = null): Promise<void> {
    const answer = await this.put(path, body);
    if (answer.status !== 200) throw new Error(`PUT ${path}: ${answer.status} ${answer.text}`);
  }

  /**
   * Reads again and again until `holds`: an agent's changes reach the catalog a moment later, or 15 s later when its
   * first attempt to tell its servers failed.
   */
  async until<T>(path: string, holds: (value: T) => boolean, deadlineMs = 60_000): Promise<T> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const value = await this.read<T>(path);
      if (holds(value)) return value;
      if (performance.now() > deadline) {
        throw new Error(`GET ${path}: waited in vain, last ${JSON.stringify(value)}`);
      }
      await sleep(10);
    }
  }

  async #send(
    method: string,
    path: string,
    body: string | null,
    signal: AbortSignal | null,
  ): Promise<ApiAnswer> {
    const answer = await fetch(this.url + path, { method, body, signal, redirect: "manual" });
    const index = Number(answer.headers.get("X-Consul-Index") ?? Number.NaN);
    return { status: answer.status, headers: answer.headers, text: await answer.text(), index };
  }
}

/** A blocking query under way, and whether it is still. */
export class Watch {
  readonly answer: Promise<ApiAnswer>;
  pending = true;

  constructor(answer: Promise<ApiAnswer>) {
    this.answer = answer.finally(() => {
      this.pending = false;
    });
  }
}

/** Starts a blocking query; resolves once Consul has most likely received it. If not, it answers just the same. */
export async function watch(api: ConsulApi, path: string, index: number, wait = "5m") {
  const separator = path.includes("?") ? "&" : "?";
  const started = new Watch(api.get(`${path}${separator}index=${index}&wait=${wait}`));
  // Two whole round trips on other connections, begun after the query was.
  for (let trip = 0; trip < 2; trip += 1) await api.get("/v1/status/leader");
  return started;
}

/** Calls the contract's tests with the Consul that runs while they do. */
export type Contract = (consul: () => ConsulApi) => void;

/** A name that no other test uses. */
export function unique(stem: string): string {
  return `${stem}-${Math.random().toString(36).slice(2, 10)}`;
}
