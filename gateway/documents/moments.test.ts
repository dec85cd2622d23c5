import { expect } from "chai";
import { createTask } from "node-cron";
import { fromEnvironment, seedOf } from "../../test/support/effort.ts";
import { seeded } from "../../test/support/random.ts";
import { calendarOf, Difference, lastMinute, nextMinute } from "./moments.ts";

const minuteMs = 60_000;
const cases = fromEnvironment("FUZZ_SCHEDULES", 60);
const days = 3;

/**
 * Zones and dates where clocks are changed at midnight, by half an hour, over a whole day, twice within weeks, or not
 * at all.
 */
const moments: readonly (readonly [string, string])[] = [
  ["America/New_York", "2026-03-08"],
  ["America/New_York", "2026-11-01"],
  ["Europe/Berlin", "2028-03-26"],
  ["Australia/Lord_Howe", "2026-04-05"],
  ["Australia/Lord_Howe", "2026-10-04"],
  ["America/St_Johns", "2010-11-07"],
  ["America/Havana", "2026-11-01"],
  ["Africa/Cairo", "2026-04-24"],
  ["Africa/Casablanca", "2026-02-15"],
  ["Pacific/Apia", "2011-12-30"],
  ["America/Sao_Paulo", "2018-11-04"],
  ["Asia/Kathmandu", "2026-02-28"],
  ["UTC", "2028-02-29"],
];

describe("the minutes that a cron expression names", () => {
  const random = seeded(seedOf());
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const number = (below: number) => Math.floor(random() * below);
  const field = (least: number, size: number): string =>
    pick([
      () => "*",
      () => String(least + number(size)),
      () => `${least + number(size)},${least + number(size)}`,
      () => `*/${1 + number(size - 1)}`,
      () => `${least + number(size)}-${least + number(size)}`,
    ])();
  const expressionNear = (date: string): string => {
    const day = Number(date.slice(8));
    const month = Number(date.slice(5, 7));
    const dayField = pick(["*", "*", `${day}`, `${day},1`, "L", "L-1", `${day}W`, "LW", "*/2"]);
    const weekday = pick(["*", "*", "*", "0", "6,0", "5L", "7#1", "0#2", "1-5"]);
    const hour = pick(["*", "0,23", "1-3", "0", field(0, 24)]);
    return `${field(0, 60)} ${hour} ${dayField} ${pick(["*", `${month}`])} ${weekday}`;
  };

  for (let one = 0; one < cases; one += 1) {
    const [timezone, date] = pick(moments);
    const expression = expressionNear(date);
    const other = expressionNear(date);
    it(`are those of a walk by minutes: ${expression} in ${timezone}, ${date}`, () => {
      const first = Date.parse(`${date}T00:00:00Z`) / minuteMs - 1_440;
      const end = first + days * 1_440;
      const walk = (text: string) => {
        const task = createTask(text, () => undefined, { timezone });
        const named = new Set<number>();
        for (let minute = first; minute < end; minute += 1) {
          if (task.match(new Date(minute * minuteMs))) named.add(minute);
        }
        void task.destroy();
        return named;
      };
      const calendar = calendarOf(expression);
      const difference = new Difference(calendar, calendarOf(other));
      const all = walk(expression);
      const rest = all.difference(walk(other));
      for (const [wanted, found] of [
        [all, calendar],
        [rest, difference],
      ] as const) {
        const forward: number[] = [];
        let at = nextMinute(found, timezone, first - 1);
        while (at !== null && at < end && forward.length <= wanted.size) {
          forward.push(at);
          at = nextMinute(found, timezone, at);
        }
        expect(forward).to.deep.equal([...wanted]);
      }
      const backward: number[] = [];
      let at = lastMinute(calendar, timezone, end - 1);
      while (at !== null && at >= first && backward.length <= all.size) {
        backward.push(at);
        at = lastMinute(calendar, timezone, at - 1);
      }
      expect(backward).to.deep.equal([...all].reverse());
    });
  }
});
