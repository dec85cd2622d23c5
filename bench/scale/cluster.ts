/** A catalog of many services on many nodes, written as agents write theirs: by `/v1/catalog/register`. */
import { Agent, request } from "node:http";

export interface Shape {
  readonly services: number;
  readonly instances: number;
  readonly nodes: number;
}

/** An instance as it is registered; `node` counts from 0. */
export interface Placed {
  readonly service: string;
  readonly id: string;
  readonly node: number;
  readonly port: number;
  /** Default 1. */
  readonly weight?: number;
  /** Default `passing`. */
  readonly status?: "passing" | "critical";
}

/** Writes that are under way at once while the catalog is filled. */
const width = 16;

export class Cluster {
  readonly shape: Shape;
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: width });

  constructor(port: number, shape: Shape) {
    this.#port = port;
    this.shape = shape;
  }

  nameOf(service: number): string {
    return `service-${service}`;
  }

  /** Registers every instance, each with a passing check; all of them at `port`. */
  async fill(port: number): Promise<void> {
    const { services, instances } = this.shape;
    let next = 0;
    const write = async () => {
      for (let at = next++; at < services * instances; at = next++) {
        const service = Math.floor(at / instances);
        await this.register(this.#placed(service, at % instances, port));
      }
    };
    await Promise.all(Array.from({ length: width }, write));
  }

  async register({ service, id, node, port, weight = 1, status }: Placed): Promise<void> {
    const name = `node-${node}`;
    await this.#put("register", {
      Node: name,
      Address: `10.1.${Math.floor(node / 250)}.${1 + (node % 250)}`,
      Service: {
        ID: id,
        Service: service,
        Address: "127.0.0.1",
        Port: port,
        Tags: ["v1", "production"],
        Weights: { Passing: weight, Warning: 1 },
      },
      Check: {
        Node: name,
        CheckID: `service:${id}`,
        Name: `Service '${service}' check`,
        Status: status ?? "passing",
        Output: "HTTP GET http://127.0.0.1/health: 200 OK Output: ok",
        ServiceID: id,
      },
    });
  }

  async deregister({ id, node }: Pick<Placed, "id" | "node">): Promise<void> {
    await this.#put("deregister", { Node: `node-${node}`, ServiceID: id });
  }

  close(): void {
    this.#agent.destroy();
  }

  #placed(service: number, instance: number, port: number): Placed {
    const name = this.nameOf(service);
    const node = (service * this.shape.instances + instance) % this.shape.nodes;
    return { service: name, id: `${name}-${instance}`, node, port };
  }

  #put(what: "register" | "deregister", body: object): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const path = `/v1/catalog/${what}`;
    const options = { host: "127.0.0.1", port: this.#port, method: "PUT", path };
    const outgoing = request({ ...options, agent: this.#agent }, (answer) => {
      answer.resume();
      const refused = () => reject(new Error(`${path}: ${answer.statusCode}`));
      answer.once("end", () => (answer.statusCode === 200 ? resolve() : refused()));
    });
    outgoing.once("error", reject);
    outgoing.end(JSON.stringify(body));
    return promise;
  }
}
