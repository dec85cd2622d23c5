/**
 * The worker processes: forks them, replaces those that end or stall, rolls and drains them. Passes
 * their messages on; knows nothing of what a version holds, nor of what they share.
 */
import {
  type Asked,
  descriptorsPerListener,
  type LastWords,
  type ListenerTerms,
  type PeerFinding,
  type QuestionName,
  type ToPrimary,
  type WorkerCounts,
  type WorkerSettings,
} from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import type { OwnAddress } from "../own-addresses.ts";
import { ScriptCounters } from "../releases/index.ts";
import { formatAddress } from "../settings-values.ts";
import { type BoundListener, cannotListen } from "./addresses.ts";
import type { Clock } from "./clock.ts";
import type { HandedListeners, Handing, Opening } from "./handed-listeners.ts";
import { hearLastWords } from "./last-words.ts";
import { ListeningHandles } from "./listening-handles.ts";
import type { OpenSockets } from "./open-sockets.ts";
import { Questions, type Replies } from "./questions.ts";
import { QuickDeaths } from "./quick-deaths.ts";
import type { Replication } from "./replication.ts";
import { SharedCounts } from "./shared-counts.ts";
import { StallWatch, startTimeoutMs } from "./stall-watch.ts";
import { forkWorker } from "./worker-fork.ts";
import { WorkerProcess } from "./worker-process.ts";
import { type WorkerStatus, workerStatus } from "./worker-status.ts";

export interface WorkersOptions {
  /** The module that a worker process runs. */
  readonly entry: string;
  readonly count: number;
  /** Where they accept. */
  readonly listeners: readonly BoundListener[];
  /** Listeners whose sockets they are handed while they run. */
  readonly handed: Pick<HandedListeners, "forWorker" | "find" | "failed">;
  readonly settings: Omit<WorkerSettings, "idPrefix" | "listeners" | "ownAddresses" | "hasOthers">;
  /** Where no peer may be; asked when a worker is forked. */
  readonly ownAddresses: () => readonly OwnAddress[];
  /** Letters and digits that no other boot in the cluster has: begins the ids of requests. */
  readonly idLetters: string;
  readonly replication: Replication;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a worker may finish what runs when it is rolled. */
  readonly drainTimeoutMs: number;
  /** A request asks for a service that nobody watches yet. */
  readonly onWatch: (service: string) => void;
  /** What a worker has found out about peers. */
  readonly onFindings: (findings: readonly PeerFinding[]) => void;
  /** What the worker in a place has counted since the last time. */
  readonly onCounts: (slot: number, counts: WorkerCounts) => void;
  /** A worker could not get out of a script and was ended. */
  readonly onStalled: (words: LastWords) => void;
  /** A worker cannot do its work, in one line; `hasServed`: some worker has listened before. */
  readonly onFatal: (message: string, hasServed: boolean) => void;
  /** A worker that says nothing for so long is killed. Default 5000. */
  readonly stallMs?: number;
}

/** A worker that has not applied a version yet. */
export interface BehindWorker {
  readonly worker: number;
  readonly pid: number;
  /** That it has; `null`: none of this boot. */
  readonly version: number | null;
}

const killGraceMs = 1000;

