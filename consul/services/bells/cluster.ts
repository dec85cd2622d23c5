/**
 * What one query tells of a whole cluster: its nodes (`GET /v1/catalog/nodes`), and the checks that do not pass
 * (`GET /v1/health/state/<state>`). Both answers are small while little is ill.
 */
import type { ConsulClient } from "../../api/client.ts";
import { ConsulError } from "../../api/errors.ts";
import { fieldOf } from "../../api/fields.ts";
import type { Answer, WatchQuery } from "../../watching/watch.ts";

/** Node -> what changes when its address does. */
export type Nodes = ReadonlyMap<string, string>;

/** Catalog API page, "List Nodes". */
export async function readNodes(consul: ConsulClient, query: WatchQuery): Promise<Answer<Nodes>> {
  const { index, body, ...rest } = await consul.read({
    path: "/catalog/nodes",
    query: { stale: "" },
    ...query,
  });
  if (!Array.isArray(body))
    throw new ConsulError("bad_answer", `${consul.url}/v1/catalog/nodes: the answer is no list`);
  const nodes = new Map<string, string>();
  for (const entry of body) {
    const name = fieldOf(entry, "Node");
    if (typeof name === "string") nodes.set(name, `${fieldOf(entry, "Address")}`);
  }
  return { index: index ?? 0, value: nodes, ...rest };
}

/** A check that does not pass. */
export interface IllCheck {
  readonly node: string;
  /** Empty: the check is the node's, and about all that is registered there. */
  readonly service: string;
}

/** By node, check, service and life in the catalog. */
export type IllChecks = ReadonlyMap<string, IllCheck>;

export type IllState = "critical" | "warning";

/** Health API page, "List Checks in State". */
export async function readIllChecks(
  consul: ConsulClient,
  state: IllState,
  query: WatchQuery,
): Promise<Answer<IllChecks>> {
  const { index, body, ...rest } = await consul.read({
    path: "/health/state/{state}",
    params: { state },
    query: { stale: "" },
    ...query,
  });
  const where = `${consul.url}/v1/health/state/${state}`;
  if (!Array.isArray(body)) throw new ConsulError("bad_answer", `${where}: the answer is no list`);
  const checks = new Map<string, IllCheck>();
  for (const entry of body) {
    const node = fieldOf(entry, "Node");
    const service = fieldOf(entry, "ServiceName");
    if (typeof node !== "string" || typeof service !== "string")
      throw new ConsulError("bad_answer", `${where}: the answer has an entry that is no check`);
    const life = [node, fieldOf(entry, "CheckID"), fieldOf(entry, "ServiceID"), service];
    checks.set(JSON.stringify([...life, fieldOf(entry, "CreateIndex")]), { node, service });
  }
  return { index: index ?? 0, value: checks, ...rest };
}

/** The checks that only one of both has. */
export function difference(before: IllChecks, now: IllChecks): IllCheck[] {
  const checks: IllCheck[] = [];
  for (const [key, check] of now) if (!before.has(key)) checks.push(check);
  for (const [key, check] of before) if (!now.has(key)) checks.push(check);
  return checks;
}
