/**
 * From a container to the services that Consul should have for it, by the rules of
 * gliderlabs/registrator. Pure: it asks neither Docker nor Consul.
 */
import { isIP } from "node:net";
import type { Container, PublishedPort } from "../docker/inspect.ts";
import type { NamedOptions } from "../options.ts";
import {
  asLine,
  checkOf,
  isOn,
  isRefusedMethod,
  type Problem,
  type ServiceCheck,
} from "./check.ts";
import { type Attributes, attributesOf, readMetadata, splitTags } from "./metadata.ts";

export interface DesiredService {
  readonly id: string;
  readonly name: string;
  /** `null`: the address that the Consul agent advertises. */
  readonly address: string | null;
  readonly port: number;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly check: ServiceCheck | null;
  readonly containerId: string;
  readonly containerName: string;
  /** The label that the ID is from; absent for an ID of our own. */
  readonly idLabel?: string;
}

export interface ContainerServices {
  readonly services: readonly DesiredService[];
  /** Labels and ports that could not be followed: one line each. */
  readonly problems: readonly string[];
}

/** Metadata of Consul's own that marks a service as registered here; the value is the hostname. */
export const markKey = "registrator";
export const containerKey = "registrator-container";
/** The Docker Engine's ID. */
export const engineKey = "registrator-engine";
export const ttlKey = "registrator-ttl";
/** Says that a check was refused, which makes it another registration than before. */
export const refusedKey = "registrator-refused";

const metaKey = /^[A-Za-z0-9_-]{1,128}$/;
const maxMetaValue = 512;
const maxMetaPairs = 64;
const plainName = /^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$/;
/** White space, what cannot be seen, and a slash, which the paths of Consul's API cannot hold. */
const impossible = /[\s/\p{C}\p{Z}]/u;
const longestName = 253;
/** Each server's own entry in the catalog; an agent that registers it would replace that. */
const consulId = "consul";

/** Whether it can stand in a path of Consul's API, where `.` and `..` are taken out. */
function isPossible(text: string): boolean {
  return (
    text !== "" &&
    text !== "." &&
    text !== ".." &&
    Buffer.byteLength(text) <= longestName &&
    !impossible.test(text)
  );
}

/**
 * The services of a running container. `host` is the container whose network it shares
 * (`--network container:<id>`), if it does.
 */
export function servicesOf(
  container: Container,
  options: NamedOptions,
  host: Container | null = null,
): ContainerServices {
  const metadata = readMetadata(container.env, container.labels);
  const problems: Problem[] = metadata.nameless.map((label) => ({
    label,
    sentence: "names no attribute and is left out",
  }));
  const ports = container.ports
    .map((port) => endpointOf(container, port, options, host))
    .filter((endpoint) => endpoint !== null);
  const served = new Set(ports.map(({ exposed }) => exposed));
  const wholeIgnored = isOn(metadata.general, "ignore");
  for (const [port, attributes] of metadata.byPort) {
    if (served.has(port) || wholeIgnored) continue;
    for (const { label } of attributes.values())
      problems.push({ label, sentence: `port ${port} is not ${wanted(options)}` });
  }
  const services: DesiredService[] = [];
  const ids = new Set<string>();
  for (const endpoint of ports) {
    const attributes = attributesOf(metadata, endpoint.exposed);
    if (isOn(attributes, "ignore")) continue;
    const name = nameOf(container, attributes, ports.length > 1, endpoint, options, problems);
    if (name === null) continue;
    const ownId = `${options.hostname}:${container.name}:${endpoint.exposed}${
      endpoint.protocol === "udp" ? ":udp" : ""
    }`;
    const id = idOf(attributes, ownId, ids, problems);
    ids.add(id);
    const check = checkOf(attributes, problems);
    const idLabel = id === attributes.get("id")?.value ? attributes.get("id")?.label : undefined;
    services.push({
      id,
      name,
      address: endpoint.address,
      port: endpoint.port,
      tags: tagsOf(attributes, endpoint, options, problems),
      meta: metaOf(container, attributes, check, options, problems),
      check: check ?? ttlCheck(options),
      containerId: container.id,
      containerName: container.name,
      ...(idLabel === undefined ? {} : { idLabel }),
    });
  }
  const lines = problems.map(asLine);
  lines.push(...addressProblems(container, options, host));
  return { services, problems: [...new Set(lines)] };
}

interface Endpoint {
  readonly exposed: string;
  readonly protocol: string;
  readonly address: string | null;
  readonly port: number;
}

