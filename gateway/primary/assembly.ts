/**
 * Puts the control plane together: sources, gate, state, replication, workers and the admin API, each given
 * what it needs of the others. Starts nothing.
 */

import { randomInt } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type { AcmeMaterials } from "../acme-materials.ts";
import {
  byWay,
  changesOf,
  namedMaterials,
  otherLabel,
  ownDatacenter,
  type Served,
  SiteNames,
} from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import { type OwnAddress, OwnAddresses } from "../own-addresses.ts";
import {
  Operations,
  PeerOperations,
  Records,
  Releases,
  withClosed,
  withoutForeign,
  withSchedule,
} from "../releases/index.ts";
import { Verdicts } from "../sandbox/index.ts";
import type { Settings } from "../settings.ts";
import { Acme } from "./acme/acme.ts";
import type { AdminPlace, BoundListener } from "./addresses.ts";
import type { AdminAccess } from "./admin/access.ts";
import { createAdmin } from "./admin/server.ts";
import { Batcher } from "./batcher.ts";
import { bySite } from "./by-site.ts";
import { CertificateBook } from "./certificates/book.ts";
import { CertificateFiles } from "./certificates/files.ts";
import { TicketKeys } from "./certificates/ticket-keys.ts";
import type { Clock } from "./clock.ts";
import { Delivery } from "./delivery.ts";
import { Explainer } from "./explain.ts";
import { Fleet } from "./fleet/fleet.ts";
import { HandedListeners } from "./handed-listeners.ts";
import { ActiveChecks, createProbe, Drains, PeerHealthBook, PeerSweep } from "./health/index.ts";
import { HostView } from "./host-view.ts";
import { KnownPeers } from "./known-peers.ts";
import { LocalChanges } from "./local-changes.ts";
import { findLoops, listenerPlaces } from "./loops.ts";
import { Metrics } from "./metrics/index.ts";
import type { OpenDatagrams } from "./open-sockets.ts";
import type { PrimaryParts, Sources } from "./parts.ts";
import { PeerGuard } from "./peer-guard.ts";
import { Replication } from "./replication.ts";
import { slardarUpstreams } from "./slardar-status.ts";
import type { LoadedSnapshot, SnapshotFile } from "./snapshot-file.ts";
import { State, tablesFrom } from "./state.ts";
import type { Status } from "./status.ts";
import { StickyKey } from "./sticky-key.ts";
import { UnknownFolders } from "./unknown-folders.ts";
import { UpstreamView } from "./upstream-view.ts";
import { Warnings } from "./warnings.ts";
import { Workers } from "./workers.ts";

/** The parts of a control plane. */
export interface Running {
  /** What the workers accept from; nobody accepts in this process. */
  readonly listeners: readonly BoundListener[];
  /** What workers are handed while they run. */
  readonly handed: HandedListeners;
  readonly file: SnapshotFile | null;
  readonly certificates: CertificateBook;
  readonly certificateFiles: CertificateFiles;
  /** `null`: this gateway orders no certificates. */
  readonly acme: Acme | null;
  readonly ticketKeys: TicketKeys;
  readonly state: State;
  readonly replication: Replication;
  readonly batcher: Batcher;
  readonly warnings: Warnings;
  readonly unknownFolders: UnknownFolders;
  readonly ownAddresses: OwnAddresses;
  readonly releases: Releases;
  readonly records: Records;
  readonly sources: Sources;
  readonly local: LocalChanges;
  readonly knownPeers: KnownPeers;
  readonly workers: Workers;
  readonly metrics: Metrics;
  readonly health: PeerHealthBook;
  readonly checks: ActiveChecks;
  readonly peerSweep: PeerSweep;
  readonly stickyKey: StickyKey;
  readonly admin: FastifyInstance;
}

export interface AssemblyOptions {
  readonly settings: Settings;
  readonly parts: PrimaryParts;
  readonly access: AdminAccess;
  readonly clock: Clock;
  readonly log: Log;
  /** Tells this start of the gateway from every other. */
  readonly boot: string;
  /** In the history of scripts. */
  readonly name: string;
  readonly file: SnapshotFile | null;
  /** What the data directory had; `null`: nothing. */
  readonly loaded: LoadedSnapshot | null;
  readonly listeners: readonly BoundListener[];
  /** Opens sealed private keys; `null`: there is none. */
  readonly sealingKey: Buffer | null;
  /** `null`: no certificates are ordered. */
  readonly acme: AcmeMaterials | null;
  readonly datagrams: readonly OpenDatagrams[];
  /** Where the next gateway says that it serves; `null`: workers end with their primary. */
  readonly succession: string | null;
  readonly place: AdminPlace;
  /** Where no peer may be. */
  readonly ownPlaces: () => readonly OwnAddress[];
  readonly status: () => Status;
  readonly notReady: () => string | null;
  /** Workers turn out to be unable to serve at all. */
  readonly onUnable: (message: string) => void;
}

