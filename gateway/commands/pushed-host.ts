/**
 * What somebody should know who has just written a host document: names that lead nowhere yet, and shares that no longer
 * change. None of it keeps a document out of Consul, since the rest may follow.
 */
import { ConsulError, readCatalog } from "../../consul/index.ts";
import { parseHostDocument } from "../documents/index.ts";
import { destinationsOf, type Ramp } from "../model/index.ts";
import { missingUpstreams } from "../primary/index.ts";
import type { Desk } from "./desk.ts";

const withinMs = 5_000;

/** @param text a host document that gateways take. */
export async function tellOfHost(desk: Desk, subject: string, text: string): Promise<void> {
  const document = parseHostDocument(subject, text);
  try {
    for (const missing of await missingIn(document, desk)) desk.warn(`${subject}: ${missing}`);
  } catch (error) {
    if (!(error instanceof ConsulError)) throw error;
    desk.warn(`${subject}: whether its upstreams exist cannot be read: ${error.message}`);
  }
  for (const [field, { shares }] of destinationsOf(document))
    for (const { upstream, weight, ramp } of shares) {
      const endMs = ramp === undefined ? Number.POSITIVE_INFINITY : endOf(ramp);
      if (endMs > Date.now()) continue;
      const ended = new Date(endMs).toISOString();
      desk.print(
        `note: ${subject}: ${field}: the ramp of ${upstream} ended at ${ended}, so its share is ${weight} from the start`,
      );
    }
}

async function missingIn(
  document: ReturnType<typeof parseHostDocument>,
  { consul, operations, sites }: Desk,
): Promise<readonly string[]> {
  const signal = AbortSignal.timeout(withinMs);
  const [upstreams, { value: catalog }] = await Promise.all([
    operations.list("upstreams"),
    readCatalog(consul, { index: null, waitMs: 0, signal }),
  ]);
  const tables = {
    upstream: new Set(upstreams.map(({ name }) => name)),
    catalog,
    // What other datacenters have, the gateways say in /status.
    datacenter: new Set<string>(),
  };
  return [...missingUpstreams(document, tables, sites)];
}

function endOf(ramp: Ramp): number {
  return "atMs" in ramp ? (ramp.atMs.at(-1) ?? Number.NEGATIVE_INFINITY) : ramp.endMs;
}
