/** What is registered on one node: `GET /v1/catalog/node/<node>`, as far as it tells what has changed. */
import type { ConsulClient } from "../../api/client.ts";
import { ConsulError } from "../../api/errors.ts";
import { fieldOf } from "../../api/fields.ts";
import type { Answer, WatchQuery } from "../../watching/watch.ts";

/** A registration on a node: of which service, and what changes when anything of it does. */
export interface OnNode {
  readonly service: string;
  readonly fingerprint: string;
}

/** By service id; empty for a node that is not there. */
export type NodeContent = ReadonlyMap<string, OnNode>;

/** Catalog API page, "Retrieve Map of Services for a Node". `datacenter` `null`: the agent's own. */
export async function readNode(
  consul: ConsulClient,
  node: string,
  query: WatchQuery,
): Promise<Answer<NodeContent>> {
  const { index, body, ...rest } = await consul.read({
    path: "/catalog/node/{node}",
    params: { node },
    query: { stale: "" },
    ...query,
  });
  const value = decodeNode(`${consul.url}/v1/catalog/node/${node}`, body);
  return { index: index ?? 0, value, ...rest };
}

function decodeNode(where: string, body: unknown): NodeContent {
  const content = new Map<string, OnNode>();
  if (body === null) return content;
  const services = fieldOf(body, "Services");
  if (typeof services !== "object" || services === null)
    throw new ConsulError("bad_answer", `${where}: the answer is no node`);
  for (const [id, entry] of Object.entries(services)) {
    const service = fieldOf(entry, "Service");
    if (typeof service !== "string")
      throw new ConsulError("bad_answer", `${where}: the answer has an entry that is no service`);
    const fingerprint = `${fieldOf(entry, "CreateIndex")} ${fieldOf(entry, "ModifyIndex")}`;
    content.set(id, { service, fingerprint });
  }
  return content;
}

/** The services with a registration that only one of the two has, or that differs between them. */
export function changedServices(before: NodeContent, now: NodeContent): Set<string> {
  const names = new Set<string>();
  for (const [id, { service, fingerprint }] of now) {
    const known = before.get(id);
    if (known?.fingerprint === fingerprint && known.service === service) continue;
    names.add(service);
    if (known !== undefined) names.add(known.service);
  }
  for (const [id, { service }] of before) if (!now.has(id)) names.add(service);
  return names;
}

/** Every service of both. */
export function allServices(...contents: readonly NodeContent[]): Set<string> {
  const names = new Set<string>();
  for (const content of contents) for (const { service } of content.values()) names.add(service);
  return names;
}
