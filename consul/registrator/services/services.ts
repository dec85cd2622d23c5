/**
 * From a container to the services that Consul should have for it, by the rules of
 * gliderlabs/registrator. Pure: it asks neither Docker nor Consul.
 */
import type { Container, PublishedPort } from "../docker/inspect.ts";
import type { NamedOptions } from "../options.ts";
import {
  asLine,
  checkOf,
  type FallbackCheck,
  isOn,
  LabelUse,
  type Problem,
  type ServiceCheck,
} from "./check.ts";
import { addressProblems, type Endpoint, endpointOf } from "./endpoint.ts";
import { metaOf } from "./meta.ts";
import { type Attributes, attributesOf, readMetadata, splitTags } from "./metadata.ts";
import { idOf, nameOf } from "./naming.ts";
import { TemplateError, templateTags } from "./tags.ts";

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
  const ports = container.ports.flatMap((published) => {
    const endpoint = endpointOf(container, published, options, host);
    return endpoint === null ? [] : [{ ...endpoint, published }];
  });
  const served = new Set(ports.map(({ exposed }) => exposed));
  const wholeIgnored = isOn(metadata.general, "ignore");
  for (const [port, attributes] of metadata.byPort) {
    if (served.has(port) || wholeIgnored) continue;
    for (const { label } of attributes.values())
      problems.push({ label, sentence: `port ${port} is not ${wanted(options)}` });
  }
  const services: DesiredService[] = [];
  const ids = new Set<string>();
  const fallback = fallbackCheck(container, options);
  const use = new LabelUse();
  for (const endpoint of ports) {
    const attributes = attributesOf(metadata, endpoint.exposed);
    if (isOn(attributes, "ignore")) continue;
    const name = nameOf(container, attributes, ports.length > 1, endpoint, options, problems);
    if (name === null) continue;
    const own = [options.hostname, container.name, endpoint.exposed, ...notTcp(endpoint)];
    const id = idOf(attributes, own.join(":"), ids, problems);
    ids.add(id);
    const check = checkOf(attributes, fallback, problems, use);
    const idLabel = id === attributes.get("id")?.value ? attributes.get("id")?.label : undefined;
    services.push({
      id,
      name,
      address: endpoint.address,
      port: endpoint.port,
      tags: [
        ...new Set([
          ...ownTags(attributes, problems),
          ...commonTags(container, endpoint.published, options, problems),
          ...notTcp(endpoint),
        ]),
      ],
      meta: metaOf(container, attributes, check, options, problems),
      check,
      containerId: container.id,
      containerName: container.name,
      ...(idLabel === undefined ? {} : { idLabel }),
    });
  }
  const lines = [...problems, ...use.problems()].map(asLine);
  lines.push(...addressProblems(container, options, host));
  return { services, problems: [...new Set(lines)] };
}

function wanted(options: NamedOptions): string {
  return options.internal ? "exposed" : "published";
}

function ownTags(attributes: Attributes, problems: Problem[]): readonly string[] {
  const given = attributes.get("tags");
  const tags = splitTags(given?.value ?? "");
  if (given !== undefined && given.value !== "" && tags.length === 0)
    problems.push({ label: given.label, sentence: `${JSON.stringify(given.value)} holds no tag` });
  return tags;
}

function commonTags(
  container: Container,
  port: PublishedPort,
  { tags }: NamedOptions,
  problems: Problem[],
): readonly string[] {
  try {
    return templateTags(tags, container, port);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    const sentence = `${error.message} of this container; it gets no tag of these`;
    problems.push({ label: "--tags", sentence });
    return [];
  }
}

/** What the ID ends with, and a tag, for UDP; TCP needs no word. */
function notTcp({ protocol }: Endpoint): readonly string[] {
  return protocol === "tcp" ? [] : [protocol];
}

/**
 * A registrator that is restarted or upgraded must not make healthy services critical, so that the check of a
 * HEALTHCHECK waits longer for it than `--ttl`, which asks for just that.
 */
const healthTtlSeconds = 300;

/** Docker's HEALTHCHECK, which knows more than that the container runs, before `--ttl`. */
function fallbackCheck(container: Container, options: NamedOptions): FallbackCheck | null {
  const { ttlSeconds } = options;
  const { health } = container;
  if (health !== null) return { kind: "health", ttl: `${ttlSeconds || healthTtlSeconds}s`, health };
  return ttlSeconds === 0 ? null : { kind: "alive", ttl: `${ttlSeconds}s` };
}
