/**
 * The control plane: puts sources, gate, state, replication, workers and the admin API together, and
 * owns the order in which they start and stop. Reads no argv and installs no signal handler.
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { AcmeMaterials } from "../acme-materials.ts";
import type { Log } from "../observability/logger.ts";
import { type OwnAddress, ownPlaces } from "../own-addresses.ts";
import { isSubject, withoutUnexamined } from "../releases/index.ts";
import type { Settings } from "../settings.ts";
import { type Address, formatAddress } from "../settings-values.ts";
import {
  adminPlace,
  bindListeners,
  closeListeners,
  listenAdmin,
  openDatagrams,
  refuseSharedAddresses,
  StartError,
} from "./addresses.ts";
import type { AdminAccess } from "./admin/access.ts";
import { assemble, type Running } from "./assembly.ts";
import type { Clock } from "./clock.ts";
import { DirectoryLock } from "./directory-lock.ts";
import { Membership } from "./fleet/membership.ts";
import type { HeldSocket } from "./held-sockets.ts";
import type { PrimaryParts } from "./parts.ts";
import { type LoadedSnapshot, SnapshotFile } from "./snapshot-file.ts";
import { type Status, statusOf } from "./status.ts";
import { Succession, successionName } from "./succession.ts";

export interface PrimaryOptions {
  readonly settings: Settings;
  readonly parts: PrimaryParts;
  /** Who may use the admin API. */
  readonly access: AdminAccess;
  /** Opens sealed private keys in KV; `null`: there is none. */
  readonly sealingKey: Buffer | null;
  /** `null`: no certificates are ordered. Default: none are. */
  readonly acme?: AcmeMaterials | null;
  readonly clock: Clock;
  readonly log: Log;
  /** Sockets that a supervisor holds. Default: none. */
  readonly held?: readonly HeldSocket[];
}

/** How long scripts wait at the start for the rest of what Consul has. */
const scriptGraceMs = 2000;
/** How long the opening waits for the last script to be examined. */
const examinationGraceMs = 1_000;
const announceMs = 100;
/** A Consul that hangs must not hold up the end. */
const goodbyeMs = 1000;
/** The time after the last running request: for workers, Consul and the data directory. */
const lastStepsMs = 3000;

const noConsul = (url: string) =>
  `no Consul at ${url} and none was named; try "npx sluice demo", start one with "npx sluice agent", or name yours with --consul URL`;

export class Primary {
  readonly #settings: Settings;
  readonly #parts: PrimaryParts;
  readonly #access: AdminAccess;
  readonly #sealingKey: Buffer | null;
  readonly #acme: AcmeMaterials | null;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #held: readonly HeldSocket[];
  readonly #startedMs: number;
  /** Of the epoch. */
  readonly #startedAtMs: number;
  readonly #boot = randomUUID();
  /** In the history of scripts and in the registry of gateways. */
  readonly #name = `${hostname()}-${this.#boot.slice(0, 8)}`;
  #membership: Membership | null = null;
  readonly #failure = Promise.withResolvers<string>();
  #running: Running | null = null;
  /** Where no peer may be. */
  #ownPlaces: readonly OwnAddress[] = [];
  #succession: Succession | null = null;
  #lock: DirectoryLock | null = null;
  #isStopping = false;

  constructor({
    settings,
    parts,
    access,
    sealingKey,
    acme,
    clock,
    log,
    held = [],
  }: PrimaryOptions) {
    this.#sealingKey = sealingKey;
    this.#acme = acme ?? null;
    this.#settings = settings;
    this.#parts = parts;
    this.#access = access;
    this.#clock = clock;
    this.#log = log;
    this.#held = held;
    this.#startedMs = clock.ticks();
    this.#startedAtMs = clock.now();
  }

  /** Resolves, with the reason, only when the workers turn out to be unable to serve at all. */
  get failed(): Promise<string> {
    return this.#failure.promise;
  }

