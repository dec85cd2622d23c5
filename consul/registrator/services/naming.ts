/** The name and the ID of a service: from labels where they can be, else from what started the container. */
import type { Container } from "../docker/inspect.ts";
import type { NamedOptions } from "../options.ts";
import type { Problem } from "./check.ts";
import type { Endpoint } from "./endpoint.ts";
import { appName } from "./mesos.ts";
import type { Attributes } from "./metadata.ts";

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

/** `null`: it is not to be registered, since nobody names it and `--explicit` asks for a name. */
export function nameOf(
  container: Container,
  attributes: Attributes,
  isGroup: boolean,
  { exposed }: Endpoint,
  options: NamedOptions,
  problems: Problem[],
): string | null {
  const given = attributes.get("name");
  const byDefault = appName(container.env) ?? (imageName(container.image) || container.name);
  const fits = given !== undefined && isPossible(given.value);
  if (given !== undefined && !fits) {
    const why = given.value === "" ? "is empty" : `cannot be a name: ${shown(given.value)}`;
    const instead = options.explicit ? "not registered" : `the usual name "${byDefault}" is used`;
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

/** `taken`: the IDs of the container's other services. */
export function idOf(
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

/** A text for one line of the log: bounded, with invisible characters made visible. */
function shown(text: string): string {
  const short = text.length > longestName ? `${text.slice(0, longestName)}...` : text;
  return JSON.stringify(short).replaceAll(/(?! )[\p{C}\p{Z}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}
