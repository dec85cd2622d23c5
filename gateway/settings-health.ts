/** The settings that are about the health of peers, as rows of the table in `settings.ts`. */
import type { Definition } from "./settings-limits.ts";
import { integer } from "./settings-values.ts";

export const healthDefinitions = {
  maxChecks: {
    argument: "N",
    meaning: "Active checks of servers that run at once; others wait.",
    fallback: "256",
    schema: integer(1, 10_000),
  },
} as const satisfies Readonly<Record<string, Definition>>;

export interface HealthSettings {
  /** Active checks that run at once. */
  readonly maxChecks: number;
}
