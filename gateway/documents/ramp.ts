/**
 * Reads how a share grows with time: in a straight line, in equal steps, or at each time that a cron expression
 * names.
 */
import * as z from "zod";
import type { Ramp } from "../model/index.ts";
import { cronFault, isTimeZone } from "./cron.ts";
import { calendarOf, nextMinute } from "./moments.ts";

const minuteMs = 60_000;
/**
 * How many cron times all ramps in a document may have together. Each is computed when the document is read, at up to
 * a millisecond, so that nothing has to compute calendars later.
 */
export const mostCronTimes = 200;

const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})$/;

const moment = z
  .string()
  .refine((text) => isoTime.test(text) && !Number.isNaN(Date.parse(text)), {
    error: (issue) => `${JSON.stringify(issue.input)} is not a time such as 2026-12-01T08:00:00Z`,
  })
  .describe("A time with its offset: 2026-12-01T08:00:00Z.");

const from = z.int().min(0).max(1000).describe("The share before it begins.");

const cron = z.string().superRefine((text, context) => {
  const fault = cronFault(text);
  if (fault !== null) context.addIssue({ code: "custom", message: fault });
});

export const rampSchema = z.union(
  [
    z.strictObject({
      from,
      start: moment,
      end: moment,
      steps: z
        .int()
        .min(1)
        .max(1000)
        .optional()
        .describe(
          "It grows in so many equal jumps, the last at the end. Default: in a straight line.",
        ),
    }),
    z.strictObject({
      from,
      start: moment,
      every: cron.describe("A cron expression for the times when it grows, from start on."),
      by: z.int().min(1).max(1000).describe("By how much it grows each time."),
      timezone: z
        .string()
        .max(64)
        .refine(isTimeZone, {
          error: (issue) => `there is no time zone ${JSON.stringify(issue.input)}`,
        })
        .default("UTC"),
    }),
  ],
  { error: 'is not {"from", "start", "end"} or {"from", "start", "every", "by"}' },
);

type Written = z.output<typeof rampSchema>;

/**
 * @param to the share that the ramp ends with.
 * @param cronTimesLeft how many cron times the document may still have.
 */
export function readRamp(
  written: Written,
  to: number,
  cronTimesLeft: number,
  complain: (problem: string) => void,
): Ramp | null {
  const { from } = written;
  const startMs = Date.parse(written.start);
  if (from === to) complain(".ramp.from: is the share itself, so that nothing changes");
  if ("every" in written) return readCronRamp(written, to, startMs, cronTimesLeft, complain);
  const { end, steps } = written;
  const endMs = Date.parse(end);
  if (startMs >= endMs) complain(".ramp.end: is not after start");
  return { from, startMs, endMs, ...(steps === undefined ? {} : { steps }) };
}

function readCronRamp(
  { from, every, by, timezone }: Extract<Written, { every: string }>,
  to: number,
  startMs: number,
  cronTimesLeft: number,
  complain: (problem: string) => void,
): Ramp | null {
  const count = Math.ceil(Math.abs(to - from) / by);
  if (count > cronTimesLeft) {
    complain(
      `.ramp.by: it takes ${count} times; all ramps of a document may have ${mostCronTimes}`,
    );
    return null;
  }
  const calendar = calendarOf(every);
  const atMs: number[] = [];
  // The minute of the start itself counts too.
  let minute = Math.ceil(startMs / minuteMs) - 1;
  while (atMs.length < count) {
    const next = nextMinute(calendar, timezone, minute);
    if (next === null) {
      complain(`.ramp.every: there are only ${atMs.length} such times, and it takes ${count}`);
      return null;
    }
    atMs.push(next * minuteMs);
    minute = next;
  }
  return { from, by: to > from ? by : -by, atMs };
}
