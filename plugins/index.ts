/** The door of the plugins for workers. Loads no schema. */
import { compress } from "./compress/index.ts";
import { headers } from "./headers/index.ts";
import { ipAllow } from "./ip-allow/index.ts";
import { ipDeny } from "./ip-deny/index.ts";
import { path } from "./path/index.ts";
import type { CheckedUse, PluginPhases, PluginTools } from "./plugin.ts";
import { rateLimit } from "./rate-limit/index.ts";
import { redirect } from "./redirect/index.ts";

export { Slots } from "./slots.ts";

const plugins = { compress, headers, ipAllow, ipDeny, path, rateLimit, redirect } as const;

export type PluginName = keyof typeof plugins;

/** What a use of a plugin does. `use` has been checked on the primary, with `pluginUseSchema`. */
export function createPhases({ name, options }: CheckedUse, tools: PluginTools): PluginPhases {
  // Which options go with which name is what `schemas.ts` ensures; a type cannot carry it through a document.
  const create = plugins[name as PluginName].create as (
    options: unknown,
    tools: PluginTools,
  ) => PluginPhases;
  return create(options, tools);
}
