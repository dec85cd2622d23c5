/** Where a container's port is reached: published, exposed, on the host's network or in another container's. */
import { isIP } from "node:net";
import type { Container, PublishedPort } from "../docker/inspect.ts";
import type { NamedOptions } from "../options.ts";

export interface Endpoint {
  readonly exposed: string;
  readonly protocol: string;
  readonly address: string | null;
  readonly port: number;
}

/**
 * Where a port is reached, or `null`: not from outside of the container, as the options have it. `host` is the
 * container whose network it shares (`--network container:<id>`), if it does.
 */
export function endpointOf(
  container: Container,
  port: PublishedPort,
  options: NamedOptions,
  host: Container | null,
): Endpoint | null {
  const { exposed, protocol } = port;
  const labelled = addressFromLabel(container, options);
  const at = host ?? container;
  if (isOnHost(at))
    return { exposed, protocol, address: labelled ?? options.ip, port: Number(exposed) };
  // A container that shares another's network publishes nothing itself: it is reached there.
  if (options.internal || host !== null) {
    const address = labelled ?? ownAddress(at);
    return address === null ? null : { exposed, protocol, address, port: Number(exposed) };
  }
  if (port.host === null) return null;
  const bound = isWildcard(port.host.ip) ? null : port.host.ip;
  return { exposed, protocol, address: labelled ?? options.ip ?? bound, port: port.host.port };
}

function isOnHost({ networkMode }: Container): boolean {
  return networkMode === "host";
}

function ownAddress(container: Container): string | null {
  const { addresses, networkMode } = container;
  const first = [...addresses].sort(([a], [b]) => (a < b ? -1 : 1))[0]?.[1] ?? null;
  return addresses.get(networkMode) ?? addresses.get("bridge") ?? first;
}

function isWildcard(ip: string): boolean {
  return ip === "" || ip === "0.0.0.0" || ip === "::";
}

/** The address in the label that `--useIpFromLabel` names; a network mask after it is cut off. */
function addressFromLabel(container: Container, options: NamedOptions): string | null {
  if (options.useIpFromLabel === null) return null;
  const address = container.labels[options.useIpFromLabel]?.split("/", 1)[0] ?? "";
  return isIP(address) === 0 ? null : address;
}

export function addressProblems(
  container: Container,
  options: NamedOptions,
  host: Container | null,
): readonly string[] {
  const label = options.useIpFromLabel;
  const problems: string[] = [];
  if (container.ports.length > 0 && label !== null && addressFromLabel(container, options) === null)
    problems.push(`${label}: holds no IP address; the usual address is used`);
  const at = host ?? container;
  const needsOwn = options.internal || host !== null;
  if (needsOwn && !isOnHost(at) && ownAddress(at) === null)
    problems.push("has no address on any network and is not registered");
  return problems;
}
