/**
 * The door of the registrator: follows the Docker Engine of one host and keeps the services of its
 * containers registered with a Consul agent. The command that calls it reads argv.
 */
import type Logger from "bunyan";
import type Consul from "consul";
import { describeConsulError } from "../api/errors.ts";
import { type Agent, agentOf } from "./agent/agent.ts";
import { Registrations } from "./agent/registrations.ts";
import { Containers } from "./docker/containers.ts";
import { Docker, type DockerConnection } from "./docker/docker.ts";
import { Follower } from "./docker/follower.ts";
import type { RegistratorOptions } from "./options.ts";
import { Pause } from "./pause.ts";

export { type DockerAddress, dockerAddress } from "./docker/address.ts";
export { DockerUnreachableError } from "./docker/docker.ts";
export { parseRegistratorOptions, type RegistratorFlag, registratorFlags } from "./options.ts";
export { findUnregistered } from "./unregistered.ts";

export interface RegistratorSettings {
  /** A dockerode instance, or options for one. */
  readonly docker: DockerConnection;
  /** How messages name the engine, for example `unix:///var/run/docker.sock`. */
  readonly dockerName: string;
  /** The client of the local agent. */
  readonly consul: Consul;
  readonly options: RegistratorOptions;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: () => number;
  /** From 0 to 1, for jitter. Default: Math.random. */
  readonly random?: () => number;
  /** How often the agent's own list is compared with what it should be, in milliseconds. Default 5000. */
  readonly compareMs?: number;
}

export interface Registrator {
  /** Stops following. What is registered stays registered, for the next registrator to take over. */
  close(): Promise<void>;
}

/**
 * Starts to follow. Resolves when every running container has been looked at, or when that has to wait for
 * Consul, whose agent gives the hostname. Rejects with `DockerUnreachableError` when there is no engine, and
 * with Consul's error when `retryAttempts` is not -1 and the tries are used up; with -1 Consul may come later.
 */
export async function startRegistrator(settings: RegistratorSettings): Promise<Registrator> {
  const registrator = new RunningRegistrator(settings);
  await registrator.start();
  return registrator;
}

class RunningRegistrator implements Registrator {
  readonly #settings: RegistratorSettings;
  readonly #docker: Docker;
  readonly #agent: Agent;
  readonly #pause = new Pause();
  #parts: readonly { close(): Promise<void> }[] = [];
  #waiting: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(settings: RegistratorSettings) {
    this.#settings = settings;
    this.#docker = new Docker(settings.docker, settings.dockerName);
    this.#agent = agentOf(settings.consul);
  }

  async start(): Promise<void> {
    const { options, log } = this.#settings;
    const engine = await this.#docker.id();
    if (options.hostname !== null) return this.#follow(options.hostname, engine);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#followAsNode(engine);
      } catch (error) {
        if (options.retryAttempts < 0) {
          const why = describeConsulError(error);
          const line = `Consul: ${why}; its agent's node name stands in every ID, so nothing is registered before it answers (or give --hostname)`;
          log.error({ error: why }, line);
          this.#waiting = this.#followLater(engine);
          return;
        }
        if (attempt >= options.retryAttempts) throw error;
      }
      await this.#pause.wait(options.retryIntervalMs);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pause.wake();
    await this.#waiting;
    await this.#closeParts();
  }

  async #followLater(engine: string): Promise<void> {
    const { options, log } = this.#settings;
    for (;;) {
      await this.#pause.wait(options.retryIntervalMs);
      if (this.#closed) return;
      try {
        return await this.#followAsNode(engine);
      } catch (error) {
        log.debug({ error: describeConsulError(error) }, describeConsulError(error));
      }
    }
  }

  async #followAsNode(engine: string): Promise<void> {
    const hostname = await this.#agent.nodeName();
    this.#settings.log.info({ hostname }, `registering as "${hostname}", the Consul agent's node`);
    await this.#follow(hostname, engine);
  }

  async #follow(hostname: string, engine: string): Promise<void> {
    const { log, now = Date.now, random = Math.random, compareMs = 5_000 } = this.#settings;
    const options = { ...this.#settings.options, hostname, engine };
    const docker = this.#docker;
    const agent = this.#agent;
    const registrations = new Registrations({ agent, options, log, random, compareMs });
    const containers = new Containers({
      ...{ docker, options, log, now },
      onServices: (id, services) => registrations.set(id, services),
    });
    const follower = new Follower({
      ...{ docker, containers, log, random, resyncSeconds: options.resyncSeconds },
      onListed: (kept) => registrations.complete(kept),
    });
    this.#parts = [follower, registrations];
    try {
      await follower.start();
      const connected = registrations.connect();
      if (options.retryAttempts >= 0) await connected;
      // Without end to the tries this does not reject.
      void connected.then(() => registrations.run());
    } catch (error) {
      await this.#closeParts();
      throw error;
    }
  }

  async #closeParts(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.close()));
  }
}
