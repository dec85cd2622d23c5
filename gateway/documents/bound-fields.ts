/** The fields in an upstream document that bound what is sent to it: limits, queue, retries, circuit breaker. */
import * as z from "zod";
import { answerOwned } from "../engine/message/answers.ts";
import { isFieldValue, isToken } from "../engine/message/grammar.ts";
import type {
  BreakerAnswer,
  BreakerOptions,
  GateOptions,
  RetryBudgetOptions,
} from "../model/index.ts";
import { percent, someSeconds, toMs } from "./amounts.ts";

const count = z.int().min(1).max(1_000_000);

/** For a server, or in a document for all instances of its service. */
export const maxConnsField = count
  .optional()
  .describe("Requests at once on one server, from this gateway. Left out: no limit.");

const maxAnswerBytes = 65_536;

const answer = z.strictObject({
  status: z.int().min(400).max(599).default(503).describe("Default 503."),
  headers: z
    .record(
      z
        .string()
        .max(256)
        .refine(isToken, { error: "is not a name that a field can have" })
        .refine((name) => !answerOwned.has(name.toLowerCase()), {
          error: "is a field that the gateway writes itself",
        }),
      z.string().max(4_096).refine(isFieldValue, { error: "is not a value that a field can have" }),
    )
    .default({}),
  body: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= maxAnswerBytes, { error: "is above 64 KiB" })
    .default(""),
});

const breaker = z.strictObject({
  error_percent: percent
    .gt(0)
    .default(50)
    .describe("Per cent of the tries in an interval that have to fail. Default 50."),
  min_requests: count
    .default(20)
    .describe("Tries in an interval, in one worker, before which it never opens. Default 20."),
  interval: someSeconds.default(10).describe("Seconds. Default 10."),
  open: someSeconds.default(5).describe("Seconds in which no request is let through. Default 5."),
  probes: z
    .int()
    .min(1)
    .max(1_000)
    .default(3)
    .describe("Requests that it then lets through, all of which must go well. Default 3."),
  answer: answer
    .optional()
    .describe("The answer meanwhile. Default: 503 breaker_open with Retry-After."),
});

const retryBudget = z.strictObject({
  percent: percent.default(20).describe("Per cent of all recent requests. Default 20."),
  min_per_second: z
    .number()
    .min(0)
    .max(1_000_000)
    .default(10)
    .describe("So many per second always may, in each worker. Default 10."),
});

export const boundFields = {
  max_conns: maxConnsField,
  max_requests: count
    .optional()
    .describe("Requests at once to the whole upstream, from this gateway. Left out: no limit."),
  queue: z
    .int()
    .min(0)
    .max(100_000)
    .optional()
    .describe(
      "Requests that may wait, in each worker, while max_requests or max_conns is reached. Default 0.",
    ),
  queue_timeout: someSeconds.optional().describe("Seconds that they may wait. Default 10."),
  breaker: breaker.optional().describe("The circuit breaker. Left out: there is none."),
  retry_budget: z
    .union([z.literal(false), retryBudget], {
      error: "is not false or an object of percent and min_per_second",
    })
    .optional()
    .describe(
      "How many requests may be sent to a further server. Default 20 per cent and 10 a second; false: only try bounds them.",
    ),
} as const;

type Written = z.output<z.ZodObject<typeof boundFields>>;

export interface Bounds {
  readonly retryBudget?: RetryBudgetOptions | null;
  readonly gate?: GateOptions;
}

/** `limitsServers`: whether `max_conns` is set on a server, or in the document for its instances. */
export function readBounds(document: Written, limitsServers: boolean, problems: string[]): Bounds {
  const { max_requests: maxRequests, queue, queue_timeout: timeout, breaker } = document;
  if (queue !== undefined && maxRequests === undefined && !limitsServers)
    problems.push("queue: goes with max_requests or max_conns");
  if (timeout !== undefined && queue === undefined) problems.push("queue_timeout: goes with queue");
  const { retry_budget: budget } = document;
  const isBounded = maxRequests !== undefined || limitsServers || breaker !== undefined;
  return {
    ...(budget === undefined ? {} : { retryBudget: readBudget(budget) }),
    ...(isBounded
      ? {
          gate: {
            maxRequests: maxRequests ?? 0,
            queue: queue ?? 0,
            queueTimeoutMs: toMs(timeout ?? 10),
            breaker: breaker === undefined ? null : readBreaker(breaker),
          },
        }
      : {}),
  };
}

function readBudget(budget: NonNullable<Written["retry_budget"]>): RetryBudgetOptions | null {
  if (budget === false) return null;
  return { share: budget.percent / 100, minPerSecond: budget.min_per_second };
}

function readBreaker(written: NonNullable<Written["breaker"]>): BreakerOptions {
  return {
    errorRate: written.error_percent / 100,
    minRequests: written.min_requests,
    intervalMs: toMs(written.interval),
    openMs: toMs(written.open),
    probes: written.probes,
    ...(written.answer === undefined ? {} : { answer: readAnswer(written.answer) }),
  };
}

/** Names in lower case, so that a field from the document replaces the gateway's own. */
function readAnswer({ status, headers, body }: z.infer<typeof answer>): BreakerAnswer {
  const fields = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  return { status, headers: Object.fromEntries(fields), body };
}
