/**
 * What this gateway says about itself in Consul while it runs: its key in KV with the versions that it has applied, and
 * a service whose check passes while every worker answers. Looks once a second.
 */
import { hostname } from "node:os";
import type { Health } from "../../../consul/index.ts";
import type { Log } from "../../observability/logger.ts";
import { formatGateway, shortVersion, type Versions } from "../../registered-gateways.ts";
import type { Subject } from "../../releases/index.ts";
import { type Address, formatAddress } from "../../settings-values.ts";
import { readVersion } from "../../version.ts";
import type { Clock } from "../clock.ts";
import type { PrimaryParts } from "../parts.ts";
import type { Unanswered } from "../questions.ts";
import type { WorkerStatus } from "../worker-status.ts";

export interface MembershipOptions {
  readonly name: string;
  /** Where the admin API listens. */
  readonly admin: Address;
  readonly isTls: boolean;
  readonly key: string;
  /** What the gateway registers itself as; `null`: it does not. */
  readonly service: string | null;
  readonly consul: Pick<PrimaryParts["consul"], "present" | "register">;
  readonly clock: Clock;
  readonly log: Log;
  /** Asks each worker whether it answers. */
  readonly ask: () => Promise<{ readonly unanswered: readonly Unanswered[] }>;
  /** Why the gateway does not serve at all, or not with all its workers; `null`: it does. */
  readonly notReady: () => string | null;
  readonly workers: () => readonly Pick<WorkerStatus, "state" | "version">[];
  /** What is served, by the counter of versions. */
  readonly version: () => number;
  readonly applied: () => ReadonlyMap<Subject, string>;
  /** Subjects whose present text is not let through. */
  readonly refused: () => readonly Subject[];
  /** Documents that hold here alone. */
  readonly local: () => readonly Subject[];
  /** Tokens of ACME challenges, of the version that is served. */
  readonly challenges: () => readonly string[];
}

/**
 * The service is not for clients: a listener that exposes every service by its name must not expose the admin API, so
 * its tag says that it is not to be routed (`model/exposure.ts`).
 */
const tags = ["sluice.enable=false"];
const intervalMs = 1_000;
/** How much a gateway writes about its versions in a second. */
const bytesPerSecond = 50_000;

export class Membership {
  readonly #options: MembershipOptions;
  readonly #software = readVersion().version;
  readonly #startedAt: string;
  readonly #presence: ReturnType<PrimaryParts["consul"]["present"]>;
  readonly #registration: ReturnType<PrimaryParts["consul"]["register"]> | null;
  #working: Promise<void> = Promise.resolve();
  #cancel: (() => void) | null = null;
  #isStopped = false;
  #publishMs = Number.NEGATIVE_INFINITY;

  constructor(options: MembershipOptions) {
    this.#options = options;
    const { clock, consul, key, name, service, isTls, admin } = options;
    this.#startedAt = new Date(clock.now()).toISOString();
    this.#presence = consul.present(key, this.#text(null));
    const host = isAny(admin.host) ? "" : admin.host;
    this.#registration =
      service === null
        ? null
        : consul.register({
            ...{ id: `${service}-${name}`, name: service, address: host, port: admin.port, tags },
            meta: { name, version: this.#software, tls: String(isTls) },
          });
  }

  start(): void {
    this.#presence.start();
    this.#working = this.#look();
  }

  /** Removes both; resolves also when Consul does not answer. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    await this.#working;
    await Promise.all([this.#presence.stop(), this.#registration?.stop()]);
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#options;
    try {
      this.#publish();
      if (this.#registration !== null) await this.#registration.report(await this.#health());
    } catch (error) {
      log.error({ err: error }, "what this gateway has applied cannot be told");
    }
    if (this.#isStopped) return;
    this.#cancel = clock.after(intervalMs, () => {
      this.#working = this.#look();
    });
  }

  /** More than a timer: the check passes only while workers answer. */
  async #health(): Promise<Health> {
    const { ask, notReady, workers } = this.#options;
    const { unanswered } = await ask();
    const listening = workers().filter(({ state }) => state === "listening").length;
    const silent = unanswered.map(
      ({ pid, why }) => `the worker with pid ${pid} does not answer (${why})`,
    );
    const reason = silent[0] ?? notReady();
    if (reason === null) return { status: "passing", note: `${listening} workers answer` };
    return { status: listening > unanswered.length ? "warning" : "critical", note: reason };
  }

  /** Only what every worker has counts as applied. */
  #publish(): void {
    const { clock, workers, version, applied } = this.#options;
    const nowMs = clock.ticks();
    if (nowMs < this.#publishMs) return;
    const current = version();
    const serving = workers().filter(({ state }) => state === "listening");
    if (serving.length === 0 || serving.some((worker) => worker.version !== current)) return;
    const versions = Array.from(
      applied(),
      ([subject, version]) => [subject, shortVersion(version)] as const,
    );
    const text = this.#text(new Map(versions));
    this.#presence.update(text);
    this.#publishMs = nowMs + (text.length / bytesPerSecond) * 1_000;
  }

  #text(versions: Versions | null): string {
    const { name, admin, isTls, refused, local, challenges } = this.#options;
    // Others cannot ask an address that stands for all of this machine's.
    const host = isAny(admin.host) ? hostname() : admin.host;
    return formatGateway({
      ...{ name, admin: formatAddress({ host, port: admin.port }), isTls },
      ...{ pid: process.pid, startedAt: this.#startedAt },
      ...{
        software: this.#software,
        versions,
        refused: refused(),
        local: local(),
        challenges: challenges(),
      },
    });
  }
}

function isAny(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
