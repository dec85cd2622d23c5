/** What the end-to-end suites share: a Consul, a gateway, origins, and the end of all of them. */

import type { ConsulKind, TestConsul } from "../support/consul.ts";
import { type ConsulWrites, writesTo } from "../support/consul-writes.ts";
import { EchoOrigin, echoOf } from "../support/echo-origin.ts";
import {
  type Asked,
  type GatewayAnswer,
  type GatewayOptions,
  TestGateway,
} from "../support/gateway.ts";
import { WorkerConnections } from "../support/worker-connections.ts";

/** Answered by the origin `home` through every worker. */
export const homeHost = "home.example";

export class Scene {
  readonly consul: TestConsul;
  readonly writes: ConsulWrites;
  readonly home: EchoOrigin;
  readonly #later: (() => unknown)[] = [];
  #gateway: TestGateway | null = null;
  #markers = 0;

  private constructor(consul: TestConsul, home: EchoOrigin) {
    this.consul = consul;
    this.writes = writesTo(consul.url);
    this.home = home;
  }

  static async open(kind: ConsulKind): Promise<Scene> {
    const home = await EchoOrigin.start("home");
    // What has been started must not outlive a failure: the test run would wait for it for ever.
    const consul = await kind.start().catch(async (error: unknown) => {
      await home.close();
      throw error;
    });
    const scene = new Scene(consul, home);
    await scene.writeHome().catch(async (error: unknown) => {
      await scene.close();
      throw error;
    });
    return scene;
  }

  /** The route of `homeHost`; written again after Consul lost its data. */
  async writeHome(): Promise<void> {
    await this.writes.put("upstreams/home", { servers: [this.home.server] });
    await this.writes.put(`hosts/${homeHost}`, { paths: { "/": "home" } });
  }

  get gateway(): TestGateway {
    if (this.#gateway === null) throw new Error("the scene has no gateway yet");
    return this.#gateway;
  }

  /** Starts a gateway on the scene's Consul; the one before it, if any, is stopped first. */
  async start(options: Omit<GatewayOptions, "consul"> = {}): Promise<TestGateway> {
    await this.#gateway?.stop();
    this.#gateway = null;
    this.#gateway = await TestGateway.start({ consul: this.consul.url, ...options });
    return this.#gateway;
  }

  /** Closed at the end of the test. */
  async origin(name: string): Promise<EchoOrigin> {
    const origin = await EchoOrigin.start(name);
    this.later(() => origin.close());
    return origin;
  }

  /** One connection to each worker, closed at the end of the test. */
  async workers(): Promise<WorkerConnections> {
    const connections = await WorkerConnections.open(this.gateway, homeHost);
    this.later(() => connections.close());
    return connections;
  }

  /** Until every worker has the host documents that were written so far: Consul shows a folder as a whole. */
  async hostsLive(): Promise<void> {
    this.#markers += 1;
    const host = `marker${this.#markers}.example`;
    await this.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
    const workers = await this.workers();
    await workers.all("a later document is served", { host }, (answer) => void echoOf(answer));
    workers.close();
    await this.writes.remove(`hosts/${host}`);
  }

  /** Asks every worker of the gateway, until each has an answer for which `accept` does not throw. */
  async everyWorker(
    what: string,
    asked: Omit<Asked, "agent">,
    accept: (answer: GatewayAnswer) => void,
  ): Promise<void> {
    const connections = await WorkerConnections.open(this.gateway, homeHost);
    try {
      await connections.all(what, asked, accept);
    } finally {
      connections.close();
    }
  }

  /** SIGSTOP, until the end of the test. */
  suspend(pid: number): void {
    process.kill(pid, "SIGSTOP");
    this.later(() => {
      try {
        process.kill(pid, "SIGCONT");
      } catch {
        // On a slow machine the gateway has taken it for stalled meanwhile, and ended it.
      }
    });
  }

  /** Done at the end of the test, the last first. */
  later(task: () => unknown): void {
    this.#later.push(task);
  }

  async endTest(): Promise<void> {
    await inTurn(this.#later.splice(0).reverse());
  }

  async close(): Promise<void> {
    await inTurn([
      () => this.endTest(),
      () => this.#gateway?.stop(),
      () => this.home.close(),
      () => this.consul.stop(),
    ]);
  }
}

/** Does them all, and then throws what the first one that failed threw. */
async function inTurn(tasks: readonly (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const task of tasks) {
    try {
      await task();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
