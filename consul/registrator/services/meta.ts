/** A service's metadata in Consul: our marks, and every attribute that has no other meaning. */
import type { Container } from "../docker/inspect.ts";
import type { NamedOptions } from "../options.ts";
import { isRefusedMethod, type Problem, type ServiceCheck } from "./check.ts";
import { taskMeta } from "./mesos.ts";
import type { Attributes } from "./metadata.ts";

/** Metadata of Consul's own that marks a service as registered here; the value is the hostname. */
export const markKey = "registrator";
export const containerKey = "registrator-container";
/** The Docker Engine's ID. */
export const engineKey = "registrator-engine";
/** The TTL of a check that the registrator keeps alive, and of one that passes Docker's HEALTHCHECK on. */
const ttlKey = "registrator-ttl";
const healthKey = "registrator-health";
/** Says that a check was refused, which makes it another registration than before. */
export const refusedKey = "registrator-refused";

const metaKey = /^[A-Za-z0-9_-]{1,128}$/;
const maxMetaValue = 512;
const maxMetaPairs = 64;

const consumed = new Set(["id", "name", "tags", "ignore"]);

/** Every other attribute becomes metadata of the service (Consul API, "Register Service", Meta). */
export function metaOf(
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
  if (check?.kind === "alive") meta[ttlKey] = check.ttl;
  if (check?.kind === "health") meta[healthKey] = check.ttl;
  if (check?.kind === "refused") meta[refusedKey] = "check";
  for (const [key, { value, label }] of attributes) {
    // The metadata tells checks apart: what is not followed does not count.
    if (consumed.has(key) || isRefusedMethod(key, value)) continue;
    const why = whyNot(meta, key, value);
    if (why === null) meta[key] = value;
    else problems.push({ label, sentence: `${why}; it is left out` });
  }
  for (const [key, value] of taskMeta(container.env)) {
    if (key in meta) continue;
    const why = whyNot(meta, key, value);
    if (why === null) meta[key] = value;
    else problems.push({ label: key.toUpperCase(), sentence: `${why}; it is left out` });
  }
  return meta;
}

/** Why Consul would not take one more pair, or we must not make it. */
function whyNot(meta: Readonly<Record<string, string>>, key: string, value: string): string | null {
  if (!metaKey.test(key)) return "cannot be a metadata key (letters, digits, - and _)";
  if (key.startsWith("consul-") || key === markKey || key.startsWith(`${markKey}-`))
    return "is a reserved metadata key";
  if (Buffer.byteLength(value) > maxMetaValue) return `is longer than ${maxMetaValue} bytes`;
  return Object.keys(meta).length === maxMetaPairs
    ? `is one more than the ${maxMetaPairs} metadata keys that Consul takes`
    : null;
}
