/** What the options of each plugin look like; for the primary alone, since workers do without the library. */
import * as z from "zod";
import { compressSchema } from "./compress/schema.ts";
import { headersSchema } from "./headers/schema.ts";
import type { PluginName } from "./index.ts";
import { ipAllowSchema } from "./ip-allow/schema.ts";
import { ipDenySchema } from "./ip-deny/schema.ts";
import { pathSchema } from "./path/schema.ts";
import type { CheckedUse } from "./plugin.ts";
import { rateLimitSchema } from "./rate-limit/schema.ts";
import { redirectSchema } from "./redirect/schema.ts";

const optionSchemas = {
  compress: compressSchema.optional(),
  headers: headersSchema.optional(),
  ipAllow: ipAllowSchema.optional(),
  ipDeny: ipDenySchema.optional(),
  path: pathSchema.optional(),
  rateLimit: rateLimitSchema.optional(),
  redirect: redirectSchema.optional(),
} satisfies Record<PluginName, z.ZodType>;

/** One use of a plugin: its name and its options. */
export const pluginUseSchema = z
  .strictObject(optionSchemas)
  .refine((use) => Object.keys(use).length === 1, {
    error: `is not one plugin with its options; the plugins are ${Object.keys(optionSchemas).join(", ")}`,
  })
  .describe("A plugin's name and its options.");

/** What `pluginUseSchema` made of a use, as workers get it. */
export function pluginUse(use: z.output<typeof pluginUseSchema>): CheckedUse {
  const [[name, options] = ["", null]] = Object.entries(use);
  return { name, options };
}
