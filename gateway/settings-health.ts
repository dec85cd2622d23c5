/** The settings that are about the health of peers, as rows of the table in `settings-table.ts`. */
import type { NearZone } from "./model/index.ts";
import type { Definition } from "./settings-table.ts";
import { integer, text } from "./settings-values.ts";

export const healthDefinitions = {
  maxChecks: {
    argument: "N",
    meaning: "Active checks of servers that run at once; others wait.",
    fallback: "256",
    schema: integer(1, 10_000),
  },
  zone: {
    argument: "NAME",
    meaning: "Where this gateway is: servers and instances of this zone (Meta.zone) come first.",
    fallback: null,
    schema: text(),
  },
  zoneMin: {
    argument: "PERCENT",
    meaning: "With fewer of the zone's servers available than this, those of all zones are picked.",
    fallback: "50",
    schema: integer(0, 100),
  },
} as const satisfies Readonly<Record<string, Definition>>;

export interface HealthSettings {
  /** Active checks that run at once. */
  readonly maxChecks: number;
  /** `null`: no server is nearer than another. */
  readonly zone: NearZone | null;
}

export function zoneFrom(name: string | null, minPercent: number): NearZone | null {
  return name === null ? null : { name, minAvailable: minPercent / 100 };
}
