/**
 * Brings a Consul agent to what should be registered and keeps it there: writes each difference, tries
 * again until it is gone, and compares with the agent's own list from time to time. It knows containers
 * by their services only and never asks Docker.
 */
import { isDeepStrictEqual } from "node:util";
import type Logger from "bunyan";
import { describeConsulError } from "../../api/errors.ts";
import { Backoff } from "../../watching/backoff.ts";
import type { NamedOptions } from "../options.ts";
import { Pause } from "../pause.ts";
import { containerKey } from "../services/meta.ts";
import type { DesiredService } from "../services/services.ts";
import {
  type ActualService,
  type Agent,
  type AgentIdentity,
  type AgentState,
  asRegistered,
  isAsDesired,
} from "./agent.ts";
import { differInHealth, reportOf } from "./checks.ts";
import { Complaints } from "./complaints.ts";
import { isOurs, ownerOf } from "./ownership.ts";
import { refreshForEver } from "./refresher.ts";
import { Slots } from "./slots.ts";

export interface RegistrationsOptions {
  readonly agent: Agent;
  readonly options: NamedOptions;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  readonly random: () => number;
  /** How often the agent's list is compared, in milliseconds. */
  readonly compareMs: number;
}

const retry = { baseMs: 200, maxMs: 3_000 };
const maxRequests = 16;
/** Without --ttl-refresh, for the checks that pass Docker's HEALTHCHECK on. */
const healthRefreshSeconds = 60;

export class Registrations {
  readonly #settings: RegistrationsOptions;
  /** By container, in the order in which they came: where two claim one ID, the earlier has it. */
  readonly #byContainer = new Map<string, readonly DesiredService[]>();
  #desired: ReadonlyMap<string, DesiredService> = new Map();
  /** What the agent is known to have from us; `stray`: a service that no container wants. */
  readonly #known = new Map<string, DesiredService | "stray">();
  /** IDs that the agent has from somebody else, and who that is. */
  #foreign: Map<string, string> = new Map();
  /** What Consul has refused as it is; asking again would change nothing. */
  readonly #refused = new WeakSet<DesiredService>();
  /** IDs that are being brought in line; one at a time writes to each. */
  readonly #busy = new Set<string>();
  /** IDs that were written since the last list was asked for, which it may or may not show. */
  readonly #written = new Set<string>();
  readonly #complaints: Complaints;
  readonly #working = new Set<Promise<void>>();
  readonly #slots = new Slots(maxRequests);
  readonly #retries = new Pause();
  readonly #rounds = new Pause();
  /** The first 12 characters of the IDs of containers whose services stay, though they may not run. */
  #kept: Set<string> = new Set();
  /** All running containers are in `#byContainer`, so any other service of ours is a stray. */
  #complete = false;
  /** `null` before the first comparison: nobody knows yet what is missing. */
  #identity: AgentIdentity | null = null;
  #unreachable: string | null = null;
  #closed = false;

  constructor(settings: RegistrationsOptions) {
    this.#settings = settings;
    this.#complaints = new Complaints(settings.log);
  }

