/**
 * Turns the engine's events and lists into the services of each container: which container runs, which
 * has been told to stop. It asks Docker and never Consul.
 */
import type Logger from "bunyan";
import type { NamedOptions } from "../options.ts";
import { type DesiredService, servicesOf } from "../services/services.ts";
import {
  type Docker,
  type DockerEvent,
  DockerUnreachableError,
  describeDockerError,
} from "./docker.ts";
import type { Container } from "./inspect.ts";
import { tellsToStop } from "./signals.ts";

export interface ContainersOptions {
  readonly docker: Docker;
  readonly options: NamedOptions;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The services of a container from now on; none: it is stopping, paused or gone. */
  readonly onServices: (containerId: string, services: readonly DesiredService[]) => void;
}

const parallelInspects = 8;
/** The longest chain of containers that share a network, each with the next. */
const longestChain = 8;

/** What is remembered of a container while Docker has it. */
interface Remembered {
  /** The signals that it was sent since it started, and when, in milliseconds since 1970. */
  readonly signals: Map<string, number>;
  stopSignal: string;
  /** The container whose network it shares. */
  sharesWith: string | null;
  /** The number of the last event or look; a look that is overtaken has no effect. */
  turn: number;
  /** Lines that the log has been given. */
  readonly told: Set<string>;
}

export class Containers {
  readonly #settings: ContainersOptions;
  readonly #remembered = new Map<string, Remembered>();
  #turn = 0;

  constructor(settings: ContainersOptions) {
    this.#settings = settings;
  }

  /**
   * Reads what happened before anybody listened, up to `engineNow` on the engine's clock: only whether a
   * container was told to stop and has not started since. `list` sees everything else.
   */
  recall(events: readonly DockerEvent[], engineNow: number): void {
    const now = this.#settings.now();
    for (const { action, containerId, attributes, time } of events) {
      const { signals } = this.#remember(containerId);
      if (action === "start" || action === "die") signals.clear();
      else if (action === "kill")
        signals.set(attributes.signal ?? "", now - Math.max(0, engineNow - time) * 1000);
      else if (action === "destroy") this.#remembered.delete(containerId);
    }
  }

  /** Rejects when Docker cannot be asked; then `list` has to follow. */
  async handle(event: DockerEvent): Promise<void> {
    const { action, containerId, containerName, attributes } = event;
    const { log, onServices } = this.#settings;
    switch (action) {
      case "kill":
        if (!this.#noteSignal(containerId, attributes.signal ?? "")) return;
        log.debug({ container: containerName }, `container "${containerName}" is told to stop`);
        return this.#withdraw(containerId);
      case "pause":
      case "stop":
        return this.#withdraw(containerId);
      case "die":
        this.#died(event);
        return this.#lookAtSharers(containerId);
      case "destroy":
        this.#remembered.delete(containerId);
        return onServices(containerId, []);
      case "start":
        this.#remember(containerId).signals.clear();
        await this.#look(containerId);
        return this.#lookAtSharers(containerId);
      case "network connect":
      case "network disconnect":
        await this.#look(containerId);
        return this.#lookAtSharers(containerId);
      case "unpause":
      case "oom":
      case "rename":
      case "health_status":
        await this.#look(containerId);
    }
  }

  /**
   * Looks at every container there is. Gives the first 12 characters of the IDs of those whose services stay
   * although they are not known to run. Rejects when Docker cannot be asked.
   */
  async list(): Promise<ReadonlySet<string>> {
    const { docker, onServices, options } = this.#settings;
    const turn = this.#turn;
    const ids = await docker.list(options.deregister === "on-success");
    const kept = new Set<string>();
    const queue = [...ids];
    const worker = async () => {
      for (let id = queue.shift(); id !== undefined; id = queue.shift())
        if (await this.#look(id)) kept.add(id.slice(0, 12));
    };
    await Promise.all(Array.from({ length: parallelInspects }, worker));
    const listed = new Set(ids);
    for (const [id, remembered] of [...this.#remembered]) {
      if (listed.has(id) || remembered.turn > turn) continue;
      this.#remembered.delete(id);
      onServices(id, []);
    }
    return kept;
  }

  #remember(id: string): Remembered {
    const known = this.#remembered.get(id);
    if (known !== undefined) return known;
    const fresh = {
      ...{ signals: new Map<string, number>(), stopSignal: "", sharesWith: null },
      ...{ turn: 0, told: new Set<string>() },
    };
    this.#remembered.set(id, fresh);
    return fresh;
  }

  /** Gives whether the signal tells the container to stop, as far as its own stop signal is known. */
  #noteSignal(id: string, signal: string): boolean {
    const { signals, stopSignal } = this.#remember(id);
    signals.set(signal, this.#settings.now());
    return tellsToStop(signal, stopSignal);
  }

  #withdraw(id: string): void {
    this.#remember(id).turn = ++this.#turn;
    this.#settings.onServices(id, []);
  }

  #died({ containerId, containerName, attributes }: DockerEvent): void {
    const remembered = this.#remember(containerId);
    const told = toldToStopAt(remembered) !== null;
    remembered.signals.clear();
    const code = Number(attributes.exitCode ?? 0);
    if (!told && this.#stays(code)) {
      remembered.turn = ++this.#turn;
      const line = `container "${containerName}" exited with ${code}; its services stay`;
      this.#settings.log.warn({ container: containerName }, line);
      return;
    }
    this.#withdraw(containerId);
  }

