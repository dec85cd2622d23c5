/** Which datacenters Consul knows, so that a request cannot have made-up ones asked for. */
import type { ConsulClient } from "./client.ts";
import type { Clock } from "./clock.ts";
import { ConsulError } from "./errors.ts";

const freshMs = 30_000;

export class Datacenters {
  readonly #consul: ConsulClient;
  readonly #clock: Clock;
  #names: ReadonlySet<string> = new Set();
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(consul: ConsulClient, clock: Clock) {
    this.#consul = consul;
    this.#clock = clock;
  }

  /**
   * Whether Consul knows `name`, as of at most 30 seconds ago (Catalog API page, "List Datacenters").
   * Rejects with a `ConsulError`.
   */
  async has(name: string, signal: AbortSignal): Promise<boolean> {
    if (this.#clock.now() - this.#readAt > freshMs) {
      const { body } = await this.#consul.read({ path: "/catalog/datacenters", signal });
      if (!Array.isArray(body))
        throw new ConsulError(
          "bad_answer",
          `${this.#consul.url}/v1/catalog/datacenters: the answer is no list`,
        );
      this.#names = new Set(body.filter((one) => typeof one === "string"));
      this.#readAt = this.#clock.now();
    }
    return this.#names.has(name);
  }
}
