/**
 * The door of the registrator: follows the Docker Engine of one host and keeps the services of its
 * containers registered with a Consul agent. The command that calls it reads argv.
 */
import type Logger from "bunyan";
import type Consul from "consul";
import { agentOf } from "./agent/agent.ts";
import { Registrations } from "./agent/registrations.ts";
import { Containers } from "./docker/containers.ts";
import { Docker, type DockerConnection } from "./docker/docker.ts";
import { Follower } from "./docker/follower.ts";
import type { RegistratorOptions } from "./options.ts";

export {
  type DockerAddress,
  DockerAddressError,
  defaultDockerAddress,
  dockerAddress,
} from "./docker/address.ts";
export { DockerUnreachableError } from "./docker/docker.ts";
export {
  parseRegistratorOptions,
  type RegistratorFlag,
  RegistratorOptionError,
  type RegistratorOptions,
  registratorFlags,
} from "./options.ts";

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
 * Starts to follow. Resolves when every running container has been looked at. Rejects with
 * `DockerUnreachableError` when there is no engine, and with Consul's error when `retryAttempts` is not
 * -1 and the tries are used up; with -1 Consul may come later.
 */
export async function startRegistrator(settings: RegistratorSettings): Promise<Registrator> {
  const { options, log, now = Date.now, random = Math.random, compareMs = 5_000 } = settings;
  const docker = new Docker(settings.docker, settings.dockerName);
  const agent = agentOf(settings.consul);
  const registrations = new Registrations({ agent, options, log, random, compareMs });
  const containers = new Containers({
    ...{ docker, options, log, now },
    onServices: (id, services) => registrations.set(id, services),
  });
  const follower = new Follower({
    ...{ docker, containers, log, random, resyncSeconds: options.resyncSeconds },
    onListed: (kept) => registrations.complete(kept),
  });
  try {
    await follower.start();
    const connected = registrations.connect();
    if (options.retryAttempts >= 0) await connected;
    // Without end to the tries this does not reject.
    void connected.then(() => registrations.run());
  } catch (error) {
    await Promise.all([follower.close(), registrations.close()]);
    throw error;
  }
  return {
    async close() {
      await Promise.all([follower.close(), registrations.close()]);
    },
  };
}
