/**
 * The window of a script's `export const schedule`: whether it is open, and when that changes. The cron
 * expressions are node-cron's to read, and `documents/moments.ts` finds the minutes that they name.
 */
import {
  type CronCalendar,
  calendarOf,
  cronFault,
  Difference,
  isTimeZone,
  lastMinute,
  nextMinute,
  occurs,
} from "../../documents/index.ts";
import type { ExamineScript, Schedule } from "../../sandbox/index.ts";

const minuteMs = 60_000;
/** Where nothing changes in sight, when to look again. */
const lookAgainMs = 365 * 86_400_000;
/** What a time zone's clocks skip each time is told by looking from here: the same answer on every day. */
const someMinute = Date.UTC(2026, 0, 1) / minuteMs;

/** Says what is wrong with a schedule, in one line; `null` when nothing is. */
export function scheduleFault({ from, to, timezone }: Schedule): string | null {
  for (const [name, text] of Object.entries({ from, to })) {
    const fault = cronFault(text);
    if (fault !== null) return `schedule.${name}: ${fault}`;
  }
  if (from === to) return "schedule: from and to are the same, so it is never open";
  const zone = timezone ?? "UTC";
  if (!isTimeZone(zone)) {
    return `schedule.timezone: there is no time zone ${JSON.stringify(zone.slice(0, 64))}`;
  }
  const calendars = { from: calendarOf(from), to: calendarOf(to) };
  for (const [name, calendar] of Object.entries(calendars)) {
    if (!occurs(calendar)) return `schedule.${name}: there is no such day`;
    if (nextMinute(calendar, zone, someMinute) === null) {
      return `schedule.${name}: there is no such time in ${zone}`;
    }
  }
  if (occurs(new Difference(calendars.from, calendars.to))) return null;
  return "schedule: to names every moment that from does, so it is never open";
}

/** The examination of a script as a gateway makes it: the sandbox's, and whether its schedule can be read. */
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

export interface Window {
  readonly isOpen: boolean;
  /** When to look again, in milliseconds since the epoch: when it changes, or where the view ends. */
  readonly until: number;
}

/**
 * The window at a time, which is in milliseconds since the epoch: open when the last moment that either
 * expression names was one of `from` alone. Throws for what `scheduleFault` finds.
 */
export function windowAt(schedule: Schedule, nowMs: number): Window {
  const from = calendarOf(schedule.from);
  const to = calendarOf(schedule.to);
  const zone = schedule.timezone ?? "UTC";
  const now = Math.floor(nowMs / minuteMs);
  const isOpen = isOpenAt(from, to, zone, now);
  // What opens and closes in the same minute stays closed.
  const until = nextMinute(isOpen ? to : new Difference(from, to), zone, now);
  return { isOpen, until: until === null ? nowMs + lookAgainMs : until * minuteMs };
}

function isOpenAt(from: CronCalendar, to: CronCalendar, zone: string, now: number): boolean {
  const opened = lastMinute(from, zone, now);
  if (opened === null) return false;
  return opened > (lastMinute(to, zone, now) ?? Number.NEGATIVE_INFINITY);
}
