/**
 * A worker process, which serves traffic. The primary tells it its settings and the desired state. It listens after
 * its first snapshot and reports once a second. It never asks Consul.
 */
import { flushCompileCache } from "node:module";
import { Slots } from "../../plugins/index.ts";
import { PeerBook } from "../balancing/index.ts";
import {
  type Descriptors,
  defaultLimits,
  type Engine,
  type ListenerOptions,
} from "../engine/engine.ts";
import { addressTest } from "../engine/message/address-blocks.ts";
import { RateLimits } from "../limits/index.ts";
import {
  type HostDocument,
  isAppliedTo,
  isHttp,
  type ListenerTerms,
  type ListeningAddress,
  lastWordsDescriptor,
  listeningDescriptors,
  type PeerFinding,
  type Served,
  type Snapshot,
  type ToWorker,
  type WorkerSettings,
} from "../model/index.ts";
import { AccessLog } from "../observability/access-log.ts";
import { createLogger, type Log } from "../observability/logger.ts";
import { outputWritten, standardOutput } from "../observability/standard-output.ts";
import { Traffic } from "../observability/traffic.ts";
import { OwnAddresses } from "../own-addresses.ts";
import { createSandbox } from "../sandbox/for-workers.ts";
import type { Sandbox } from "../sandbox/index.ts";
import { Router } from "../sites/index.ts";
import { type Answering, answer } from "./answers.ts";
import { send } from "./channel.ts";
import { type DescriptorLimit, descriptorLimit, watchDescriptors } from "./descriptors.ts";
import { createEngine } from "./engine-choice.ts";
import { explain } from "./explain.ts";
import { explainStream } from "./explain-stream.ts";
import { FailureLog } from "./failure-log.ts";
import { Gateway } from "./gateway.ts";
import { HiddenServices } from "./hidden-services.ts";
import { LoadShare } from "./load-share.ts";
import { serveUntilSucceeded } from "./orphan.ts";
import { type PluginRoom, pluginPhases } from "./plugin-phases.ts";
import { Replica } from "./replica.ts";
import { Reporter } from "./reporter.ts";
import { WorkerStreams } from "./streams.ts";
import { TlsRoom } from "./tls/tls-room.ts";

/** How many answers may be compressed at once. Each takes about a mebibyte for as long as its client reads. */
const pluginSlots = 256;
/**
 * How many connections may wait to be accepted, for all workers together; the kernel's `somaxconn` also bounds it.
 */
const backlog = 4_096;
/** How long a worker whose primary is gone may take to finish what runs. */
const orphanDrainMs = 5_000;
/** How long it may then take to end, its last records included. */
const orphanGraceMs = 1_000;

const now = () => performance.now();

class Worker {
  readonly #settings: WorkerSettings;
  readonly #log: Log;
  readonly #replica = new Replica();
  readonly #book: PeerBook;
  readonly #loads: LoadShare;
  readonly #sandbox: Sandbox;
  readonly #limits: RateLimits;
  readonly #pluginRoom: PluginRoom;
  readonly #accessLog: AccessLog | null;
  readonly #gateway: Gateway;
  readonly #reporter: Reporter;
  readonly #answering: Answering;
  readonly #engine: Engine;
  readonly #streams: WorkerStreams;
  readonly #ownAddresses: OwnAddresses;
  readonly #tls: TlsRoom;
  /** Findings about peers that are about to be sent. */
  #findings: PeerFinding[] = [];
  #isListening = false;
  #isDraining = false;

