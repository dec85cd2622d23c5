/** How a share grows by time, as a document has it: in a straight line, in equal steps, or with each cron time. */
import * as z from "zod";
import type { Ramp } from "../model/index.ts";

const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})$/;

const moment = z
  .string()
  .refine((text) => isoTime.test(text) && !Number.isNaN(Date.parse(text)), {
    error: (issue) => `${JSON.stringify(issue.input)} is not a time such as 2026-12-01T08:00:00Z`,
  })
  .describe("A time with its offset: 2026-12-01T08:00:00Z.");

export const rampSchema = z.strictObject({
  from: z.int().min(0).max(1000).describe("The share before it begins."),
  start: moment,
  end: moment,
  steps: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe("In so many equal jumps, the last one at the end. Default: in a straight line."),
});

/** @param to the share that it ends with. */
export function readRamp(
  { from, start, end, steps }: z.output<typeof rampSchema>,
  to: number,
  complain: (problem: string) => void,
): Ramp | null {
  const [startMs, endMs] = [Date.parse(start), Date.parse(end)];
  if (startMs >= endMs) complain(".ramp.end: is not after start");
  if (from === to) complain(".ramp.from: is the share itself, so that nothing changes");
  return { from, startMs, endMs, ...(steps === undefined ? {} : { steps }) };
}
