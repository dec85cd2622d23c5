/** The tests of a host document: requests, and where it must send them. Reads them; others run them. */
import { isIP } from "node:net";
import * as z from "zod";
import type { RouteOutcome, RouteTest } from "../model/index.ts";

const method = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/;
/** A path with or without a query: a slash and then printable ASCII (RFC 9112 section 3.2). */
const requestTarget = /^\/[\x21-\x7e]{0,8191}$/;

const requestLine = z
  .string()
  .refine(isRequestLine, {
    error: (issue) =>
      `${JSON.stringify(issue.input)} is not a method, a space and a path, such as "GET /api"`,
  })
  .describe('A method and a path: "GET /api/x".');

/** As an upstream's name, or as a side of a split is called. */
const sideName = z
  .string()
  .min(1)
  .max(1_100)
  .describe("An upstream or, in a split with tags or metadata, a side.");

const test = z.strictObject({
  name: z.string().min(1).max(200).optional().describe("The name that is shown when it fails."),
  request: z.union(
    [
      requestLine,
      z.strictObject({
        method: z.string().regex(method, { error: "is not a method" }).default("GET"),
        path: z.string().regex(requestTarget, { error: "is not a path" }),
        headers: z
          .record(
            z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/),
            z
              .string()
              .max(8_192)
              .regex(/^[^\p{Cc}]*$/u, { error: "has a control character" }),
          )
          .optional(),
        client_address: z
          .string()
          .refine((text) => isIP(text) !== 0, { error: "is not an IP address" })
          .optional(),
      }),
    ],
    { error: 'is not "GET /path" or {"method": ..., "path": ...}' },
  ),
  expect: z.union(
    [
      z.strictObject({ upstream: sideName }).describe("All such requests go to this one."),
      z.strictObject({ split: z.record(sideName, z.int().min(1).max(1000)) }),
      z.strictObject({
        status: z.int().min(400).max(599).describe("Such requests are refused with this status."),
        code: z.string().max(64).optional().describe('The code of the refusal: "no_route".'),
      }),
    ],
    { error: 'is not {"upstream": ...}, {"split": {...}} or {"status": ...}' },
  ),
});

export const testsSchema = z
  .array(test)
  .max(200)
  .optional()
  .describe("Requests and where this document must send them. Run before it goes live.");

function isRequestLine(text: string): boolean {
  const [first = "", second = "", ...more] = text.split(" ");
  return method.test(first) && requestTarget.test(second) && more.length === 0;
}

export function readTest(
  { name, request, expect }: z.output<typeof test>,
  index: number,
): RouteTest {
  const asked = typeof request === "string" ? fromLine(request) : request;
  const { method, path: target, headers = {}, client_address: clientAddress } = asked;
  const lower = Object.entries(headers).map(
    ([field, value]) => [field.toLowerCase(), Buffer.from(value).toString("latin1")] as const,
  );
  return {
    name: `tests[${index}] (${name ?? `${method} ${target}`})`,
    method,
    target,
    headers: Object.fromEntries(lower),
    clientAddress: clientAddress ?? "127.0.0.1",
    expect: readOutcome(expect),
  };
}

function fromLine(line: string) {
  const [method = "", path = ""] = line.split(" ");
  return { method, path, headers: {}, client_address: undefined };
}

function readOutcome(expect: z.output<typeof test>["expect"]): RouteOutcome {
  if (!("status" in expect)) return expect;
  const { status, code } = expect;
  return code === undefined ? { status } : { status, code };
}
