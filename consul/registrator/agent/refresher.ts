/** Refreshes the TTL checks whose status the registrator itself says, before their time is up. */
import type Logger from "bunyan";
import { describeConsulError } from "../../api/errors.ts";
import type { Pause } from "../pause.ts";
import type { DesiredService } from "../services/services.ts";
import type { Agent } from "./agent.ts";
import { reportOf } from "./checks.ts";
import type { Slots } from "./slots.ts";

export interface RefresherOptions {
  readonly agent: Agent;
  readonly log: Pick<Logger, "warn">;
  readonly slots: Slots;
  readonly pause: Pause;
  /** The services that the agent has as they should be; asked for anew at each round. */
  readonly settled: () => Iterable<DesiredService>;
  readonly everyMs: number;
}

/** Goes on until `isClosed` when the pause ends. */
export async function refreshForEver(
  options: RefresherOptions,
  isClosed: () => boolean,
): Promise<void> {
  const { agent, log, slots, pause, settled, everyMs } = options;
  while (!isClosed()) {
    for (const { id, check } of [...settled()]) {
      const report = reportOf(check);
      // A check that is refused stays critical by itself.
      if (report === null || check?.kind === "refused") continue;
      try {
        await slots.use(false, () => agent.report(id, report));
      } catch (error) {
        const message = describeConsulError(error);
        log.warn({ id, error: message }, `refreshing ${id}: ${message}`);
      }
    }
    await pause.wait(everyMs);
  }
}