  constructor(settings: WorkerSettings) {
    this.#settings = settings;
    const descriptors = descriptorLimit();
    this.#log = createLogger({ name: "sluice-worker", level: settings.logLevel });
    this.#book = new PeerBook({
      onRetired: (peer) => this.#engine.retire(peer),
      random: Math.random,
      now,
      onFinding: (finding) => this.#tell(finding),
      zone: settings.zone ?? null,
    });
    this.#sandbox = createSandbox({
      limits: settings.script,
      tenants: settings.tenants ?? null,
      lastWordsDescriptor,
      log: (level, host, version, message) => this.#log[level]({ script: host, version }, message),
      logLevel: settings.logLevel,
    });
    this.#limits = new RateLimits({
      send: (batch, asks) => void send({ type: "takeTokens", batch, asks }),
      now,
      log: this.#log,
    });
    this.#pluginRoom = { limits: this.#limits, slots: new Slots(pluginSlots) };
    this.#accessLog =
      settings.accessLog === null
        ? null
        : new AccessLog({
            target: settings.accessLog,
            onTrouble: (message) => this.#log.error({}, message),
          });
    const traffic = new Traffic();
    const failures = new FailureLog(this.#log, now, descriptors?.limit ?? null);
    const hidden = new HiddenServices(this.#log, now);
    const forbids = (address: string, port: number) => this.#ownAddresses.find(address, port);
    this.#gateway = new Gateway({
      router: this.#route(null, null),
      sandbox: this.#sandbox,
      log: this.#log,
      accessLog: this.#accessLog,
      traffic,
      failures,
      hidden,
      exposes: settings.listeners.map(({ exposes }) => exposes),
      now,
      watchTimeoutMs: settings.watchTimeoutMs,
      askForService: (service) => send({ type: "watch", service }),
    });
    this.#loads = new LoadShare({
      book: this.#book,
      gates: () => this.#gateway.router.gates,
      send: (loads) => void send({ type: "loads", loads }),
    });
    if (settings.hasOthers) this.#loads.start();
    this.#ownAddresses = new OwnAddresses(settings.ownAddresses);
    this.#tls = new TlsRoom({
      ruleOf: (host, exposes) =>
        this.#gateway.router.site(host, exposes).rules?.document.clientCertificate ?? null,
      http2: settings.limits.http2 ?? defaultLimits.http2,
      onError: (error) => this.#gateway.onError(error),
    });
    this.#engine = createEngine(settings.engine, {
      handler: this.#gateway,
      limits: settings.limits,
      forwardedPath: settings.forwardedPath ?? "normal",
      idPrefix: settings.idPrefix,
      trusts: addressTest(settings.trustedProxies),
      listeners: settings.listeners.map((terms) => listenerOptions(terms, this.#tls)),
      peerMaterials: this.#tls.peerMaterials,
      forbids,
      onError: (error) => this.#gateway.onError(error),
      now,
      ...(descriptors === null
        ? {}
        : { descriptors: this.#watch(descriptors, () => this.#streams.engine.descriptors) }),
    });
    this.#streams = new WorkerStreams({
      settings,
      router: () => this.#gateway.router,
      accessLog: this.#accessLog,
      failures,
      hidden,
      traffic,
      forbids,
      ask: (service) => void send({ type: "watch", service }),
      reopen: (listener) => void send({ type: "reopen", listener }),
      onUnable: (listener, { code = "", message }) =>
        void send({ type: "cannotListen", listener, code, message }),
      onError: (error) => this.#gateway.onError(error),
      backlog,
      descriptors:
        descriptors === null ? null : this.#watch(descriptors, () => connectionsOf(this.#engine)),
      now,
    });
    this.#reporter = new Reporter({
      idPrefix: settings.idPrefix,
      engine: this.#engine,
      traffic,
      streams: this.#streams,
      scripts: () => this.#sandbox.reports(),
      log: this.#log,
      now,
    });
    this.#reporter.start();
    this.#answering = {
      gateway: this.#gateway,
      reporter: this.#reporter,
      explainStream: (asked) =>
        explainStream(asked, {
          router: this.#gateway.router,
          version: this.#replica.version,
          nowMs: now(),
        }),
      explain: (asked) =>
        explain(asked, {
          router: this.#gateway.router,
          version: this.#replica.version,
          exposes: settings.listeners.map(({ exposes }) => exposes),
          limits: settings.limits,
          now,
        }),
    };
    void send({ type: "resync", reason: "started" });
  }

  /** @param others returns how many descriptors another engine uses. */
  #watch(descriptors: DescriptorLimit, others: () => number): Descriptors {
    return watchDescriptors(descriptors, {
      log: this.#log,
      others,
      connections: () => connectionsOf(this.#engine) + this.#streams.engine.descriptors,
      reopen: (listener) => void send({ type: "reopen", listener }),
      now,
    });
  }

  /** `handle`: the socket that came with the message. */
  onMessage(message: Exclude<ToWorker, { type: "start" }>, handle: unknown): void {
    switch (message.type) {
      case "socket":
        void this.#reopen(message.listener, handle);
        break;
      case "snapshot":
        this.#onSnapshot(message.snapshot);
        break;
      case "delta": {
        const { delta } = message;
        // Deltas before the first snapshot are useless: the snapshot will contain them.
        if (this.#replica.version === -1) return;
        if (this.#replica.applyDelta(delta) === "gap") {
          this.#resync(`delta from ${delta.from}`);
          return;
        }
        this.#swap(delta.changes);
        break;
      }
      case "counter":
        if (this.#replica.version !== -1 && !this.#replica.isAt(message.boot, message.version)) {
          this.#resync(`the counter is at ${message.version}`);
        }
        break;
      case "question":
        void send(answer(message, this.#answering));
        break;
      case "tokens":
        this.#limits.onGrants(message.batch, message.grants);
        break;
      case "loads":
        this.#loads.hear(message.loads);
        break;
      case "scriptCosts":
        this.#sandbox.learn(message.costs);
        break;
      case "openListener":
        if (!this.#isDraining) void this.#streams.open(message, handle);
        break;
      case "listenerTerms":
        this.#streams.engine.setTerms(message.listener, message.terms);
        break;
      case "closeListener":
        this.#streams.close(message.listener, message.deadlineMs);
        break;
      case "reopenLogs":
        this.#accessLog?.reopen();
        break;
      case "drain":
        this.drain(message.deadlineMs);
        break;
    }
  }

  /** The primary is gone. */
  orphaned(): void {
    const { succession } = this.#settings;
    if (succession === null || !this.#isListening || this.#isDraining) {
      this.#drainAlone(orphanDrainMs);
      return;
    }
    this.#log.warn({}, "the primary is gone: serving on until another gateway does");
    serveUntilSucceeded({
      succession: succession.name,
      onEnd: (why) => {
        this.#log.info({ why }, `without a primary, and ${why}: finishing what runs`);
        this.#drainAlone(succession.drainTimeoutMs);
      },
    });
  }

  #drainAlone(deadlineMs: number): void {
    // A write to a pipe that nobody reads would hold up even `process.exit`.
    setTimeout(() => process.kill(process.pid, "SIGKILL"), deadlineMs + orphanGraceMs);
    this.drain(deadlineMs);
  }

  drain(deadlineMs: number): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    if (!this.#isListening) process.exit(0);
    void this.#finish(deadlineMs);
  }

  async #finish(deadlineMs: number): Promise<void> {
    const [cut, cutStreams] = await Promise.all([
      this.#engine.drain(deadlineMs),
      this.#streams.engine.drain(deadlineMs),
    ]);
    if (cut > 0) this.#log.warn({ cut }, "requests were cut at the drain deadline");
    if (cutStreams > 0)
      this.#log.warn({ cut: cutStreams }, "connections were cut at the drain deadline");
    await this.#reporter.report();
    await this.#accessLog?.close();
    // The sandbox logs what it had left out of the log.
    this.#sandbox.dispose();
    await outputWritten(standardOutput(), null);
    process.exit(0);
  }

  #onSnapshot(snapshot: Snapshot): void {
    this.#replica.applySnapshot(snapshot);
    this.#swap(null);
    if (!this.#isListening) void this.#listen();
  }

  async #listen(): Promise<void> {
    this.#isListening = true;
    await this.#ownAddresses.start();
    const addresses: ListeningAddress[] = [];
    let listener = 0;
    try {
      for (const terms of this.#settings.listeners) {
        const inherited = { descriptors: listeningDescriptors(listener), backlog };
        const { address, port } = isHttp(terms.protocol)
          ? await this.#engine.listen(inherited, listener)
          : await this.#streams.engine.listen(inherited, listener, terms);
        listener += 1;
        addresses.push({ address, port });
      }
      this.#streams.begin();
      // Written now for the next worker: otherwise it is written when this one ends, and a killed worker writes
      // nothing.
      flushCompileCache();
      void send({ type: "listening", addresses });
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      void send({ type: "cannotListen", listener, code: code ?? "", message });
    }
  }

  async #reopen(listener: number, handle: unknown): Promise<void> {
    // A process without a free descriptor receives no handle; the socket is asked for again.
    if (this.#isDraining || typeof handle !== "object" || handle === null) return;
    const terms = this.#settings.listeners[listener];
    try {
      if (terms === undefined || isHttp(terms.protocol))
        await this.#engine.listen({ handle, backlog }, listener);
      else await this.#streams.engine.listen({ handle, backlog }, listener, terms);
    } catch (error) {
      this.#gateway.onError(error);
    }
  }

  /** Makes requests see the tables of the replica's version. `null`: anything may differ. */
  #swap(changes: readonly Served[] | null): void {
    const { script, trial, module, setting } = this.#replica.tables;
    if (changes === null || changes.some(isAboutScripts)) {
      this.#sandbox.apply({ script, trial, module, setting });
    }
    if (changes === null || changes.some(isAboutPeers)) {
      const heard = changes?.filter(isAboutPeers).map(({ key }) => key) ?? null;
      this.#book.hear(this.#replica.tables.health, heard);
    }
    this.#tls.apply(this.#replica.tables);
    const { challenge } = this.#replica.tables;
    this.#gateway.challenges = challenge.size === 0 ? null : challenge;
    const before = this.#gateway.router;
    const router = this.#route(before, changes);
    this.#gateway.router = router;
    before.dispose(router);
    void send({ type: "ack", boot: this.#replica.boot, version: this.#replica.version });
    const { service, datacenter } = this.#replica.tables;
    const keys = (kind: "service" | "datacenter") =>
      (changes ?? []).filter((change) => change.kind === kind).map((change) => change.key);
    const services = changes === null ? [...service.keys()] : keys("service");
    const catalogs = changes === null ? [...datacenter.keys()] : keys("datacenter");
    this.#gateway.servicesArrived(services);
    this.#gateway.catalogsArrived(catalogs);
    this.#streams.engine.arrived([...services, ...catalogs.map((name) => `@${name}`)]);
  }

  #route(before: Router | null, changes: readonly Served[] | null): Router {
    const options = {
      random: Math.random,
      now,
      scripts: this.#sandbox.hosts,
      phasesOf: (key: string, document: HostDocument) =>
        pluginPhases(key, document, this.#pluginRoom),
    };
    return Router.build(this.#replica.tables, this.#book, options, before, changes);
  }

  /**
   * Sends all findings from one turn of the event loop in one message: a service that dies takes its peers with it.
   */
  #tell(finding: PeerFinding): void {
    this.#findings.push(finding);
    if (this.#findings.length > 1) return;
    setImmediate(() => {
      const findings = this.#findings;
      this.#findings = [];
      void send({ type: "peers", findings });
    });
  }

  #resync(reason: string): void {
    this.#log.warn({ version: this.#replica.version, reason }, "asking for a snapshot");
    void send({ type: "resync", reason });
  }
}

function isAboutPeers(change: Served): boolean {
  return isAppliedTo("peers", change.kind);
}

/** Connections from clients and to peers. */
function connectionsOf(engine: Engine): number {
  const { clientConnections, peerConnections } = engine.stats();
  return clientConnections + peerConnections;
}

function listenerOptions(
  { tls, exposes, proxyProtocol, limits }: ListenerTerms,
  room: TlsRoom,
): ListenerOptions {
  return {
    tls: tls === null ? null : room.listener(tls, exposes),
    proxied: proxyProtocol.length === 0 ? null : addressTest(proxyProtocol),
    ...limits,
  };
}

function isAboutScripts(change: Served): boolean {
  return isAppliedTo("scripts", change.kind);
}

let worker: Worker | null = null;

process.on("message", (message: ToWorker, handle: unknown) => {
  if (message.type === "start") worker ??= new Worker(message.settings);
  else worker?.onMessage(message, handle);
});
process.on("disconnect", () => {
  if (worker === null) process.exit(0);
  worker.orphaned();
});
// The primary answers signals to the whole process group, and tells its workers what to do.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const) {
  process.on(signal, () => {});
}
