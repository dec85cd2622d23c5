/** The examination of a script as a gateway makes it: the sandbox's, and whether its schedule can be read. */
import type { ExamineScript } from "../../sandbox/index.ts";
import { scheduleFault } from "../schedule/schedule.ts";

export function withSchedule(examine: ExamineScript): ExamineScript {
  return async (host, tables, isWanted) => {
    const found = await examine(host, tables, isWanted);
    const schedule = found.declared?.schedule ?? null;
    const message = schedule === null ? null : scheduleFault(schedule);
    if (found.fault !== null || message === null) return found;
    const fault = { key: `scripts/${host}`, line: 0, column: 0, message };
    return { ...found, fault };
  };
}