export function assemble(options: AssemblyOptions): Running {
  const { settings, parts, access, clock, log, boot, name } = options;
  const {
    file,
    loaded,
    listeners,
    datagrams,
    succession,
    place,
    ownPlaces,
    status,
    notReady,
    onUnable,
  } = options;
  const { tenants } = settings;
  const previous =
    loaded === null ? null : tablesFrom(withoutForeign(bySite(loaded.changes), tenants));
  const state = new State({
    boot: boot,
    ...(previous === null ? {} : { tables: previous }),
  });
  const replication = new Replication({ clock, log, source: state });
  const batcher = new Batcher({
    clock,
    flush: (changes) => {
      stickyKey.changed(changes);
      const delta = state.commit(changes);
      if (delta === null) return;
      replication.publish(delta);
      if (changes.some(({ kind }) => kind === "upstream")) checks.follow(state.tables.upstream);
      // Before it is open the state is a part only of what Consul has.
      if (!replication.isOpen) return;
      acme?.changed(changes);
      if (changes.every(({ kind }) => kind === "health")) return;
      file?.schedule();
      warnings.changed(changes);
      if (changes.some(({ kind }) => kind === "listener")) handed.update(state.tables.listener);
    },
  });
  const health = new PeerHealthBook({ serve: (changes) => batcher.add(changes), clock, log });
  const checks = new ActiveChecks({
    health,
    probe: createProbe(namedMaterials(() => state.tables.certificate)),
    mostAtOnce: settings.health.maxChecks,
    clock,
    random: Math.random,
  });
  const peerSweep = new PeerSweep({ health, tables: () => state.tables, clock });
  const stickyKey = new StickyKey({
    kv: parts.consul.kv,
    prefix: settings.prefix,
    serve: (changes) => batcher.add(changes),
    clock,
    log,
  });
  const ownAddresses = new OwnAddresses([]);
  const listenersAt = listenerPlaces(listeners);
  const guard = new PeerGuard(ownAddresses, settings.prefix);
  const unknownFolders = new UnknownFolders({
    prefix: settings.prefix,
    list: () => parts.consul.kv.folders(settings.prefix),
    clock,
    onChange: () => warnings.update(),
  });
  const warnings = new Warnings({
    leftOut: () => [
      ...guard.warnings(),
      ...certificates.warnings(),
      ...(acme?.warnings() ?? []),
      ...localGuard.warnings(),
      ...unknownFolders.warnings(),
      ...sources.warnings(),
      ...handed.findings(),
      ...findLoops(state.tables, listenersAt, settings.prefix),
    ],
    tables: () => state.tables,
    prefix: settings.prefix,
    settings: settings.warnings,
    clock,
    log,
  });
  const certificates = new CertificateBook({
    prefix: settings.prefix,
    listeners: settings.listeners,
    sealingKey: options.sealingKey,
    serve: (changes) => batcher.add(changes),
    isOpen: () => replication.isOpen,
    onChange: () => {
      if (replication.isOpen) warnings.update();
    },
    clock,
    log,
  });
  const certificateFiles = new CertificateFiles(settings.certificates.paths, clock, (found) =>
    certificates.takeFiles(found),
  );
  const acme =
    options.acme === null
      ? null
      : new Acme({
          ...{ materials: options.acme, name, clock, log, random: Math.random },
          prefix: settings.prefix,
          sealingKey: options.sealingKey,
          kv: parts.consul.kv,
          lock: parts.consul.lock,
          tables: () => state.tables,
          certificates: () => certificates.forHosts(),
          protocols: settings.listeners.map(({ protocol }) => protocol),
          onChange: () => warnings.update(),
        });
  const ticketKeys = new TicketKeys(options.sealingKey, clock, (value) =>
    batcher.add([{ kind: "ticketKeys", key: "current", value }]),
  );
  const handed = new HandedListeners({
    inherited: listeners,
    datagrams,
    ports: settings.kvListenerPorts,
    workers: settings.workers,
    drainTimeoutMs: settings.drainTimeoutMs,
    prefix: settings.prefix,
    send: (message, sockets) => workers.hand(message, sockets),
    onFindings: () => warnings.update(),
    clock,
    log,
  });
  const records = new Records({
    kv: parts.consul.kv,
    prefix: settings.prefix,
    onUnreadable: (message) => log.warn({}, `${message}; it is written anew when it changes`),
    sites: () => new SiteNames(ownDatacenter(state.tables)),
  });
  const examine = withSchedule(parts.examine);
  // Who asks by name is given a new examination.
  const operations = new Operations({ records, examine, tenants, now: () => clock.now() });
  const localGuard = new PeerGuard(ownAddresses, settings.prefix);
  const local = new LocalChanges({
    operations,
    served: (kind, key) => {
      batcher.flushNow();
      // The table is of the change's kind; the compiler does not pair them.
      return { kind, key, value: state.tables[kind].get(key) ?? null } as Served;
    },
    pass: (changes) => batcher.add(changes),
    live: (subject) => releases.live(subject),
    guard: (change) => localGuard.passDocument(change),
    clock,
  });
  const releases = new Releases({
    examine: new Verdicts().remember(examine),
    replay: parts.replay,
    records,
    name: name,
    served: state.tables,
    tenants,
    pass: (changes) => {
      batcher.add(local.over(changes));
      drains.take(changes);
    },
    reports: () => workers.scriptReports(),
    clock,
    log,
    prefix: settings.prefix,
  });
  const sources = parts.createSources({
    emit: (observed) => {
      const { straight, candidates } = byWay(guard.pass(certificates.pass(observed)));
      batcher.add(straight);
      if (candidates.length > 0) releases.offer(candidates);
    },
    previous: previous === null ? null : withClosed(previous),
    memory: loaded?.memory ?? null,
    onMemory: () => {
      if (replication.isOpen) file?.schedule();
    },
  });
  const metrics = new Metrics({ tables: () => state.tables, status, clock });
  const workers = new Workers({
    entry: parts.workerEntry,
    count: settings.workers,
    listeners,
    handed,
    settings: {
      engine: settings.engine,
      forwardedPath: settings.forwardedPath,
      limits: settings.limits,
      accessLog: settings.accessLog,
      trustedProxies: settings.trustedProxies,
      script: settings.script,
      tenants: settings.tenants,
      zone: settings.health.zone,
      watchTimeoutMs: settings.watchTimeoutMs,
      logLevel: settings.logLevel,
      succession:
        succession === null ? null : { name: succession, drainTimeoutMs: settings.drainTimeoutMs },
    },
    ownAddresses: ownPlaces,
    idLetters: randomLetters(6),
    replication,
    clock,
    log,
    drainTimeoutMs: settings.drainTimeoutMs,
    onCounts: (slot, counts) => {
      metrics.take(slot, counts);
      const names = counts.routes.map(({ upstream }) => upstream);
      sources.sawRequests(names.map((name) => (name === otherLabel ? null : name)));
    },
    onWatch: (service) => sources.use(service),
    onFindings: (findings) => {
      for (const finding of findings) health.take(finding);
    },
    onStalled: (words) => {
      const { host: script, version, out } = words;
      log.error(
        { script, version, reason: out.reason },
        `a worker could not get out of the script of ${script} and was ended`,
      );
      releases.stalled(words);
    },
    onFatal: (message, hasServed) => {
      if (!hasServed) onUnable(message);
    },
  });
  const drains = new Drains({ health, names: () => new SiteNames(ownDatacenter(state.tables)) });
  drains.take(changesOf(state.tables, ["peer"]));
  const knownPeers = new KnownPeers(() => state.tables);
  const delivery = new Delivery({
    written: async (subject) => (await records.source(subject))?.modifyIndex ?? null,
    decided: (subject) => releases.decided(subject),
    commit: () => {
      batcher.flushNow();
      return state.version;
    },
    behind: (version) => workers.behind(version),
    clock,
  });
  const admin = createAdmin({
    status,
    notReady,
    release: () => sources.release(),
    operations,
    delivery,
    local,
    peers: new PeerOperations({ operations, now: () => clock.now() }),
    knownPeers,
    views: {
      asSlardar: (only) => slardarUpstreams(state.tables, only),
      upstreams: new UpstreamView({ tables: () => state.tables, workers, clock }),
      hosts: new HostView({ tables: () => state.tables, status, workers, metrics }),
    },
    explainer: new Explainer({
      ...{ workers, listeners, local: () => local.list() },
      open: () => [
        ...listeners.map((one) => ({ ...one, port: one.socket.address().port })),
        ...handed.terms(),
      ],
    }),
    fleet: new Fleet({
      ...{ name, service: settings.serviceName, records },
      registered: parts.consul.registered,
      ticks: () => clock.ticks(),
    }),
    metrics: (isOpen) => metrics.scrape(workers, isOpen),
    access: { ...access, hosts: [...access.hosts, ...place.names] },
    isExposed: place.isExposed,
    log,
    ticks: () => clock.ticks(),
  });
  return {
    listeners,
    handed,
    file,
    certificates,
    certificateFiles,
    acme,
    ticketKeys,
    state,
    replication,
    batcher,
    warnings,
    unknownFolders,
    ownAddresses,
    releases,
    records,
    sources,
    local,
    knownPeers,
    workers,
    metrics,
    health,
    checks,
    peerSweep,
    stickyKey,
    admin,
  };
}

function randomLetters(count: number): string {
  return Array.from({ length: count }, () => String.fromCharCode(97 + randomInt(26))).join("");
}
