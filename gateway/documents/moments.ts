/**
 * Finds the minutes that a cron expression names in a time zone. It searches by month, day, hour and minute instead
 * of walking through the minutes, so the next minute for `29 2` costs as little as the next for `* *`. node-cron
 * reads the expression and defines its meaning: a minute is named when its local time matches every field.
 */
import { type ParsedFields, parse } from "node-cron";

const minuteMs = 60_000;
const dayMinutes = 1_440;
/**
 * How many months the search looks ahead. Calendars repeat after 28 years, or after 40 when a century without a leap
 * day lies between.
 */
const horizonMonths = 41 * 12;

/** The named minutes on one day, by hour, in order. */
type Times = readonly (readonly number[])[];

/** A set of minutes by calendar, whatever the time zone. */
export interface Calendar {
  /** The days in a month that have named minutes, in order; months count from 1. */
  daysIn(year: number, month: number): readonly number[];
  timesOn(year: number, month: number, day: number): Times;
}

/** Throws for an expression that `validateDetailed` rejects. */
export function calendarOf(expression: string): CronCalendar {
  return new CronCalendar(parse(expression));
}

export class CronCalendar implements Calendar {
  readonly times: Times;
  readonly #months: ReadonlySet<number>;
  readonly #days: ParsedFields["dayOfMonth"];
  readonly #weekdays: ParsedFields["dayOfWeek"];

  constructor(fields: ParsedFields) {
    const minutes = [...new Set(fields.minute)].sort((a, b) => a - b);
    const hours = new Set(fields.hour);
    this.times = Array.from({ length: 24 }, (_, hour) => (hours.has(hour) ? minutes : []));
    this.#months = new Set(fields.month);
    this.#days = [...new Set(fields.dayOfMonth)];
    this.#weekdays = [...new Set(fields.dayOfWeek)];
  }

