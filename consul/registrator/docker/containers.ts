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

/** A container that goes on running this long after it was told to stop has not heeded it. */
const heedMs = 10 * 60_000;
const parallelInspects = 8;

/** What is remembered of a container while Docker has it. */
interface Remembered {
  /** When it was told to stop, in milliseconds since 1970; `null`: it was not, or has started since. */
  stoppingAt: number | null;
  stopSignal: string;
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
   * What happened before anybody listened: only whether a container was told to stop and has not
   * started since. Everything else is seen by `list`.
   */
  recall(events: readonly DockerEvent[]): void {
    for (const { action, containerId, attributes } of events) {
      if (action === "start" || action === "die") this.#remember(containerId).stoppingAt = null;
      else if (action === "kill") this.#noteKill(containerId, attributes.signal ?? "");
      else if (action === "destroy") this.#remembered.delete(containerId);
    }
  }

  /** Rejects when Docker cannot be asked; then `list` has to follow. */
  async handle(event: DockerEvent): Promise<void> {
    const { action, containerId, containerName, attributes } = event;
    const { log, onServices } = this.#settings;
    switch (action) {
      case "kill":
        if (!this.#noteKill(containerId, attributes.signal ?? "")) return;
        log.debug({ container: containerName }, `container "${containerName}" is told to stop`);
        return this.#withdraw(containerId);
      case "pause":
      case "stop":
        return this.#withdraw(containerId);
      case "die":
        return this.#died(event);
      case "destroy":
        this.#remembered.delete(containerId);
        return onServices(containerId, []);
      case "start":
        this.#remember(containerId).stoppingAt = null;
        await this.#look(containerId);
        return;
      case "unpause":
      case "oom":
      case "rename":
      case "network connect":
      case "network disconnect":
        await this.#look(containerId);
    }
  }

  /**
   * Looks at every container there is. Gives the first 12 characters of the IDs of those that exited
   * with an error and whose services stay (`on-success`). Rejects when Docker cannot be asked.
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
    const fresh = { stoppingAt: null, stopSignal: "", turn: 0, told: new Set<string>() };
    this.#remembered.set(id, fresh);
    return fresh;
  }

  #noteKill(id: string, signal: string): boolean {
    const remembered = this.#remember(id);
    if (!tellsToStop(signal, remembered.stopSignal)) return false;
    remembered.stoppingAt = this.#settings.now();
    return true;
  }

  #withdraw(id: string): void {
    this.#remember(id).turn = ++this.#turn;
    this.#settings.onServices(id, []);
  }

  #died({ containerId, containerName, attributes }: DockerEvent): void {
    const remembered = this.#remember(containerId);
    const told = remembered.stoppingAt !== null;
    remembered.stoppingAt = null;
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

  /** Inspects a container and passes its services on. Gives whether it has exited and they stay. */
  async #look(id: string): Promise<boolean> {
    const { docker, log, onServices } = this.#settings;
    const turn = ++this.#turn;
    this.#remember(id).turn = turn;
    let container: Container | null;
    try {
      container = await docker.inspect(id);
    } catch (error) {
      if (error instanceof DockerUnreachableError) throw error;
      const shortId = id.slice(0, 12);
      log.error({ container: shortId }, `container ${shortId}: ${describeDockerError(error)}`);
      return false;
    }
    const remembered = this.#remembered.get(id);
    if (remembered === undefined || remembered.turn !== turn) return false;
    if (container === null) {
      onServices(id, []);
      return false;
    }
    remembered.stopSignal = container.stopSignal;
    if (!container.running) {
      const stays = remembered.stoppingAt === null && this.#stays(container.exitCode);
      if (!stays) onServices(id, []);
      return stays;
    }
    if (container.paused || this.#isStopping(remembered, container.name)) {
      onServices(id, []);
      return false;
    }
    const host = await this.#networkHost(container);
    if (this.#remembered.get(id)?.turn !== turn) return false;
    const { services, problems } = servicesOf(container, this.#settings.options, host);
    for (const problem of problems) {
      if (remembered.told.has(problem)) continue;
      remembered.told.add(problem);
      log.warn({ container: container.name }, `container "${container.name}": ${problem}`);
    }
    onServices(id, services);
    return false;
  }

  #isStopping(remembered: Remembered, name: string): boolean {
    const { log, now } = this.#settings;
    if (remembered.stoppingAt === null) return false;
    if (now() - remembered.stoppingAt < heedMs) return true;
    remembered.stoppingAt = null;
    log.warn({ container: name }, `container "${name}" was told to stop and runs on; it is back`);
    return false;
  }

  async #networkHost({ networkMode }: Container): Promise<Container | null> {
    const [, id] = /^container:(.+)$/.exec(networkMode) ?? [];
    return id === undefined ? null : this.#settings.docker.inspect(id);
  }
}
