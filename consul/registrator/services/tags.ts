/** The tags of a service: its labels', those of `--tags`, and the protocol where it is not TCP. */
import type { Container, PublishedPort } from "../docker/inspect.ts";
import { checkTemplate, renderTemplate } from "../templates/evaluate.ts";
import type { Value } from "../templates/functions.ts";
import { parseTemplate, type Template, TemplateError } from "../templates/parse.ts";
import { splitTags, variablesOf } from "./metadata.ts";

/** Reads the value of `--tags`. Throws a `TemplateError` for what no container could make right. */
export function tagTemplate(source: string): Template {
  const template = parseTemplate(source);
  checkTemplate(template, dataOf(specimen, specimenPort));
  return template;
}

/** The tags that `--tags` gives one port of a container. Throws a `TemplateError` when its values do not fit. */
export function templateTags(
  template: Template,
  container: Container,
  port: PublishedPort,
): readonly string[] {
  return splitTags(renderTemplate(template, dataOf(container, port)));
}

export { TemplateError };

/**
 * As `docker inspect` and gliderlabs/registrator name it, so the name has its slash; and `Env` and `Labels` by name, and
 * `Published`, the port that the service is for.
 */
function dataOf(container: Container, port: PublishedPort): Value {
  const { addresses, networkMode } = container;
  const labels = new Map(Object.entries(container.labels));
  const networks = [...addresses].map(([name, address]) => [name, { IPAddress: address }] as const);
  return {
    ...{ ID: container.id, Id: container.id, Name: `/${container.name}` },
    Image: container.imageId,
    Config: {
      ...{ Hostname: container.hostname, Image: container.image },
      ...{ Env: container.env, Labels: labels },
    },
    HostConfig: { NetworkMode: networkMode },
    NetworkSettings: { IPAddress: addresses.get("bridge") ?? "", Networks: new Map(networks) },
    Env: variablesOf(container.env),
    Labels: labels,
    Published: {
      HostPort: port.host === null ? "" : String(port.host.port),
      HostIP: port.host?.ip ?? "",
      ...{ ExposedPort: port.exposed, PortType: port.protocol },
    },
  };
}

const specimenPort: PublishedPort = { exposed: "80", protocol: "tcp", host: null };
/** One entry in each map says what they all are. */
const specimen: Container = {
  ...{ id: "", name: "", hostname: "", image: "", imageId: "", networkMode: "bridge" },
  ...{ running: true, paused: false, exitCode: 0, health: null, stopSignal: "" },
  stopTimeoutSeconds: null,
  env: ["NAME=value"],
  labels: { name: "value" },
  ports: [specimenPort],
  addresses: new Map([["bridge", "192.0.2.1"]]),
};
