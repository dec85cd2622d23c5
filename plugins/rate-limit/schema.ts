import * as z from "zod";
import { isToken } from "../../gateway/engine/message/grammar.ts";

/** Seconds in each of the words for a period. */
const periods = { second: 1, minute: 60, hour: 3_600 } as const;

export const rateLimitSchema = z
  .strictObject({
    rate: z.int().min(1).max(1_000_000).describe("Requests in a period, over a long time."),
    per: z.enum(["second", "minute", "hour"]).default("second").describe("The period."),
    burst: z
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .describe(
        "Requests that may come at once after a pause. Default: as many as in a second, at least 1.",
      ),
    by: z
      .union(
        [
          z.enum(["client", "host"]),
          z.strictObject({
            header: z
              .string()
              .max(256)
              .refine(isToken, { error: "is not the name of a header field" })
              .transform((name) => name.toLowerCase()),
          }),
        ],
        { error: 'is not "client", "host" or {"header": NAME}' },
      )
      .default("client")
      .describe("What requests are counted by. An IPv6 client is its /64."),
  })
  .transform(({ rate, per, burst, by }) => {
    const perSecond = rate / periods[per];
    return { perSecond, burst: burst ?? Math.max(1, Math.ceil(perSecond)), by };
  });

export type RateLimitOptions = z.output<typeof rateLimitSchema>;