  /** Whether the services of a container that exited by itself stay. From 128 on a signal ended it. */
  #stays(exitCode: number): boolean {
    return this.#settings.options.deregister === "on-success" && exitCode !== 0 && exitCode < 128;
  }

  /**
   * Inspects a container and passes its services on. Gives whether those that the agent has of it stay: it has
   * exited, and they are to, or the engine does not say.
   */
  async #look(id: string): Promise<boolean> {
    const { docker, log, onServices } = this.#settings;
    const turn = ++this.#turn;
    this.#remember(id).turn = turn;
    let container: Container | null;
    let host: Container | null = null;
    try {
      container = await docker.inspect(id);
      if (container !== null) host = await this.#networkHost(container);
    } catch (error) {
      if (error instanceof DockerUnreachableError && !error.isLate) throw error;
      const shortId = id.slice(0, 12);
      log.error({ container: shortId }, `container ${shortId}: ${describeDockerError(error)}`);
      // The engine does not answer about a container that hangs; it may still be what it was before.
      return true;
    }
    const remembered = this.#remembered.get(id);
    if (remembered === undefined || remembered.turn !== turn) return false;
    if (container === null) {
      onServices(id, []);
      return false;
    }
    remembered.stopSignal = container.stopSignal;
    if (!container.running) {
      const stays = toldToStopAt(remembered) === null && this.#stays(container.exitCode);
      if (!stays) onServices(id, []);
      return stays;
    }
    if (container.paused || this.#isStopping(remembered, container)) {
      onServices(id, []);
      return false;
    }
    remembered.sharesWith = host?.id ?? null;
    const { services, problems } = servicesOf(container, this.#settings.options, host);
    for (const problem of problems) {
      if (remembered.told.has(problem)) continue;
      remembered.told.add(problem);
      log.warn({ container: container.name }, `container "${container.name}": ${problem}`);
    }
    onServices(id, services);
    return false;
  }

  #isStopping(remembered: Remembered, { name, stopTimeoutSeconds }: Container): boolean {
    const { log, now, options } = this.#settings;
    const toldAt = toldToStopAt(remembered);
    if (toldAt === null) return false;
    const graceSeconds = Math.max(options.stopGraceSeconds, stopTimeoutSeconds ?? 0);
    if (now() - toldAt < graceSeconds * 1000) return true;
    remembered.signals.clear();
    log.warn({ container: name }, `container "${name}" was told to stop and runs on; it is back`);
    return false;
  }

  /** The container whose network this one has in the end. */
  async #networkHost(container: Container): Promise<Container | null> {
    let host: Container | null = null;
    let { networkMode } = container;
    for (let hops = 0; hops < longestChain; hops++) {
      const [, id] = /^container:(.+)$/.exec(networkMode) ?? [];
      if (id === undefined) return host;
      host = await this.#settings.docker.inspect(id);
      if (host === null) return null;
      networkMode = host.networkMode;
    }
    return null;
  }

  async #lookAtSharers(hostId: string): Promise<void> {
    for (const [id, { sharesWith }] of [...this.#remembered])
      if (sharesWith === hostId) await this.#look(id);
  }
}

/** `null`: it was not told to stop, or has started since. */
function toldToStopAt({ signals, stopSignal }: Remembered): number | null {
  const times = [...signals].filter(([signal]) => tellsToStop(signal, stopSignal));
  return times.length === 0 ? null : Math.max(...times.map(([, at]) => at));
}