export class Workers {
  readonly #options: WorkersOptions;
  /** Of every worker that there was. */
  readonly scriptCounters = new ScriptCounters();
  readonly #shared: SharedCounts;
  readonly #processes = new Map<number, WorkerProcess>();
  readonly #quickDeaths = new QuickDeaths();
  readonly #backoffs = new Map<number, () => void>();
  readonly #handles = new ListeningHandles();
  readonly #questions: Questions;
  readonly #stalls: StallWatch;
  #lastId = 0;
  #restarts = 0;
  #hasServed = false;
  #isStopping = false;
  #rolling: Promise<boolean> | null = null;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#questions = new Questions(options.clock);
    this.#shared = new SharedCounts(options.count, options.clock);
    const { replication, clock, log, stallMs = 5000 } = options;
    this.#stalls = new StallWatch({
      processes: () => this.#processes.values(),
      isOpen: () => replication.isOpen,
      stallMs,
      clock,
      log,
    });
  }

  start(): void {
    for (let slot = 1; slot <= this.#options.count; slot += 1) this.#fork(slot);
    this.#stalls.start();
    if (this.#options.count > 1) this.#shared.start();
  }

  status(): readonly WorkerStatus[] {
    const { replication } = this.#options;
    return [...this.#processes.values()].map((process) =>
      workerStatus(process, replication.progress(process.id)),
    );
  }

  /** Those that have traffic and do not have this version yet. */
  behind(version: number): readonly BehindWorker[] {
    return [...this.#processes.values()]
      .filter(({ state }) => state !== "starting")
      .map(({ id, pid }) => {
        const { version: has } = this.#options.replication.progress(id);
        return { worker: id, pid, version: has };
      })
      .filter((one) => one.version === null || one.version < version);
  }

  /** How many ended although nobody asked them to. */
  get restarts(): number {
    return this.#restarts;
  }

  /** What the living workers report of each script. */
  scriptReports() {
    return [...this.#processes.values()].flatMap(({ id, report }) =>
      (report?.scripts ?? []).map((script) => ({ ...script, worker: id })),
    );
  }

  /**
   * Asks every worker that has traffic, those that finish included, or of these the ones with the ids `workers`.
   * Resolves within `withinMs` (default 1000) whatever the workers do; see `Replies`.
   */
  ask<N extends QuestionName>(
    name: N,
    asked: Asked<N>,
    {
      workers,
      withinMs,
    }: { readonly workers?: ReadonlySet<number>; readonly withinMs?: number } = {},
  ): Promise<Replies<N>> {
    const wanted = [...this.#processes.values()].filter(
      ({ id, state }) => state !== "starting" && (workers?.has(id) ?? true),
    );
    return this.#questions.ask(wanted, name, asked, withinMs);
  }

  /** A worker that serves requests; `null`: there is none yet. */
  firstServing(): number | null {
    for (const { id, state } of this.#processes.values()) if (state === "listening") return id;
    return null;
  }

  /** `null` when every place has a worker that listens with a state of this boot; else what is missing. */
  notReady(): string | null {
    const { count, replication } = this.#options;
    const ready = [...this.#processes.values()].filter(
      ({ id, state }) => state === "listening" && replication.progress(id).version !== null,
    );
    const places = new Set(ready.map(({ slot }) => slot)).size;
    return places === count ? null : `${places} of ${count} workers listen`;
  }

  /**
   * Replaces every worker, one by one: the new one listens before the old one stops. Resolves to false
   * when a new one did not come up; then the old ones that are left go on.
   */
  roll(): Promise<boolean> {
    this.#rolling ??= this.#rollAll().finally(() => {
      this.#rolling = null;
    });
    return this.#rolling;
  }

  /** Ends all workers; resolves when the last process is gone. What runs may take `deadlineMs`. */
  async drain(deadlineMs: number): Promise<void> {
    this.#isStopping = true;
    this.#stalls.stop();
    for (const cancel of this.#backoffs.values()) cancel();
    this.#backoffs.clear();
    const drains = [...this.#processes.values()].map((process) => {
      // Nobody's request is on a worker that does not listen yet.
      const ownDeadlineMs = process.state === "starting" ? 0 : deadlineMs;
      return process.drain(ownDeadlineMs, killGraceMs);
    });
    await Promise.all(drains);
    this.#shared.stop();
  }

  /** To all that serve: about a listener whose socket they are handed, or were. */
  hand(message: Handing, sockets: OpenSockets | null): void {
    for (const process of this.#processes.values()) {
      if (process.state === "draining") continue;
      if (message.type === "openListener" && sockets !== null)
        this.#hand(process, message, sockets);
      else process.send(message);
    }
  }

  /** One that starts meanwhile opens them after this anyway. */
  reopenLogs(): void {
    for (const process of this.#processes.values()) process.send({ type: "reopenLogs" });
  }

  /** Kills all that is left, at once. */
  killAll(): void {
    this.#isStopping = true;
    for (const process of this.#processes.values()) process.kill();
  }

  #fork(slot: number): WorkerProcess {
    const { entry, listeners, settings, idLetters, replication, clock } = this.#options;
    const terms = listeners.map(termsOf);
    this.#lastId += 1;
    const id = this.#lastId;
    const child = forkWorker(entry, listeners);
    const idPrefix = `${idLetters}${id}`;
    const hearing = hearLastWords(child, this.#options.onStalled, (reason) =>
      this.#options.log.warn({ worker: id, workerPid: child.pid, reason }, "last words are lost"),
    );
    const process = new WorkerProcess({
      id,
      child,
      slot,
      idPrefix,
      hearing,
      nowMs: () => clock.ticks(),
      onMessage: (sender, message) => this.#receive(sender, message),
      onExit: (ended, how) => this.#replace(ended, how),
    });
    this.#processes.set(process.id, process);
    replication.add(process.id, (message) => process.send(message));
    process.send({
      type: "start",
      settings: {
        ...settings,
        listeners: terms,
        hasOthers: this.#options.count > 1,
        ownAddresses: this.#options.ownAddresses(),
        idPrefix,
      },
    });
    this.#shared.add(process.id, (message) => process.send(message));
    for (const handed of this.#options.handed.forWorker()) this.#hand(process, ...handed);
    return process;
  }

  /** A TCP socket goes several times, for the same reason as `descriptorsPerListener`. */
  #hand(process: WorkerProcess, message: Opening, sockets: OpenSockets): void {
    const times = message.terms.protocol === "udp" ? 1 : descriptorsPerListener;
    const handle = sockets.handleFor(process.slot);
    for (let left = times; left > 0; left -= 1) process.sendWith(message, handle);
  }

  #receive(process: WorkerProcess, message: ToPrimary): void {
    const { listeners, replication, log, onWatch, onFatal } = this.#options;
    switch (message.type) {
      case "resync":
        replication.resync(process.id, message.reason);
        break;
      case "ack":
        replication.acknowledge(process.id, message.boot, message.version);
        break;
      case "listening": {
        this.#hasServed = true;
        const places = message.addresses.map(({ address: host, port }) =>
          formatAddress({ host, port }),
        );
        log.info(
          { worker: process.id, workerPid: process.pid, addresses: message.addresses },
          `worker ${process.id} listens on ${places.join(" and ")}`,
        );
        break;
      }
      case "reopen": {
        if (this.#isStopping) break;
        const handed = this.#options.handed.find(message.listener);
        if (handed !== null) this.#hand(process, ...handed);
        const socket = listeners[message.listener]?.socket;
        if (socket === undefined) break;
        const handle = this.#handles.handleOf(socket);
        for (let left = descriptorsPerListener; left > 0; left -= 1) {
          process.sendWith({ type: "socket", listener: message.listener }, handle);
        }
        break;
      }
      case "watch":
        onWatch(message.service);
        break;
      case "peers":
        this.#options.onFindings(message.findings);
        break;
      case "loads":
        this.#shared.takeLoads(process.id, message.loads);
        break;
      case "takeTokens": {
        const grants = this.#shared.grant(message.asks);
        process.send({ type: "tokens", batch: message.batch, grants });
        break;
      }
      case "answer":
      case "noAnswer":
        this.#questions.take(process.id, message);
        break;
      case "cannotListen": {
        if (this.#options.handed.failed(message.listener, message.message)) break;
        const listener = listeners[message.listener];
        const reason =
          listener === undefined
            ? message.message
            : `${listener.flag} ${cannotListen(listener.address, message)}`;
        const { id, pid: workerPid } = process;
        log.error({ worker: id, workerPid, reason }, `worker ${id}: ${reason}`);
        onFatal(reason, this.#hasServed);
        // It could do nothing; another try may succeed. At a start the whole gateway ends instead.
        if (this.#hasServed) process.kill();
        break;
      }
      case "counts":
        this.#options.onCounts(process.slot, message.counts);
        break;
      case "report":
        this.scriptCounters.take(process.id, message.report.scripts);
        this.#shared.takeCosts(message.report.scripts);
        break;
    }
  }

  #replace(ended: WorkerProcess, how: string): void {
    const { id, pid, slot } = ended;
    this.#processes.delete(id);
    this.scriptCounters.left(id);
    this.#shared.remove(id);
    this.#questions.left(id);
    this.#options.replication.remove(id);
    if (this.#isStopping || ended.state === "draining") return;
    const { log, clock, onFatal } = this.#options;
    this.#restarts += 1;
    log.error({ worker: id, workerPid: pid }, `worker ${id} (pid ${pid}) ended ${how}`);
    const { delayMs, shouldGiveUp } = this.#quickDeaths.note(slot, clock.ticks() - ended.startedMs);
    if (shouldGiveUp && !this.#hasServed) {
      onFatal(`workers end ${how} as soon as they start`, false);
    }
    if (delayMs === 0) {
      this.#fill(slot);
      return;
    }
    this.#backoffs.get(slot)?.();
    this.#backoffs.set(
      slot,
      clock.after(delayMs, () => this.#fill(slot)),
    );
  }

  /** A place that has no worker gets one; during a roll it may have another already. */
  #fill(slot: number): void {
    const isFilled = [...this.#processes.values()].some(
      (process) => process.slot === slot && process.state !== "draining",
    );
    if (!isFilled && !this.#isStopping) this.#fork(slot);
  }

  async #rollAll(): Promise<boolean> {
    const { log, clock, drainTimeoutMs, replication } = this.#options;
    if (!replication.isOpen) {
      log.warn({}, "workers are not replaced: there is no state yet that new ones could serve");
      return false;
    }
    for (const old of [...this.#processes.values()]) {
      if (this.#isStopping) return false;
      // Workers that ended meanwhile were replaced already.
      if (!this.#processes.has(old.id)) continue;
      const fresh = this.#fork(old.slot);
      const cancel = clock.after(startTimeoutMs, () => fresh.kill());
      const isListening = await fresh.listening;
      cancel();
      if (this.#isStopping) return false;
      if (!isListening) {
        log.error({ worker: fresh.id }, "a new worker did not come up; the old ones go on");
        return false;
      }
      await old.drain(drainTimeoutMs, killGraceMs);
    }
    log.info({}, "all workers were replaced");
    return true;
  }
}

/** Without what is the primary's own. */
function termsOf({
  socket: _socket,
  isHeld: _isHeld,
  flag: _flag,
  address: _address,
  ...terms
}: BoundListener): ListenerTerms {
  return terms;
}
