/**
 * The window of a script's `export const schedule`: whether it is open, and when that changes. The cron
 * expressions are node-cron's to read.
 */
import { createTask, parse, type ScheduledTask, validateDetailed } from "node-cron";
import type { Schedule } from "../sandbox/index.ts";

const minuteMs = 60_000;
/** How far is looked, back and ahead: a little more than a year. */
const horizonMinutes = 400 * 1_440;
/** Offsets of time zones are whole multiples of this, so it tells which minutes can match at all. */
const offsetMinutes = 15;

/** Says what is wrong with a schedule, in one line; `null` when nothing is. */
export function scheduleFault({ from, to, timezone }: Schedule): string | null {
  for (const [name, text] of Object.entries({ from, to })) {
    const { valid, errors } = validateDetailed(text);
    if (!valid) return `schedule.${name}: ${errors[0]?.message ?? "is no cron expression"}`;
  }
  if (from === to) return "schedule: from and to are the same, so it is never open";
  if (timezone === null) return null;
  try {
    new Intl.DateTimeFormat("en", { timeZone: timezone });
    return null;
  } catch {
    return `schedule.timezone: there is no time zone ${JSON.stringify(timezone.slice(0, 64))}`;
  }
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
  const from = new Moments(schedule.from, schedule.timezone);
  const to = new Moments(schedule.to, schedule.timezone);
  try {
    const now = Math.floor(nowMs / minuteMs);
    const isOpen = isOpenAt(from, to, now);
    const changes = isOpen ? to : from;
    for (let minute = now + 1; minute < now + horizonMinutes; minute += 1) {
      // What opens and closes in the same minute stays closed.
      const isChange = changes.has(minute) && (isOpen || !to.has(minute));
      if (isChange) return { isOpen, until: minute * minuteMs };
    }
    return { isOpen, until: (now + horizonMinutes) * minuteMs };
  } finally {
    from.close();
    to.close();
  }
}

function isOpenAt(from: Moments, to: Moments, now: number): boolean {
  for (let minute = now; minute > now - horizonMinutes; minute -= 1) {
    if (to.has(minute)) return false;
    if (from.has(minute)) return true;
  }
  return false;
}

/** The minutes, counted from the epoch, that an expression names. */
class Moments {
  readonly #residues: ReadonlySet<number>;
  /** Never started: only its reading of the expression is used. The library keeps it until `destroy`. */
  readonly #task: ScheduledTask;

  constructor(expression: string, timezone: string | null) {
    const { minute } = parse(expression);
    this.#residues = new Set(minute.map((each) => each % offsetMinutes));
    this.#task = createTask(expression, () => undefined, { timezone: timezone ?? "UTC" });
  }

  has(minute: number): boolean {
    if (!this.#residues.has(minute % offsetMinutes)) return false;
    return this.#task.match(new Date(minute * minuteMs));
  }

  close(): void {
    void this.#task.destroy();
  }
}
