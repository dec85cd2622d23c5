/**
 * Which datacenters Consul knows, and which of them is the one of the Consul that is asked: a service of that one
 * has the same name with it and without. Reads no catalog.
 */
import { isDeepStrictEqual } from "node:util";
import type { Datacenter, Observed } from "../../gateway/model/index.ts";
import type { ConsulClient } from "../api/client.ts";
import { ConsulError, describeConsulError } from "../api/errors.ts";
import type { Clock } from "../watching/clock.ts";
import type { Log } from "../watching/log.ts";

export interface DatacentersOptions {
  readonly consul: ConsulClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly emit: (changes: readonly Observed[]) => void;
  /** The own one is known now; `null`: Consul does not tell. Called once. */
  readonly onOwn: (name: string | null) => void;
  readonly previous?: ReadonlyMap<string, Datacenter> | undefined;
}

/** How often Consul is asked which there are. */
const refreshMs = 30_000;
const deadlineMs = 10_000;

export class Datacenters {
  readonly #options: DatacentersOptions;
  readonly #stopping = new AbortController();
  /**
   * The datacenters that were emitted. One that Consul no longer lists stays, because its servers may only be
   * out of reach, and there are few datacenters.
   */
  readonly #known: Map<string, Datacenter>;
  #learning: Promise<void> | null = null;
  #isLearnt = false;
  #cancelRefresh: (() => void) | null = null;

  constructor(options: DatacentersOptions) {
    this.#options = options;
    this.#known = new Map(options.previous ?? []);
  }

  /** Resolves once the own one is known, or Consul has refused to tell. Rejects with a `ConsulError`. */
  async learn(): Promise<void> {
    if (this.#isLearnt) return;
    this.#learning ??= this.#learn().finally(() => {
      this.#learning = null;
    });
    await this.#learning;
  }

  /** Whether Consul knows it and it is not the own one. */
  isOther(name: string): boolean {
    return this.#known.get(name)?.own === false;
  }

  /** Its services are among the changes from now on. */
  withCatalog(name: string): Observed[] {
    return this.#set(name, { own: false, catalog: true });
  }

  stop(): void {
    this.#stopping.abort();
    this.#cancelRefresh?.();
  }

  async #learn(): Promise<void> {
    const { consul, log, emit, onOwn } = this.#options;
    const own = await this.#inTime((signal) => readOwnDatacenter(consul, signal));
    if (own === null)
      log.warn(
        {},
        "Consul does not tell its datacenter: names that have one in them have no route",
      );
    const changes = own === null ? [] : this.#set(own, { own: true, catalog: true });
    for (const [name, known] of this.#known) {
      // An answer from a time when another Consul was asked.
      if (known.own && name !== own)
        changes.push(...this.#set(name, { own: false, catalog: false }));
    }
    this.#isLearnt = true;
    if (changes.length > 0) emit(changes);
    onOwn(own);
    await this.#refresh();
  }

  async #refresh(): Promise<void> {
    const { consul, clock, log, emit } = this.#options;
    try {
      const changes: Observed[] = [];
      const names = await this.#inTime((signal) => readDatacenters(consul, signal));
      for (const name of names) {
        if (!this.#known.has(name))
          changes.push(...this.#set(name, { own: false, catalog: false }));
      }
      if (changes.length > 0) emit(changes);
    } catch (error) {
      // What is known stays; the watches report a Consul that does not answer.
      log.debug({}, `the datacenters cannot be read: ${describeConsulError(error)}`);
    }
    if (this.#stopping.signal.aborted) return;
    this.#cancelRefresh = clock.after(refreshMs, () => void this.#refresh());
  }

  #set(key: string, value: Datacenter): Observed[] {
    if (isDeepStrictEqual(this.#known.get(key), value)) return [];
    this.#known.set(key, value);
    return [{ kind: "datacenter", key, value }];
  }

  async #inTime<T>(read: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const attempt = new AbortController();
    const cancel = this.#options.clock.after(deadlineMs, () =>
      attempt.abort(new DOMException("Consul took too long", "TimeoutError")),
    );
    try {
      return await read(AbortSignal.any([this.#stopping.signal, attempt.signal]));
    } finally {
      cancel();
    }
  }
}

/** In the order in which Consul lists them (Catalog API page, "List Datacenters"). */
async function readDatacenters(
  consul: ConsulClient,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const path = "/catalog/datacenters";
  const { body } = await consul.read({ path, signal });
  if (Array.isArray(body)) return body.filter((one) => typeof one === "string");
  throw new ConsulError("bad_answer", `${consul.url}/v1${path}: the answer is no list`);
}

/**
 * The datacenter of the agent that is asked: by the agent's own word, for which a token needs `agent` `read`;
 * else by where its servers are registered; else it is the only one there is. `null` when none of these tells.
 * Rejects with a `ConsulError` when Consul does not answer.
 */
export async function readOwnDatacenter(
  consul: ConsulClient,
  signal: AbortSignal,
): Promise<string | null> {
  const self = await readSelf(consul, signal);
  const config = typeof self === "object" && self !== null && "Config" in self ? self.Config : null;
  const told = datacenterIn(config);
  if (told !== null) return told;
  const { body: servers } = await consul.read({ path: "/catalog/service/consul", signal });
  const registered = Array.isArray(servers) ? datacenterIn(servers[0]) : null;
  if (registered !== null) return registered;
  const [only, ...others] = await readDatacenters(consul, signal);
  return only !== undefined && others.length === 0 ? only : null;
}

/** Agent API page, "Read Configuration". `null` when the token may not. */
async function readSelf(consul: ConsulClient, signal: AbortSignal): Promise<unknown> {
  try {
    return (await consul.read({ path: "/agent/self", signal })).body;
  } catch (error) {
    const isRefusal = error instanceof ConsulError && error.status >= 400 && error.status < 500;
    if (isRefusal && error.status !== 429) return null;
    throw error;
  }
}

function datacenterIn(value: unknown): string | null {
  if (typeof value !== "object" || value === null || !("Datacenter" in value)) return null;
  return typeof value.Datacenter === "string" && value.Datacenter !== "" ? value.Datacenter : null;
}
