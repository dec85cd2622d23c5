/** A Consul, a gateway with two workers and an origin for a benchmark, and the end of all of them. */

import { setTimeout as sleep } from "node:timers/promises";
import { startEmbeddedAgent, startRealConsul, type TestConsul } from "../../test/support/consul.ts";
import { type ConsulWrites, writesTo } from "../../test/support/consul-writes.ts";
import { EchoOrigin } from "../../test/support/echo-origin.ts";
import { TestGateway } from "../../test/support/gateway.ts";
import { WorkerConnections } from "../../test/support/worker-connections.ts";

export type ConsulName = "real" | "embedded";
export const consulNames: readonly ConsulName[] = ["real", "embedded"];
export const homeHost = "home.example";

export class Parts {
  readonly consul: TestConsul;
  readonly writes: ConsulWrites;
  readonly origin: EchoOrigin;
  #gateway: TestGateway | null = null;

  private constructor(consul: TestConsul, origin: EchoOrigin) {
    this.consul = consul;
    this.writes = writesTo(consul.url);
    this.origin = origin;
  }

  static async open(name: ConsulName): Promise<Parts> {
    const consul = await (name === "real" ? startRealConsul() : startEmbeddedAgent());
    const origin = await EchoOrigin.start("origin");
    const parts = new Parts(consul, origin);
    await parts.writes.put("upstreams/home", { servers: [origin.server] });
    await parts.writes.put(`hosts/${homeHost}`, { paths: { "/": "home" } });
    return parts;
  }

  async start(flags: readonly string[] = []): Promise<TestGateway> {
    // A worker's connection is asked far more often than any client's.
    const unlimited = ["--max-requests-per-connection", "0"];
    const gateway = TestGateway.launch({
      consul: this.consul.url,
      flags: [...unlimited, ...flags],
    });
    // Known before it is ready, so that it ends when the benchmark is interrupted meanwhile.
    this.#gateway = gateway;
    await gateway.ready();
    return gateway;
  }

  get gateway(): TestGateway {
    if (this.#gateway === null) throw new Error("the gateway was not started");
    return this.#gateway;
  }

  /** A kept connection to each worker. */
  workers(): Promise<WorkerConnections> {
    return WorkerConnections.open(this.gateway, homeHost);
  }

  async close(): Promise<void> {
    await this.#gateway?.stop();
    await this.origin.close();
    await this.consul.stop();
  }
}

/** What of a worker's answer tells that a change has arrived. */
export interface Sought {
  readonly host: string;
  readonly path?: string;
  readonly arrived: (status: number, body: string) => boolean;
}

/** Between two questions to a worker: asking without a pause takes the processor from who is measured. */
const pollPauseMs = 1;

/**
 * Makes a change, and asks every worker over a connection of its own again and again until each shows
 * it. Gives the milliseconds from before the change was sent to the last worker's first right answer.
 */
export async function timeChange(
  workers: WorkerConnections,
  change: () => Promise<void>,
  { host, path = "/", arrived }: Sought,
): Promise<number> {
  const startedMs = performance.now();
  const deadlineMs = startedMs + 20_000;
  const polls = workers.prefixes.map(async (prefix) => {
    for (;;) {
      const { status, body } = await workers.ask(prefix, { host, path });
      const nowMs = performance.now();
      if (arrived(status, body)) return nowMs - startedMs;
      await sleep(pollPauseMs);
      if (nowMs > deadlineMs)
        throw new Error(`worker ${prefix}: ${host} after 20 s: ${status} ${body}`);
    }
  });
  const [, ...times] = await Promise.all([change(), ...polls]);
  return Math.max(...times);
}