/** Where a port is reached, or `null`: not from outside of the container, as the options have it. */
function endpointOf(
  container: Container,
  port: PublishedPort,
  options: NamedOptions,
  host: Container | null,
): Endpoint | null {
  const { exposed, protocol } = port;
  const labelled = addressFromLabel(container, options);
  // A container that shares another's network publishes nothing itself: it is reached there.
  if (options.internal || host !== null) {
    const address =
      labelled ?? (container.networkMode === "host" ? options.ip : ownAddress(host ?? container));
    if (address === null && container.networkMode !== "host") return null;
    return { exposed, protocol, address, port: Number(exposed) };
  }
  if (container.networkMode === "host")
    return { exposed, protocol, address: labelled ?? options.ip, port: Number(exposed) };
  if (port.host === null) return null;
  const bound = isWildcard(port.host.ip) ? null : port.host.ip;
  return { exposed, protocol, address: labelled ?? options.ip ?? bound, port: port.host.port };
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

function addressProblems(
  container: Container,
  options: NamedOptions,
  host: Container | null,
): readonly string[] {
  const label = options.useIpFromLabel;
  const problems: string[] = [];
  if (container.ports.length > 0 && label !== null && addressFromLabel(container, options) === null)
    problems.push(`${label}: holds no IP address; the usual address is used`);
  if (
    options.internal &&
    container.networkMode !== "host" &&
    ownAddress(host ?? container) === null
  )
    problems.push("has no address on any network and is not registered");
  return problems;
}

function wanted(options: NamedOptions): string {
  return options.internal ? "exposed" : "published";
}

function nameOf(
  container: Container,
  attributes: Attributes,
  isGroup: boolean,
  { exposed }: Endpoint,
  options: NamedOptions,
  problems: Problem[],
): string | null {
  const given = attributes.get("name");
  const byDefault = imageName(container.image) || container.name;
  const fits = given !== undefined && isPossible(given.value);
  if (given !== undefined && !fits) {
    const why = given.value === "" ? "is empty" : `cannot be a name: ${shown(given.value)}`;
    const instead = options.explicit ? "not registered" : `the image's name "${byDefault}" is used`;
    problems.push({ label: given.label, sentence: `${why}; ${instead}` });
  }
  if (!fits && options.explicit) return null;
  const base = fits ? given.value : byDefault;
  const name = isGroup && !(fits && given.ofPort) ? `${base}-${exposed}` : base;
  if (fits && !plainName.test(given.value))
    problems.push({
      label: given.label,
      sentence: `"${name}" cannot be asked for by Consul's DNS`,
    });
  return name;
}

/** `redis` for `registry:5000/team/redis:7@sha256:...`. */
function imageName(image: string): string {
  return image.split("/").at(-1)?.split("@", 1)[0]?.split(":", 1)[0] ?? "";
}

function idOf(
  attributes: Attributes,
  ownId: string,
  taken: ReadonlySet<string>,
  problems: Problem[],
): string {
  const given = attributes.get("id");
  if (given === undefined) return ownId;
  const { value, label } = given;
  const why =
    !isPossible(value) || value === consulId
      ? `cannot be an ID: ${shown(value)}`
      : taken.has(value)
        ? "already stands for another port of this container"
        : null;
  if (why === null) return value;
  problems.push({ label, sentence: `${why}; "${ownId}" is used` });
  return ownId;
}

/** On one line of the log: not longer than that should be, and with what cannot be seen made visible. */
function shown(text: string): string {
  const short = text.length > longestName ? `${text.slice(0, longestName)}...` : text;
  return JSON.stringify(short).replaceAll(/(?! )[\p{C}\p{Z}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}

function tagsOf(
  attributes: Attributes,
  { protocol }: Endpoint,
  options: NamedOptions,
  problems: Problem[],
): readonly string[] {
  const given = attributes.get("tags");
  const own = splitTags(given?.value ?? "");
  if (given !== undefined && given.value !== "" && own.length === 0)
    problems.push({ label: given.label, sentence: `${JSON.stringify(given.value)} holds no tag` });
  return [...new Set([...own, ...options.tags, ...(protocol === "udp" ? ["udp"] : [])])];
}

const consumed = new Set(["id", "name", "tags", "ignore"]);

/** Every other attribute becomes metadata of the service (Consul API, "Register Service", Meta). */
function metaOf(
  container: Container,
  attributes: Attributes,
  check: ServiceCheck | null,
  options: NamedOptions,
  problems: Problem[],
): Readonly<Record<string, string>> {
  const meta: Record<string, string> = {
    [markKey]: options.hostname,
    [containerKey]: container.id.slice(0, 12),
    ...(options.engine === "" ? {} : { [engineKey]: options.engine }),
  };
  if (check === null && options.ttlSeconds > 0) meta[ttlKey] = `${options.ttlSeconds}s`;
  if (check?.kind === "refused") meta[refusedKey] = "check";
  for (const [key, { value, label }] of attributes) {
    // The metadata tells checks apart: what is not followed does not count.
    if (consumed.has(key) || isRefusedMethod(key, value)) continue;
    const why = !metaKey.test(key)
      ? "cannot be a metadata key (letters, digits, - and _)"
      : key.startsWith("consul-") || key === markKey || key.startsWith(`${markKey}-`)
        ? "is a reserved metadata key"
        : Buffer.byteLength(value) > maxMetaValue
          ? `is longer than ${maxMetaValue} bytes`
          : Object.keys(meta).length === maxMetaPairs
            ? `is one more than the ${maxMetaPairs} metadata keys that Consul takes`
            : null;
    if (why === null) meta[key] = value;
    else problems.push({ label, sentence: `${why}; it is left out` });
  }
  return meta;
}

function ttlCheck(options: NamedOptions): ServiceCheck | null {
  if (options.ttlSeconds === 0) return null;
  const ttl = `${options.ttlSeconds}s`;
  return { kind: "ttl", ttl, status: "passing", deregisterAfter: null };
}