  /** Resolves when the control plane runs; workers come up after that. Throws a `StartError`. */
  async start(): Promise<{ readonly admin: Address }> {
    const { admin } = this.#settings;
    const isUdp = ({ protocol }: { readonly protocol: string }) => protocol === "udp";
    const wanted = this.#settings.listeners.filter((one) => !isUdp(one));
    const udp = this.#settings.listeners.filter(isUdp);
    await refuseSharedAddresses([...wanted, { flag: "--admin", address: admin }]);
    await refuseSharedAddresses(udp);
    const place = await adminPlace(admin, this.#access);
    const { dataDir } = this.#settings;
    const lock = dataDir === null ? null : new DirectoryLock(dataDir);
    await lock?.take();
    this.#lock = lock;
    const file = this.#snapshotFile();
    const loaded = (await file?.load()) ?? null;
    await this.#lookForConsul(loaded);
    const listeners = await bindListeners(wanted, this.#held);
    const datagrams = await openDatagrams(udp, this.#settings.workers).catch((error: unknown) => {
      closeListeners(listeners);
      throw error;
    });
    const [first] = listeners;
    // An address that this gateway has bound itself is free for the next one only when its workers are gone.
    const succession =
      first !== undefined && udp.length === 0 && listeners.every(({ isHeld }) => isHeld)
        ? successionName(first.socket)
        : null;
    const running = assemble({
      settings: this.#settings,
      parts: this.#parts,
      access: this.#access,
      clock: this.#clock,
      log: this.#log,
      boot: this.#boot,
      name: this.#name,
      file,
      loaded,
      listeners,
      sealingKey: this.#sealingKey,
      acme: this.#acme,
      datagrams,
      succession,
      place,
      ownPlaces: () => this.#ownPlaces,
      status: () => this.status(),
      notReady: () => this.notReady(),
      onUnable: this.#failure.resolve,
    });
    const address = await listenAdmin(running.admin, place).catch((error: unknown) => {
      closeListeners(listeners);
      running.handed.close();
      throw error;
    });
    this.#running = running;
    if (succession !== null) this.#announceWhenServing(new Succession(succession, this.#log));
    const { host } = place;
    this.#ownPlaces = ownPlaces({ ...address, host }, this.#parts.consul.url);
    await running.ownAddresses.start(this.#ownPlaces);
    running.stickyKey.begin(running.state.tables);
    await running.certificateFiles.start();
    running.certificates.start();
    if (wanted.some(({ protocol }) => protocol === "https")) running.ticketKeys.start();
    running.sources.start();
    running.workers.start();
    running.metrics.start();
    this.#membership = this.#join(running, address);
    this.#membership.start();
    running.checks.follow(running.state.tables.upstream);
    running.peerSweep.start();
    if (loaded !== null) this.#openFromFile(running, loaded);
    this.#openWhenReady(running).catch((error: unknown) => {
      this.#log.error({ err: error }, "the first state cannot be put together");
      this.#failure.resolve("the first state cannot be put together");
    });
    const scheme = this.#access.tls === null ? "http" : "https";
    this.#log.info(
      { admin: formatAddress(address), consul: this.#parts.consul.url, boot: this.#boot },
      `admin API on ${scheme}://${formatAddress(address)}/status`,
    );
    if (place.isExposed && this.#access.tls === null) {
      this.#log.warn(
        { admin: formatAddress(address) },
        "the admin API's token travels unencrypted; --admin-cert and --admin-key change that",
      );
    }
    return { admin: address };
  }

  /** A part that takes longer than this to stop waits for something that may never come. */
  get longestStopMs(): number {
    return this.#settings.drainTimeoutMs + lastStepsMs;
  }

  /** Has every worker open its log files anew, as after a rotation. */
  reopenLogs(): void {
    this.#running?.workers.reopenLogs();
  }

  /** Replaces the workers one by one. Resolves to false when that was given up. */
  async roll(): Promise<boolean> {
    return (await this.#running?.workers.roll()) ?? false;
  }

  /** Drains the workers, writes the state and lets go of everything. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const running = this.#running;
    if (running === null) return;
    this.#succession?.stop();
    closeListeners(running.listeners);
    // First, so that nobody counts on this gateway while it finishes what runs.
    const left = this.#within(goodbyeMs, this.#membership?.stop());
    running.handed.close();
    await this.#within(goodbyeMs, running.acme?.stop());
    await running.workers.drain(this.#settings.drainTimeoutMs);
    await running.sources.stop();
    await Promise.all([left, this.#within(goodbyeMs, running.releases.stop())]);
    this.#parts.consul.close();
    running.batcher.flushNow();
    running.replication.close();
    running.certificateFiles.stop();
    running.certificates.stop();
    running.ticketKeys.stop();
    running.unknownFolders.stop();
    running.warnings.close();
    running.checks.close();
    running.peerSweep.close();
    running.health.close();
    running.stickyKey.stop();
    running.ownAddresses.stop();
    running.metrics.stop();
    await running.file?.close();
    this.#lock?.release();
    await running.admin.close();
    this.#running = null;
  }

  /** Resolves when something that involves Consul is done, or when it takes too long. */
  async #within(ms: number, task: Promise<unknown> | undefined): Promise<void> {
    const late = Promise.withResolvers<void>();
    const cancel = this.#clock.after(ms, late.resolve);
    await Promise.race([task, late.promise]);
    cancel();
  }

  /** For when there is no time left: kills the workers. */
  abandon(): void {
    this.#running?.workers.killAll();
  }

  /** Says in Consul that this gateway is there. */
  #join(running: Running, admin: Address): Membership {
    const { records, releases, workers, state, sources, local } = running;
    const { prefix } = this.#settings;
    return new Membership({
      name: this.#name,
      admin,
      isTls: this.#access.tls !== null,
      key: records.keys.gateways + this.#name,
      service: this.#settings.serviceName,
      consul: this.#parts.consul,
      clock: this.#clock,
      log: this.#log,
      ask: () => workers.ask("alive", null),
      notReady: () => this.notReady(),
      workers: () => workers.status(),
      version: () => state.version,
      applied: () => releases.applied(),
      local: () => local.list().map(({ subject }) => subject),
      challenges: () => [...state.tables.challenge.keys()],
      refused: () => [
        ...releases.refused(),
        ...sources
          .status()
          .refused.map(({ key }) => key.slice(prefix.length))
          .filter(isSubject),
      ],
    });
  }

  /** Workers of a previous gateway end once every worker of this one listens. */
  #announceWhenServing(succession: Succession): void {
    this.#succession = succession;
    if (this.#isStopping) return;
    if (this.#running?.workers.notReady() === null) succession.announce();
    else this.#clock.after(announceMs, () => this.#announceWhenServing(succession));
  }

  #snapshotFile(): SnapshotFile | null {
    const { dataDir } = this.#settings;
    if (dataDir === null) return null;
    return new SnapshotFile({
      directory: dataDir,
      source: () => {
        if (this.#running === null) throw new Error("there is no state yet");
        const { state, local } = this.#running;
        const saved = withoutUnexamined(state.saved());
        return { ...saved, changes: local.without(saved.changes) };
      },
      memory: () => this.#running?.sources.memory() ?? null,
      clock: this.#clock,
      log: this.#log,
    });
  }

  async #lookForConsul(loaded: LoadedSnapshot | null): Promise<void> {
    if (loaded !== null) return;
    const { url } = this.#parts.consul;
    const reason = this.#parts.consul.reach();
    if (!this.#settings.consul.named) {
      if ((await reason) !== null) throw new StartError(noConsul(url));
      return;
    }
    void reason.then((text) => {
      if (text === null) return;
      this.#log.warn({ consul: url, reason: text }, `waiting for Consul at ${url}: ${text}`);
    });
  }

  #openFromFile(running: Running, loaded: LoadedSnapshot): void {
    const writtenAt = new Date(loaded.writtenAt).toISOString();
    this.#log.info(
      { file: running.file?.path, writtenAt, entries: loaded.changes.length },
      `serving the last known good state of ${writtenAt} until Consul answers`,
    );
    running.replication.open();
    running.handed.update(running.state.tables.listener);
    running.warnings.update();
  }

  /** A worker is given no state before Consul's first answers are in it, checked scripts included. */
  async #openWhenReady(running: Running): Promise<void> {
    const { sources, releases, batcher, replication, file, warnings, handed, state } = running;
    // A watch that never gets an answer must not hold up the scripts of the others for ever.
    const cancel = this.#clock.after(scriptGraceMs, () => releases.begin());
    await sources.whenReady();
    cancel();
    await releases.settle(this.#examinationGrace());
    if (this.#isStopping) return;
    batcher.flushNow();
    this.#openWithout(running);
    batcher.flushNow();
    replication.open();
    handed.update(state.tables.listener);
    file?.schedule();
    warnings.update();
    running.unknownFolders.start();
    running.acme?.start();
  }

  /** Resolves when scripts that are not examined yet may no longer keep all other hosts waiting. */
  #examinationGrace(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#clock.after(examinationGraceMs, resolve);
    return promise;
  }

  /** Hosts whose script is not examined yet answer 503, if nothing served them before. */
  #openWithout({ releases, replication }: Running): void {
    const hosts = replication.isOpen ? 0 : releases.openWithout();
    if (hosts === 0) return;
    this.#log.info(
      { hosts },
      `the gateway opens while the scripts of ${hosts} hosts are being examined; these hosts answer 503`,
    );
  }

  /** Why `/readyz` answers 503; `null` when it does not. */
  notReady(): string | null {
    if (this.#isStopping) return "the gateway is stopping";
    const running = this.#running;
    if (running === null) return "the gateway is starting";
    const { stale, blind } = running.sources.status();
    if (running.replication.isOpen) return running.workers.notReady() ?? blind;
    return stale === null
      ? `the first answers of Consul at ${this.#parts.consul.url} are not complete`
      : `Consul has not answered: ${stale.error}`;
  }

  /** The version in it counts all that it shows: what waits to be served together is served first. */
  status(): Status {
    const running = this.#running;
    if (running === null) throw new Error("the gateway is not running");
    running.batcher.flushNow();
    return statusOf(running, {
      boot: this.#boot,
      startedAtMs: this.#startedAtMs,
      uptimeMs: Math.round(this.#clock.ticks() - this.#startedMs),
      notReady: this.notReady(),
      consulUrl: this.#parts.consul.url,
      tenants: this.#settings.tenants,
    });
  }
}
