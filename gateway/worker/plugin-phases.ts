/** Makes the plugins that documents name into phases of their hosts, and gives plugins their tools. */
import { createPhases, type Slots } from "../../plugins/index.ts";
import { addressTest, networkOf } from "../engine/message/address-blocks.ts";
import type { RateLimits } from "../limits/index.ts";
import type { HostDocument, PluginUse } from "../model/index.ts";
import { type HostPhases, noPhases, type Phase } from "../sites/index.ts";

/** What all plugins of a worker share. */
export interface PluginRoom {
  readonly limits: RateLimits;
  readonly slots: Slots;
}

/** The phases of the document `hosts/<key>`. */
export function pluginPhases(
  key: string,
  { pluginsBefore = [], plugins = [], paths, routes = [] }: HostDocument,
  room: PluginRoom,
): HostPhases {
  const create = (uses: readonly PluginUse[], list: string): readonly Phase[] =>
    uses.map((use, at) => createPhase(use, `hosts/${key} ${list}[${at}]`, room));
  const byPath = new Map<string, readonly Phase[]>();
  for (const { prefix, plugins: uses } of paths)
    if (uses !== undefined) byPath.set(prefix, create(uses, prefix));
  const byRoute = new Map<string, readonly Phase[]>();
  for (const { name, plugins: uses } of routes)
    if (uses !== undefined) byRoute.set(name, create(uses, name));
  if (pluginsBefore.length + plugins.length + byPath.size + byRoute.size === 0) return noPhases;
  return {
    beforeScript: create(pluginsBefore, "before"),
    behindScript: create(plugins, "plugins"),
    byPath,
    byRoute,
  };
}

function createPhase(use: PluginUse, place: string, { limits, slots }: PluginRoom): Phase {
  const tools = {
    addresses: addressTest,
    clientOf: networkOf,
    // A limit with another rate is another limit, whose buckets begin full.
    limit: (rate: { readonly perSecond: number; readonly burst: number }) =>
      limits.limit(`${place} ${rate.perSecond} ${rate.burst}`, rate),
    slots,
  };
  const { rehearse, ...phases } = createPhases(use, tools);
  const { name } = use;
  if (rehearse === undefined) return { ...phases, name };
  return { ...phases, name, rehearse: (exchange, _context, say) => rehearse(exchange, say) };
}