  /** The services of a container from now on; none when it is gone. */
  set(containerId: string, services: readonly DesiredService[]): void {
    const before = this.#byContainer.get(containerId) ?? [];
    // What has not changed stays the same object, so that it counts as known.
    const next = services.map(
      (service) => before.find((known) => isDeepStrictEqual(known, service)) ?? service,
    );
    if (next.length === 0) {
      this.#byContainer.delete(containerId);
      this.#complaints.forget(containerId);
    } else this.#byContainer.set(containerId, next);
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
    const { agent, log, options } = this.#settings;
    const refresher = {
      ...{ agent, log, slots: this.#slots, pause: this.#rounds },
      settled: () => this.#settled(),
      everyMs: (options.ttlRefreshSeconds || healthRefreshSeconds) * 1000,
    };
    this.#track(refreshForEver(refresher, () => this.#closed));
  }

  /** Asks the agent what it has and sets right what differs. Rejects when it does not answer. */
  async compare(): Promise<void> {
    this.#written.clear();
    const state = await this.#state();
    this.#identity = state;
    const actual = [...state.services.values()].filter(({ id }) => !this.#isUnsettled(id));
    this.#foreign = new Map(
      actual
        .filter((service) => !isOurs(service, this.#settings.options))
        .map(({ id, meta }) => [id, ownerOf(meta)]),
    );
    for (const [id, desired] of this.#desired) {
      if (this.#isUnsettled(id)) continue;
      const found = state.services.get(id);
      const wanted = asRegistered(desired, state);
      if (found && isAsDesired(found, wanted, state)) this.#known.set(id, desired);
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
      else this.#complaints.refuse(service, `belongs to container "${first.containerName}"`);
    }
    return claims;
  }

  *#settled(): Iterable<DesiredService> {
    for (const [id, desired] of this.#desired) if (this.#known.get(id) === desired) yield desired;
  }

  #isUnsettled(id: string): boolean {
    return this.#busy.has(id) || this.#written.has(id);
  }

  /** Registered for a container that is gone. */
  #isStray(service: ActualService): boolean {
    return (
      isOurs(service, this.#settings.options) && !this.#kept.has(service.meta[containerKey] ?? "")
    );
  }

  #touch(id: string): void {
    if (this.#identity === null || this.#busy.has(id) || this.#closed) return;
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
      const owner = this.#foreign.get(id);
      if (desired !== undefined && owner !== undefined) {
        this.#complaints.refuse(desired, `belongs to ${owner}`);
        break;
      }
      if (desired !== undefined && this.#refused.has(desired)) break;
      const fields = { id, service: desired?.name, container: desired?.containerName };
      try {
        const other = await this.#slots.use(desired === undefined, () => this.#write(id, desired));
        if (other !== null) {
          this.#known.delete(id);
          if (desired !== undefined) this.#foreign.set(id, other);
          continue;
        }
        if (desired === undefined) log.info(fields, `deregistered ${id}`);
        backoff.reset();
        lastMessage = "";
      } catch (error) {
        const message = describeConsulError(error);
        if (desired !== undefined && isRefusal(error)) {
          this.#refused.add(desired);
          this.#known.delete(id);
          this.#complaints.refuse(desired, `is refused by Consul: ${message}`);
          break;
        }
        const what = desired === undefined ? "deregistering" : "registering";
        if (message !== lastMessage)
          log.error({ ...fields, error: message }, `${what} ${id}: ${message}; trying again`);
        lastMessage = message;
        await this.#retries.wait(backoff.next());
      }
    }
    this.#busy.delete(id);
  }

  /** Who has the ID, or the ID of the check that goes with it; `null`: nobody, or we. */
  async #ownerNow(id: string, desired: DesiredService | undefined): Promise<string | null> {
    const { service, checkOwner } = await this.#settings.agent.find(id);
    if (service !== null)
      return isOurs(service, this.#settings.options) ? null : ownerOf(service.meta);
    const isTaken = desired !== undefined && checkOwner !== null && checkOwner !== id;
    return isTaken ? `a check of the service ID "${checkOwner}"` : null;
  }

  /**
   * `null`: it is written; else who else has the ID, and nothing was written. The last comparison may be
   * seconds old, and Consul has no write on condition here, so that the look comes right before the write.
   */
  async #write(id: string, desired: DesiredService | undefined): Promise<string | null> {
    const { agent } = this.#settings;
    const other = await this.#ownerNow(id, desired);
    if (other !== null) return other;
    this.#written.add(id);
    if (desired === undefined) {
      await agent.deregister(id);
      this.#known.delete(id);
    } else {
      const before = this.#known.get(id);
      // A request that was cut off may have arrived: until an answer comes, nobody knows.
      this.#known.set(id, "stray");
      await this.#put(desired, before);
      this.#known.set(id, desired);
    }
    this.#written.add(id);
    return null;
  }

  async #put(desired: DesiredService, before: DesiredService | "stray" | undefined): Promise<void> {
    const { agent, log } = this.#settings;
    const { id, name: service, containerName: container } = desired;
    const report = reportOf(desired.check);
    if (report !== null && before !== "stray" && differInHealth(before, desired)) {
      await agent.report(id, report);
      log.info(
        { id, service, container },
        `the check of ${id} is ${report.status}: ${report.note}`,
      );
      return;
    }
    const identity = this.#identity;
    if (identity === null) throw new Error("nothing is registered before the first comparison");
    const wanted = asRegistered(desired, identity);
    if (wanted !== desired && wanted.check?.kind === "refused")
      this.#complaints.tell(desired, "warn", `stays critical: ${wanted.check.reason}`);
    await agent.register(wanted, identity.address);
    log.info({ id, service, container }, `registered ${id} as "${service}"`);
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

/** Consul understood the request and refuses it. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && "statusCode" in error && error.statusCode === 400;
}
