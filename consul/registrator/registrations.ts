/**
 * Brings a Consul agent to what should be registered and keeps it there: writes each difference, tries
 * again until it is gone, and compares with the agent's own list from time to time. It knows containers
 * by their services only and never asks Docker.
 */
import { isDeepStrictEqual } from "node:util";
import type Logger from "bunyan";
import { Backoff } from "../backoff.ts";
import { describeConsulError } from "../errors.ts";
import { type ActualService, type Agent, type AgentState, isAsDesired } from "./agent.ts";
import type { RegistratorOptions } from "./options.ts";
import { Pause } from "./pause.ts";
import { containerKey, type DesiredService, markKey, ttlKey } from "./services.ts";
import { Slots } from "./slots.ts";

export interface RegistrationsOptions {
  readonly agent: Agent;
  readonly options: RegistratorOptions;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  readonly random: () => number;
  /** How often the agent's list is compared, in milliseconds. */
  readonly compareMs: number;
}

const retry = { baseMs: 200, maxMs: 3_000 };
const maxRequests = 16;

export class Registrations {
  readonly #settings: RegistrationsOptions;
  /** By container, in the order in which they came: where two claim one ID, the earlier has it. */
  readonly #byContainer = new Map<string, readonly DesiredService[]>();
  #desired: ReadonlyMap<string, DesiredService> = new Map();
  /** What the agent is known to have from us; `stray`: something that nobody wants. */
  readonly #known = new Map<string, DesiredService | "stray">();
  /** IDs that the agent has from a registrator of another hostname. */
  #foreign: Set<string> = new Set();
  /** IDs that are being brought in line; one at a time writes to each. */
  readonly #busy = new Set<string>();
  /** IDs that were written since the last list was asked for, which it may or may not show. */
  readonly #written = new Set<string>();
  /** Refused claims that the log has been told of. */
  readonly #refused = new Set<string>();
  readonly #working = new Set<Promise<void>>();
  readonly #slots = new Slots(maxRequests);
  readonly #retries = new Pause();
  readonly #rounds = new Pause();
  /** The first 12 characters of containers that have exited, and whose services stay (`on-success`). */
  #kept: Set<string> = new Set();
  /** Everything that runs is in `#byContainer`, so that what is not there is a stray. */
  #complete = false;
  /** `null` before the first comparison: nobody knows yet what is missing. */
  #agentAddress: string | null = null;
  #unreachable: string | null = null;
  #closed = false;

  constructor(settings: RegistrationsOptions) {
    this.#settings = settings;
  }

