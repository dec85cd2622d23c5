/** Whether a service that the agent has is ours, or somebody else's and is left alone. */
import type { NamedOptions } from "../options.ts";
import { engineKey, markKey } from "../services/meta.ts";
import type { ActualService } from "./agent.ts";

/**
 * Ours is what has our mark; with `cleanup` also what has another hostname's mark and is from this Docker
 * Engine, and what has no mark and an ID as we make them.
 */
export function isOurs({ id, meta }: ActualService, options: NamedOptions): boolean {
  const { hostname, engine, cleanup } = options;
  const owner = meta[markKey];
  if (owner !== undefined)
    return owner === hostname || (cleanup && engine !== "" && meta[engineKey] === engine);
  const [host, container, port] = id.split(":");
  return cleanup && host === hostname && !!container && /^\d+$/.test(port ?? "");
}

/** For messages: who has registered a service that is not ours. */
export function ownerOf(meta: Readonly<Record<string, string>>): string {
  return meta[markKey] === undefined
    ? "somebody else: it has no mark of this registrator"
    : "the registrator of another hostname";
}
