/** A steady load of small requests that counts every answer which is not as it should be. */
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export interface LoadOptions {
  /** Default: loopback. */
  readonly address?: string;
  readonly port: number;
  readonly host: string;
  readonly perSecond: number;
  /** `kept`: over this many connections that are used again; 0: a new connection for each request. */
  readonly kept: number;
  /** What is wrong with an answer; `null` when nothing is. Default: any status but 200. */
  readonly judge?: (status: number, body: string) => string | null;
}

export interface LoadResult {
  /** Requests that were answered well. */
  readonly good: number;
  /** What went wrong, with how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** Requests that a kept connection was closed under before a byte of an answer, sent once more. */
  readonly repeated: number;
  /** The longest time for which the load itself stood still: its kept connections were idle for as long. */
  readonly pausedMs: number;
}

const tickMs = 5;
/** A request that takes longer counts as failed: far more than a busy machine makes of a request, or of a gateway's start. */
const timeoutMs = 60_000;
/** What a request on a kept connection ends with when the server has closed that. */
const closedCodes: ReadonlySet<string | undefined> = new Set(["ECONNRESET", "EPIPE"]);

/**
 * Runs until `stop`. All kept connections are used in turn. A machine that cannot do as much gets less: never more than a
 * second's requests at a time. A kept connection may be closed by its server at any moment, so that a request on
 * a used one which ends without a byte of an answer is sent once more, on a new connection, as every HTTP client does
 * (RFC 9110 section 9.2.2); this is counted apart.
 */
export class SteadyLoad {
  readonly #options: LoadOptions;
  readonly #agent: Agent | false;
  readonly #failures = new Map<string, number>();
  readonly #running = new Set<Promise<void>>();
  readonly #loop: Promise<void>;
  #good = 0;
  #repeated = 0;
  #pausedMs = 0;
  #isStopping = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#agent =
      options.kept === 0
        ? false
        : new Agent({ keepAlive: true, maxSockets: options.kept, scheduling: "fifo" });
    this.#loop = this.#run();
  }

  /** Requests that were answered well so far. */
  get good(): number {
    return this.#good;
  }

  get failures(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#failures);
  }

  /** Ends the load; resolves when its last request is over. */
  async stop(): Promise<LoadResult> {
    this.#isStopping = true;
    await this.#loop;
    await Promise.all(this.#running);
    if (this.#agent !== false) this.#agent.destroy();
    return {
      ...{ good: this.#good, failures: this.failures },
      ...{ repeated: this.#repeated, pausedMs: this.#pausedMs },
    };
  }

  async #run(): Promise<void> {
    const { perSecond } = this.#options;
    const startedMs = performance.now();
    let turnMs = startedMs;
    for (let sent = 0; !this.#isStopping; ) {
      const nowMs = performance.now();
      this.#pausedMs = Math.max(this.#pausedMs, nowMs - turnMs);
      turnMs = nowMs;
      const due = ((nowMs - startedMs) / 1000) * perSecond;
      for (; sent < due; sent += 1) {
        if (this.#running.size >= perSecond) continue;
        const one = this.#send(true).finally(() => this.#running.delete(one));
        this.#running.add(one);
      }
      await sleep(tickMs);
    }
  }

  async #send(mayRepeat: boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<"again" | null>();
    const { address = "127.0.0.1", port, host, judge = judgeStatus } = this.#options;
    const fail = (why: string) => {
      this.#failures.set(why, (this.#failures.get(why) ?? 0) + 1);
      resolve(null);
    };
    const outgoing = request({
      host: address,
      port,
      headers: { host },
      agent: mayRepeat ? this.#agent : false,
      timeout: timeoutMs,
    });
    outgoing.once("timeout", () => outgoing.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    outgoing.once("error", (error: NodeJS.ErrnoException) => {
      if (mayRepeat && outgoing.reusedSocket && closedCodes.has(error.code)) resolve("again");
      else fail(error.code ?? error.message);
    });
    outgoing.once("response", (answer) => {
      let body = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => {
        body += chunk;
      });
      answer.once("error", (error) => fail(`cut: ${error.message}`));
      answer.once("end", () => {
        const wrong = judge(answer.statusCode ?? 0, body);
        if (wrong !== null) return fail(wrong);
        this.#good += 1;
        resolve(null);
      });
    });
    outgoing.end();
    if ((await promise) === null) return;
    this.#repeated += 1;
    await this.#send(false);
  }
}

function judgeStatus(status: number): string | null {
  return status === 200 ? null : `status ${status}`;
}