  /** The services of a container from now on; none when it is gone. */
  set(containerId: string, services: readonly DesiredService[]): void {
    const before = this.#byContainer.get(containerId) ?? [];
    // What has not changed stays the same object, so that it counts as known.
    const next = services.map(
      (service) => before.find((known) => isDeepStrictEqual(known, service)) ?? service,
    );
    if (next.length === 0) this.#byContainer.delete(containerId);
    else this.#byContainer.set(containerId, next);
    const previous = this.#desired;
    this.#desired = this.#claims();
    for (const id of new Set([...previous.keys(), ...this.#desired.keys()]))
      if (previous.get(id) !== this.#desired.get(id)) this.#touch(id);
    this.#retries.wake();
    if (this.#kept.delete(containerId.slice(0, 12))) this.#rounds.wake();
  }

  /**
   * All running containers have been set: from now on strays are removed, but for the services of the
   * containers in `kept` (first 12 characters of their IDs).
   */
  complete(kept: ReadonlySet<string>): void {
    this.#kept = new Set(kept);
    this.#complete = true;
    this.#rounds.wake();
  }

  /**
   * Compares once, trying as often as the options say. Rejects with the last error when the tries are
   * used up.
   */
  async connect(): Promise<void> {
    const { retryAttempts, retryIntervalMs } = this.#settings.options;
    for (let attempt = 0; !this.#closed; attempt++) {
      try {
        return await this.compare();
      } catch (error) {
        if (retryAttempts >= 0 && attempt >= retryAttempts) throw error;
      }
      await this.#rounds.wait(retryIntervalMs);
    }
  }

  /** Starts to compare and to refresh, until `close`. */
  run(): void {
    this.#track(this.#compareForEver());
    this.#track(this.#refreshForEver());
  }

  /** Asks the agent what it has and sets right what differs. Rejects when it does not answer. */
  async compare(): Promise<void> {
    this.#written.clear();
    const state = await this.#state();
    this.#agentAddress = state.address;
    const { hostname } = this.#settings.options;
    const actual = [...state.services.values()].filter(({ id }) => !this.#isUnsettled(id));
    this.#foreign = new Set(
      actual.filter(({ meta }) => (meta[markKey] ?? hostname) !== hostname).map(({ id }) => id),
    );
    for (const [id, desired] of this.#desired) {
      if (this.#isUnsettled(id)) continue;
      const found = state.services.get(id);
      if (found && isAsDesired(found, desired, state.address)) this.#known.set(id, desired);
      else this.#known.delete(id);
      this.#touch(id);
    }
    for (const service of this.#complete ? actual : []) {
      if (this.#desired.has(service.id) || !this.#isStray(service)) continue;
      this.#known.set(service.id, "stray");
      this.#touch(service.id);
    }
  }

  /** Waits for requests that are under way and writes nothing more. What is registered stays. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retries.wake();
    this.#rounds.wake();
    await Promise.all(this.#working);
  }

  #claims(): ReadonlyMap<string, DesiredService> {
    const claims = new Map<string, DesiredService>();
    for (const service of [...this.#byContainer.values()].flat()) {
      const first = claims.get(service.id);
      if (first === undefined) claims.set(service.id, service);
      else this.#refuse(service, `belongs to container "${first.containerName}"`);
    }
    return claims;
  }

  #refuse(service: DesiredService, why: string): void {
    const { id, containerId, containerName } = service;
    const claim = `${containerId} ${id}`;
    if (this.#refused.has(claim)) return;
    this.#refused.add(claim);
    this.#settings.log.error(
      { id, container: containerName },
      `container "${containerName}": service ID "${id}" ${why}; not registered`,
    );
  }

  #isUnsettled(id: string): boolean {
    return this.#busy.has(id) || this.#written.has(id);
  }

  /** Registered for a container that is gone: by us, or, with `cleanup`, under our hostname. */
  #isStray({ id, meta }: ActualService): boolean {
    const { hostname, cleanup } = this.#settings.options;
    const owner = meta[markKey];
    if (owner !== undefined) return owner === hostname && !this.#kept.has(meta[containerKey] ?? "");
    const [host, container, port] = id.split(":");
    return cleanup && host === hostname && !!container && /^\d+$/.test(port ?? "");
  }

  #touch(id: string): void {
    if (this.#agentAddress === null || this.#busy.has(id) || this.#closed) return;
    this.#busy.add(id);
    this.#track(this.#bringInLine(id));
  }

  #track(work: Promise<void>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  /** Writes until the agent has what is desired at that moment, however often that changes. */
  async #bringInLine(id: string): Promise<void> {
    const { log, random } = this.#settings;
    const backoff = new Backoff(retry, random);
    let lastMessage = "";
    while (!this.#closed && this.#known.get(id) !== this.#desired.get(id)) {
      const desired = this.#desired.get(id);
      if (desired !== undefined && this.#foreign.has(id)) {
        this.#refuse(desired, "belongs to the registrator of another hostname");
        break;
      }
      const fields = { id, service: desired?.name, container: desired?.containerName };
      try {
        if (desired !== undefined && !this.#known.has(id) && (await this.#isForeign(id))) {
          this.#foreign.add(id);
          continue;
        }
        await this.#slots.use(desired === undefined, () => this.#write(id, desired));
        if (desired === undefined) log.info(fields, `deregistered ${id}`);
        else log.info(fields, `registered ${id} as "${desired.name}"`);
        backoff.reset();
        lastMessage = "";
      } catch (error) {
        const message = describeConsulError(error);
        const what = desired === undefined ? "deregistering" : "registering";
        if (message !== lastMessage)
          log.error({ ...fields, error: message }, `${what} ${id}: ${message}; trying again`);
        lastMessage = message;
        await this.#retries.wait(backoff.next());
      }
    }
    this.#busy.delete(id);
  }

  /** Whether another host's registrator has the ID by now: the last comparison may be seconds old. */
  async #isForeign(id: string): Promise<boolean> {
    const { hostname } = this.#settings.options;
    const found = (await this.#settings.agent.state()).services.get(id);
    return found !== undefined && (found.meta[markKey] ?? hostname) !== hostname;
  }

  async #write(id: string, desired: DesiredService | undefined): Promise<void> {
    const { agent } = this.#settings;
    this.#written.add(id);
    if (desired === undefined) {
      await agent.deregister(id);
      this.#known.delete(id);
    } else {
      // A request that is cut off may have arrived: until an answer says so, nothing is known.
      this.#known.set(id, "stray");
      await agent.register(desired, this.#agentAddress ?? "");
      this.#known.set(id, desired);
    }
    this.#written.add(id);
  }

  async #compareForEver(): Promise<void> {
    const { compareMs, random } = this.#settings;
    const backoff = new Backoff(retry, random);
    for (let waitMs = compareMs; !this.#closed; ) {
      await this.#rounds.wait(waitMs);
      if (this.#closed) return;
      try {
        await this.compare();
        backoff.reset();
        waitMs = compareMs;
      } catch {
        // `compare` has told the log.
        waitMs = backoff.next();
      }
    }
  }

  async #refreshForEver(): Promise<void> {
    const { agent, log, options } = this.#settings;
    while (options.ttlRefreshSeconds > 0 && !this.#closed) {
      for (const [id, { meta }] of this.#desired) {
        // A TTL that a label asks for is the container's own to refresh.
        if (meta[ttlKey] === undefined || this.#known.get(id) !== this.#desired.get(id)) continue;
        try {
          await this.#slots.use(false, () => agent.refresh(id));
        } catch (error) {
          log.warn(
            { id, error: describeConsulError(error) },
            `refreshing ${id}: ${describeConsulError(error)}`,
          );
        }
      }
      await this.#rounds.wait(options.ttlRefreshSeconds * 1000);
    }
  }

  async #state(): Promise<AgentState> {
    const { agent, log } = this.#settings;
    try {
      const state = await agent.state();
      if (this.#unreachable !== null) log.info("Consul answers again");
      this.#unreachable = null;
      this.#retries.wake();
      return state;
    } catch (error) {
      const message = describeConsulError(error);
      if (message !== this.#unreachable)
        log.error({ error: message }, `Consul: ${message}; trying again, nothing is forgotten`);
      this.#unreachable = message;
      throw error;
    }
  }
}
