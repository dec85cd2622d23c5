/**
 * A worker process, which serves traffic. The primary tells it its settings and the desired state. It listens after
 * its first snapshot and reports once a second. It never asks Consul.
 */
import { flushCompileCache } from "node:module";
import {
  isAppliedTo,
  isHttp,
  type ListeningAddress,
  listeningDescriptors,
  type Served,
  type Snapshot,
  type ToWorker,
  type WorkerSettings,
} from "../model/index.ts";
import { outputWritten, standardOutput } from "../observability/standard-output.ts";
import { answer } from "./answers.ts";
import { assemble, type WorkerParts } from "./assembly.ts";
import { send } from "./channel.ts";
import { serveUntilSucceeded } from "./orphan.ts";

/**
 * How many connections may wait to be accepted, for all workers together; the kernel's `somaxconn` also bounds it.
 */
const backlog = 4_096;
/** How long a worker whose primary is gone may take to finish what runs. */
const orphanDrainMs = 5_000;
/** How long it may then take to end, its last records included. */
const orphanGraceMs = 1_000;

class Worker {
  readonly #settings: WorkerSettings;
  readonly #parts: WorkerParts;
  #isListening = false;
  #isDraining = false;

  constructor(settings: WorkerSettings) {
    this.#settings = settings;
    this.#parts = assemble(settings, backlog, (message) => void send(message));
    if (settings.hasOthers) this.#parts.loads.start();
    this.#parts.reporter.start();
    void send({ type: "resync", reason: "started" });
  }

  /** `handle`: the socket that came with the message. */
  onMessage(message: Exclude<ToWorker, { type: "start" }>, handle: unknown): void {
    const { replica, answering, limits, loads, sandbox, streams, accessLog } = this.#parts;
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
        if (replica.version === -1) return;
        if (replica.applyDelta(delta) === "gap") {
          this.#resync(`delta from ${delta.from}`);
          return;
        }
        this.#swap(delta.changes);
        break;
      }
      case "counter":
        if (replica.version !== -1 && !replica.isAt(message.boot, message.version)) {
          this.#resync(`the counter is at ${message.version}`);
        }
        break;
      case "question":
        void send(answer(message, answering));
        break;
      case "tokens":
        limits.onGrants(message.batch, message.grants);
        break;
      case "loads":
        loads.hear(message.loads);
        break;
      case "scriptCosts":
        sandbox.learn(message.costs);
        break;
      case "openListener":
        if (!this.#isDraining) void streams.open(message, handle);
        break;
      case "listenerTerms":
        streams.setTerms(message.listener, message.terms);
        break;
      case "closeListener":
        streams.close(message.listener, message.deadlineMs);
        break;
      case "reopenLogs":
        accessLog?.reopen();
        break;
      case "drain":
        this.drain(message.deadlineMs);
        break;
    }
  }

  /** The primary is gone. */
  orphaned(): void {
    const { succession } = this.#settings;
    const { log } = this.#parts;
    if (succession === null || !this.#isListening || this.#isDraining) {
      this.#drainAlone(orphanDrainMs);
      return;
    }
    log.warn({}, "the primary is gone: serving on until another gateway does");
    serveUntilSucceeded({
      succession: succession.name,
      onEnd: (why) => {
        log.info({ why }, `without a primary, and ${why}: finishing what runs`);
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
    const { engine, streams, reporter, accessLog, sandbox, log } = this.#parts;
    const [cut, cutStreams] = await Promise.all([
      engine.drain(deadlineMs),
      streams.engine.drain(deadlineMs),
    ]);
    if (cut > 0) log.warn({ cut }, "requests were cut at the drain deadline");
    if (cutStreams > 0) log.warn({ cut: cutStreams }, "connections were cut at the drain deadline");
    await reporter.report();
    await accessLog?.close();
    // The sandbox logs what it had left out of the log.
    sandbox.dispose();
    await outputWritten(standardOutput(), null);
    process.exit(0);
  }

  #onSnapshot(snapshot: Snapshot): void {
    this.#parts.replica.applySnapshot(snapshot);
    this.#swap(null);
    if (!this.#isListening) void this.#listen();
  }

  async #listen(): Promise<void> {
    this.#isListening = true;
    const { ownAddresses, engine, streams } = this.#parts;
    await ownAddresses.start();
    const addresses: ListeningAddress[] = [];
    let listener = 0;
    try {
      for (const terms of this.#settings.listeners) {
        const inherited = { descriptors: listeningDescriptors(listener), backlog };
        const { address, port } = isHttp(terms.protocol)
          ? await engine.listen(inherited, listener)
          : await streams.engine.listen(inherited, listener, terms);
        listener += 1;
        addresses.push({ address, port });
      }
      streams.begin();
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
    const { engine, streams, gateway } = this.#parts;
    try {
      if (terms === undefined || isHttp(terms.protocol))
        await engine.listen({ handle, backlog }, listener);
      else await streams.engine.listen({ handle, backlog }, listener, terms);
    } catch (error) {
      gateway.onError(error);
    }
  }

  /** Makes requests see the tables of the replica's version. `null`: anything may differ. */
  #swap(changes: readonly Served[] | null): void {
    const { replica, sandbox, book, tls, gateway, streams, route } = this.#parts;
    const { tables } = replica;
    const { script, trial, module, setting } = tables;
    if (changes === null || changes.some(isAboutScripts)) {
      sandbox.apply({ script, trial, module, setting });
    }
    if (changes === null || changes.some(isAboutPeers)) {
      const heard = changes?.filter(isAboutPeers).map(({ key }) => key) ?? null;
      book.hear(tables.health, heard);
    }
    tls.apply(tables);
    const { challenge } = tables;
    gateway.challenges = challenge.size === 0 ? null : challenge;
    const before = gateway.router;
    const router = route(before, changes);
    gateway.router = router;
    before.dispose(router);
    void send({
      type: "ack",
      boot: replica.boot,
      version: replica.version,
    });
    const { service, datacenter } = tables;
    const keys = (kind: "service" | "datacenter") =>
      (changes ?? []).filter((change) => change.kind === kind).map((change) => change.key);
    const services = changes === null ? [...service.keys()] : keys("service");
    const catalogs = changes === null ? [...datacenter.keys()] : keys("datacenter");
    gateway.servicesArrived(services);
    gateway.catalogsArrived(catalogs);
    streams.engine.arrived([...services, ...catalogs.map((name) => `@${name}`)]);
  }

  #resync(reason: string): void {
    const { log, replica } = this.#parts;
    log.warn({ version: replica.version, reason }, "asking for a snapshot");
    void send({ type: "resync", reason });
  }
}

function isAboutPeers(change: Served): boolean {
  return isAppliedTo("peers", change.kind);
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
