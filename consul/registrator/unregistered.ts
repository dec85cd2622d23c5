/** Compares once what a registrator with default options would register with what the agent has. */
import type Consul from "consul";
import { agentOf } from "./agent/agent.ts";
import type { DockerAddress } from "./docker/address.ts";
import { Docker } from "./docker/docker.ts";
import { parseRegistratorOptions } from "./options.ts";
import { containerKey } from "./services/meta.ts";
import { servicesOf } from "./services/services.ts";

export interface Unregistered {
  /** Names of running containers that have services and none in Consul. */
  readonly missing: readonly string[];
  /** How many containers have one there. */
  readonly registered: number;
}

/** More are not looked at one by one. */
const mostContainers = 200;

/** Rejects with `DockerUnreachableError`, or with Consul's error. */
export async function findUnregistered(
  { connection, text }: DockerAddress,
  consul: Consul,
): Promise<Unregistered> {
  const docker = new Docker(connection, text);
  const ids = (await docker.list(false)).slice(0, mostContainers);
  const services = await agentOf(consul).services();
  const known = new Set([...services.values()].map(({ meta }) => meta[containerKey]));
  const options = { ...parseRegistratorOptions(), hostname: "", engine: "" };
  const missing: string[] = [];
  for (const id of ids) {
    if (known.has(id.slice(0, 12))) continue;
    const container = await docker.inspect(id);
    if (container === null || !container.running || container.paused) continue;
    if (servicesOf(container, options).services.length > 0) missing.push(container.name);
  }
  return { missing, registered: ids.filter((id) => known.has(id.slice(0, 12))).length };
}
