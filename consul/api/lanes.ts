/**
 * Connections for queries that wait, from several addresses of loopback: Consul serves each address a limited
 * number, and to an agent on this machine every address of 127.0.0.0/8 is a client of its own. So a gateway
 * takes no connection away from others on 127.0.0.1.
 */
import type { Agent } from "node:http";

/** Connections from one address, half of what Consul serves by default (`limits.http_max_conns_per_client`). */
const perLane = 100;

export interface Lane {
  readonly agent: Agent;
  /** Queries on it. */
  underWay: number;
}

export interface LanesOptions {
  /** An agent whose connections come from this address. */
  readonly agentFrom: (localAddress: string) => Agent;
  /** 0 to 1. */
  readonly random: () => number;
}

export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes: Lane[] = [];

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  /** One with room; give it back with `leave`. */
  enter(): Lane {
    let lane = this.#lanes.find(({ underWay }) => underWay < perLane);
    if (lane === undefined) {
      const { agentFrom, random } = this.#options;
      lane = { agent: agentFrom(loopbackAddress(random)), underWay: 0 };
      this.#lanes.push(lane);
    }
    lane.underWay += 1;
    return lane;
  }

  leave(lane: Lane): void {
    lane.underWay -= 1;
  }

  /** Those of all lanes. */
  *agents(): Generator<Agent> {
    for (const { agent } of this.#lanes) yield agent;
  }
}

/** Not 127.0.*, where people and other programs are. */
function loopbackAddress(random: () => number): string {
  const part = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  return `127.${part(1, 254)}.${part(1, 254)}.${part(1, 254)}`;
}

/** Whether connections to `host` may come from any address of 127.0.0.0/8. */
export function isOnLoopback(host: string, platform: NodeJS.Platform): boolean {
  // On other systems only 127.0.0.1 is an address of the machine.
  return platform === "linux" && (host === "localhost" || /^127\.\d+\.\d+\.\d+$/.test(host));
}
