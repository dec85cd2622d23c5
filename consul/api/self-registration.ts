/**
 * A service of this process's own in Consul's catalog, on the agent that is asked, with a check that becomes
 * critical when nothing is reported for a while. Reports what it is given; finds out nothing by itself.
 *
 * Source: Consul's API pages "Service" and "Check" of the agent.
 */
import { type Clock, systemClock } from "../watching/clock.ts";
import type { Log } from "../watching/log.ts";
import { deadline } from "./calls.ts";
import type { ConsulClient } from "./client.ts";
import { describeConsulError } from "./errors.ts";

export interface SelfService {
  /** No other service on the same agent has it. */
  readonly id: string;
  readonly name: string;
  /** Empty: the agent's own. */
  readonly address: string;
  readonly port: number;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
}

/** What the check says. */
export interface Health {
  readonly status: "passing" | "warning" | "critical";
  readonly note: string;
}

export interface SelfRegistrationOptions {
  readonly consul: ConsulClient;
  readonly service: SelfService;
  readonly log: Log;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Seconds without a report after which the check is critical. Default 15. */
  readonly ttlSeconds?: number;
}

/** The wait after a failure; a token without the right will always fail. */
const retryMs = 5_000;
/** Consul takes a minute and up, and looks every 30 seconds. */
const removedAfter = "1m";

export class SelfRegistration {
  readonly #options: SelfRegistrationOptions;
  readonly #clock: Clock;
  readonly #checkId: string;
  #isRegistered = false;
  #reported: Health | null = null;
  #reportedMs = Number.NEGATIVE_INFINITY;
  #error: string | null = null;
  #failedMs = Number.NEGATIVE_INFINITY;

  constructor(options: SelfRegistrationOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#checkId = `service:${options.service.id}`;
  }

  /** Tells Consul when that is due or new, and registers first when Consul does not know the service. Never rejects. */
  async report(health: Health): Promise<void> {
    const { ttlSeconds = 15 } = this.#options;
    const isNew = health.status !== this.#reported?.status || health.note !== this.#reported?.note;
    const ageMs = this.#clock.now() - this.#reportedMs;
    // When the clock was set back, nobody knows how long ago it was.
    if (this.#isRegistered && !isNew && ageMs >= 0 && ageMs < (ttlSeconds * 1_000) / 3) return;
    const sinceFailureMs = this.#clock.now() - this.#failedMs;
    if (this.#error !== null && sinceFailureMs >= 0 && sinceFailureMs < retryMs) return;
    try {
      if (!this.#isRegistered) await this.#register(health, ttlSeconds);
      await this.#update(health);
      this.#isRegistered = true;
      this.#reported = health;
      this.#reportedMs = this.#clock.now();
      this.#error = null;
    } catch (error) {
      // The agent may have lost what it had: the next report registers again.
      this.#isRegistered = false;
      this.#failedMs = this.#clock.now();
      const reason = describeConsulError(error);
      const { log, service } = this.#options;
      if (reason !== this.#error) {
        log.warn(
          { service: service.name, reason },
          `this gateway is not registered as the service ${service.name}: ${reason}`,
        );
      }
      this.#error = reason;
    }
  }

  /** Takes the service away; resolves also when Consul does not answer. */
  async stop(): Promise<void> {
    if (!this.#isRegistered) return;
    this.#isRegistered = false;
    const { consul, service } = this.#options;
    // When Consul cannot be told now, the check becomes critical because no report comes.
    await consul.api.agent.service
      .deregister({ id: service.id, ...deadline })
      .catch(() => undefined);
  }

  async #register({ status, note }: Health, ttlSeconds: number): Promise<void> {
    const { consul, service } = this.#options;
    const { id, name, address, port, tags, meta } = service;
    await consul.api.agent.service.register({
      ...{ id, name, address, port, tags: [...tags], meta: { ...meta } },
      check: {
        ...{ name: "workers answer", checkid: this.#checkId, notes: note },
        // The types of the client want a timeout, of which Consul makes nothing here.
        ...{ ttl: `${ttlSeconds}s`, status, timeout: "" },
        deregistercriticalserviceafter: removedAfter,
      },
      ...deadline,
    });
  }

  async #update({ status, note }: Health): Promise<void> {
    const { check } = this.#options.consul.api.agent;
    const asked = { id: this.#checkId, note, ...deadline };
    if (status === "passing") await check.pass(asked);
    else if (status === "warning") await check.warn(asked);
    else await check.fail(asked);
  }
}
