/**
 * One kept connection to each worker of a gateway, so that a test can ask a worker of its choice. A
 * worker is told by the prefix of the X-Request-Id that an origin was sent.
 */
import type { Agent } from "node:http";
import { echoOf } from "./echo-origin.ts";
import { type Asked, type GatewayAnswer, oneConnection, type TestGateway } from "./gateway.ts";
import { eventually } from "./registered.ts";

/** How many connections are tried at once: the kernel gives them to whichever worker is awake. */
const width = 8;

export class WorkerConnections {
  readonly #gateway: TestGateway;
  readonly #agents: ReadonlyMap<string, Agent>;
  /** The last answer of each worker, to say after which one it closed. */
  readonly #last = new Map<string, GatewayAnswer>();

  private constructor(gateway: TestGateway, agents: ReadonlyMap<string, Agent>) {
    this.#gateway = gateway;
    this.#agents = agents;
  }

  /** `host` is one that an `EchoOrigin` answers for through every worker. */
  static async open(gateway: TestGateway, host: string): Promise<WorkerConnections> {
    const { workers } = await gateway.status();
    const wanted = workers.map((worker) => worker.idPrefix);
    const found = new Map<string, Agent>();
    await eventually("there is a connection to each worker", async () => {
      const agents = Array.from({ length: width }, oneConnection);
      const kept = new Set<Agent>();
      const outcomes = await Promise.allSettled(
        agents.map(async (agent) => ({ agent, answer: await gateway.request({ host, agent }) })),
      );
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") continue;
        const { agent, answer } = outcome.value;
        if (answer.status !== 200) continue;
        const prefix = prefixOf(answer);
        if (!wanted.includes(prefix) || found.has(prefix)) continue;
        found.set(prefix, agent);
        kept.add(agent);
      }
      for (const agent of agents) if (!kept.has(agent)) agent.destroy();
      const missing = wanted.filter((prefix) => !found.has(prefix));
      if (missing.length > 0) throw new Error(`none to ${missing.join(", ")}`);
    });
    return new WorkerConnections(gateway, found);
  }

  get prefixes(): readonly string[] {
    return [...this.#agents.keys()];
  }

  /** Asks one worker. Rejects when its connection was not the one from before. */
  async ask(prefix: string, asked: Omit<Asked, "agent">): Promise<GatewayAnswer> {
    const agent = this.#agents.get(prefix);
    if (agent === undefined) throw new Error(`no connection to worker ${prefix}`);
    const answer = await this.#gateway.request({ ...asked, agent });
    if (!answer.isReused) {
      const before = this.#last.get(prefix);
      throw new Error(`worker ${prefix} closed its connection after ${JSON.stringify(before)}`);
    }
    this.#last.set(prefix, answer);
    return answer;
  }

  /** Asks every worker, until each has an answer for which `accept` does not throw. */
  async all(
    what: string,
    asked: Omit<Asked, "agent">,
    accept: (answer: GatewayAnswer) => void,
  ): Promise<void> {
    await Promise.all(
      this.prefixes.map((prefix) =>
        eventually(`worker ${prefix}: ${what}`, async () => accept(await this.ask(prefix, asked))),
      ),
    );
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }
}

/** The prefix of the id that the origin was sent: which worker the request went through. */
export function prefixOf(answer: GatewayAnswer): string {
  const id = String(echoOf(answer).headers["x-request-id"] ?? "");
  return id.slice(0, id.lastIndexOf("-"));
}