  daysIn(year: number, month: number): readonly number[] {
    if (!this.#months.has(month)) return [];
    const last = new Date(Date.UTC(year, month, 0)).getUTCDate();
    const firstWeekday = new Date(Date.UTC(year, month - 1, 1)).getUTCDay();
    const named = new Set(this.#days.map((field) => dayOf(field, last, firstWeekday)));
    const days: number[] = [];
    for (let day = 1; day <= last; day += 1) {
      if (!named.has(day)) continue;
      const weekday = (firstWeekday + day - 1) % 7;
      if (this.#weekdays.some((field) => isWeekday(field, weekday, day, last))) days.push(day);
    }
    return days;
  }

  timesOn(): Times {
    return this.times;
  }
}

/** The minutes that `all` has and `except` does not. */
export class Difference implements Calendar {
  readonly #all: CronCalendar;
  readonly #except: CronCalendar;
  /** The minutes left on a day that both have. */
  readonly #rest: Times;
  readonly #hasRest: boolean;

  constructor(all: CronCalendar, except: CronCalendar) {
    this.#all = all;
    this.#except = except;
    this.#rest = all.times.map((minutes, hour) =>
      minutes.filter((minute) => !except.times[hour]?.includes(minute)),
    );
    this.#hasRest = this.#rest.some((minutes) => minutes.length > 0);
  }

  daysIn(year: number, month: number): readonly number[] {
    const days = this.#all.daysIn(year, month);
    if (this.#hasRest || days.length === 0) return days;
    const without = new Set(this.#except.daysIn(year, month));
    return days.filter((day) => !without.has(day));
  }

  timesOn(year: number, month: number, day: number): Times {
    return this.#except.daysIn(year, month).includes(day) ? this.#rest : this.#all.times;
  }
}

/**
 * Whether any day has such minutes, now or within a hundred years. The years that it tries contain every possible
 * calendar.
 */
export function occurs(calendar: Calendar): boolean {
  for (let year = 2000; year < 2028; year += 1) {
    for (let month = 1; month <= 12; month += 1) {
      if (calendar.daysIn(year, month).length > 0) return true;
    }
  }
  return false;
}

/** The first minute after `minute`, both counted from the epoch; `null` when there is none in the next 41 years. */
export function nextMinute(calendar: Calendar, timezone: string, minute: number): number | null {
  return nearest(calendar, timezone, minute + 1, 1);
}

/** The last minute that is not after `minute`; `null` when there was none in the last 41 years. */
export function lastMinute(calendar: Calendar, timezone: string, minute: number): number | null {
  return nearest(calendar, timezone, minute, -1);
}

function nearest(
  calendar: Calendar,
  timezone: string,
  limit: number,
  direction: 1 | -1,
): number | null {
  const isBetter = (a: number, b: number) => (direction === 1 ? a < b : a > b);
  const at = Temporal.Instant.fromEpochMilliseconds(limit * minuteMs).toZonedDateTimeISO(timezone);
  // Clocks that are set back over midnight bring back a day after the next one has begun.
  const first = at.toPlainDate().subtract({ days: direction });
  let { year, month } = first;
  let best: number | null = null;
  let monthsLeft = horizonMonths;
  for (let months = 0; months <= monthsLeft; months += 1) {
    const all = calendar.daysIn(year, month);
    for (const day of direction === 1 ? all : all.toReversed()) {
      if (months === 0 && isBetter(day, first.day)) continue;
      const spans = spansOf(new Temporal.PlainDate(year, month, day), timezone);
      const nearEnd = direction === 1 ? spans[0]?.from : spans.at(-1)?.to;
      if (best !== null && (nearEnd === undefined || isBetter(best, nearEnd))) return best;
      const found = nearestOn(calendar.timesOn(year, month, day), spans, limit, direction);
      if (found === null || (best !== null && isBetter(best, found))) continue;
      best = found;
      // The following day may belong to the next month.
      monthsLeft = months + 1;
    }
    month += direction;
    if (month === 0 || month === 13) {
      year += direction;
      month = month === 0 ? 12 : 1;
    }
  }
  return best;
}

/** A run of minutes in one local day during which the clocks are not changed; `to` is not part of it. */
interface Span {
  readonly from: number;
  readonly to: number;
  /** The local time of the minute `from`, in minutes since midnight. */
  readonly localFrom: number;
}

function spansOf(date: Temporal.PlainDate, timezone: string): readonly Span[] {
  const midnight = date.toPlainDateTime();
  const dayFrom = midnight.toZonedDateTime("UTC").epochMilliseconds / minuteMs;
  const begin = midnight.toZonedDateTime(timezone, { disambiguation: "earlier" });
  const end = midnight.add({ days: 1 }).toZonedDateTime(timezone, { disambiguation: "later" });
  const endMinute = Math.ceil(end.epochMilliseconds / minuteMs);
  const spans: Span[] = [];
  let at: Temporal.ZonedDateTime | null = begin;
  while (at !== null && at.epochMilliseconds / minuteMs < endMinute) {
    const next: Temporal.ZonedDateTime | null =
      timezone === "UTC" ? null : at.getTimeZoneTransition("next");
    const from = Math.ceil(at.epochMilliseconds / minuteMs);
    const to =
      next === null ? endMinute : Math.min(endMinute, Math.ceil(next.epochMilliseconds / minuteMs));
    // Today's offsets are whole minutes. Where they were not, local minutes do not begin at full minutes of the
    // epoch.
    const offset = at.offsetNanoseconds / (minuteMs * 1_000_000);
    if (Number.isInteger(offset)) {
      const localFrom = from + offset - dayFrom;
      const late = Math.max(0, -localFrom);
      const early = Math.max(0, localFrom + (to - from) - dayMinutes);
      if (from + late < to - early) {
        spans.push({ from: from + late, to: to - early, localFrom: localFrom + late });
      }
    }
    at = next;
  }
  return spans;
}

function nearestOn(
  times: Times,
  spans: readonly Span[],
  limit: number,
  direction: 1 | -1,
): number | null {
  for (const { from, to, localFrom } of direction === 1 ? spans : spans.toReversed()) {
    const begin = direction === 1 ? Math.max(from, limit) : from;
    const end = direction === 1 ? to : Math.min(to, limit + 1);
    if (begin >= end) continue;
    const local = nearestTime(times, begin - from + localFrom, end - from + localFrom, direction);
    if (local !== null) return local - localFrom + from;
  }
  return null;
}

/** The first or the last time between `begin`, inclusive, and `end`, exclusive, in minutes of the day. */
function nearestTime(times: Times, begin: number, end: number, direction: 1 | -1): number | null {
  const firstHour = Math.floor(begin / 60);
  const lastHour = Math.floor((end - 1) / 60);
  for (let hours = 0; hours <= lastHour - firstHour; hours += 1) {
    const hour = direction === 1 ? firstHour + hours : lastHour - hours;
    const named = (times[hour] ?? [])
      .map((minute) => hour * 60 + minute)
      .filter((time) => time >= begin && time < end);
    const found = direction === 1 ? named[0] : named.at(-1);
    if (found !== undefined) return found;
  }
  return null;
}

/** The day in a month that a field names (a number, `L`, `L-3`, `15W` or `LW`); 0 for none. */
function dayOf(field: number | string, last: number, firstWeekday: number): number {
  if (typeof field === "number") return field;
  const [, before] = /^L(?:-(\d{1,2}))?$/.exec(field) ?? [];
  if (before !== undefined || field === "L") return last - Number(before ?? 0);
  const [, named] = /^(\d{1,2}|L)W$/.exec(field) ?? [];
  const day = named === "L" ? last : Number(named ?? 0);
  if (day < 1 || day > last) return 0;
  const weekday = (firstWeekday + day - 1) % 7;
  if (weekday === 6) return day === 1 ? 3 : day - 1;
  if (weekday === 0) return day === last ? day - 2 : day + 1;
  return day;
}

/** Whether a field names this weekday: a number, `5L` (the last of the month) or `1#2` (the second). */
function isWeekday(field: number | string, weekday: number, day: number, last: number): boolean {
  if (typeof field === "number") return field === weekday;
  const [, named, kind, which] = /^([0-7])(?:(L)|#([1-5]))$/i.exec(field) ?? [];
  if (named === undefined || Number(named) % 7 !== weekday) return false;
  return kind === undefined ? Math.ceil(day / 7) === Number(which) : day + 7 > last;
}
