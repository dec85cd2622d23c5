/**
 * The conditions that a route or a share sets for a request: method, headers, cookies, query, client. Reads them into
 * plain data.
 */
import * as z from "zod";
import { isAddressBlock } from "../engine/message/address-blocks.ts";
import { isToken } from "../engine/message/grammar.ts";
import type { Conditions, TextTest, ValueCondition } from "../model/index.ts";

export const fieldName = z
  .string()
  .max(256)
  .refine(isToken, { error: "is not a name that a field can have" });

/** A text that no header, cookie or query can contain would never match. */
const text = z
  .string()
  .max(4_096)
  .regex(/^[^\p{Cc}]*$/u, { error: "has a control character, which no request has there" });
const nonEmpty = text.min(1);
const texts = z.array(text).min(1).max(50);

const valueTest = z
  .union(
    [
      text,
      texts,
      z.boolean(),
      z.strictObject({ prefix: nonEmpty }),
      z.strictObject({ suffix: nonEmpty }),
      z.strictObject({ contains: nonEmpty }),
      z.strictObject({
        not: z.union(
          [
            text,
            texts,
            z.strictObject({ prefix: nonEmpty }),
            z.strictObject({ suffix: nonEmpty }),
            z.strictObject({ contains: nonEmpty }),
          ],
          { error: 'is not a text, a list of texts, {"prefix"}, {"suffix"} or {"contains"}' },
        ),
      }),
    ],
    {
      error:
        'is not a text, a list of texts, true, false, {"prefix"}, {"suffix"}, {"contains"} or {"not"}',
    },
  )
  .describe(
    "A text, a list of texts of which one must match, true for any value, false for none, or a test of a part.",
  );

const method = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$/, { error: "is not a method in upper case" })
  .describe("In upper case, as in requests.");

const block = z.string().refine(isAddressBlock, {
  error: (issue) => `${JSON.stringify(issue.input)} is not an address or a CIDR block`,
});

/** The fields of a condition, for `strictObject`. */
export const conditionFields = {
  method: z
    .union([method, z.array(method).min(1).max(50)], { error: "is not a method or a list of them" })
    .optional()
    .describe("The method, or one of them."),
  headers: z
    .record(fieldName, valueTest)
    .optional()
    .describe("By field name: what its first value must be."),
  cookies: z
    .record(fieldName, valueTest)
    .optional()
    .describe("By cookie name: what its first value must be."),
  query: z
    .record(nonEmpty.max(256), valueTest)
    .optional()
    .describe("By parameter: what its first value must be, decoded."),
  client_address: z
    .union([block, z.array(block).min(1).max(1_000)], {
      error: "is not an address, a CIDR block or a list of them",
    })
    .optional()
    .describe("The client's address must be this one, or in one of these blocks."),
};

/** Conditions alone; at least one. */
export const conditionsSchema = z
  .strictObject(conditionFields)
  .refine((given) => Object.values(given).some((one) => one !== undefined), {
    error: "asks nothing of a request",
  });

type Written = z.output<typeof conditionsSchema>;

export function readConditions(written: Written): Conditions {
  const { method: methods, client_address: clients } = written;
  const values = [
    ...readValues("header", written.headers),
    ...readValues("cookie", written.cookies),
    ...readValues("query", written.query),
  ];
  return {
    ...(methods === undefined ? {} : { methods: [methods].flat() }),
    ...(values.length === 0 ? {} : { values }),
    ...(clients === undefined ? {} : { clients: [clients].flat() }),
  };
}

/** How many tests these conditions cost a request at most. */
export function costOf({ methods, values = [], clients }: Conditions): number {
  const ofValues = values.reduce(
    (sum, { test }) => sum + ("is" in test ? Math.ceil(test.is.length / 10) : 1),
    0,
  );
  return 1 + ofValues + (methods === undefined ? 0 : 1) + (clients === undefined ? 0 : 4);
}

function readValues(
  place: ValueCondition["in"],
  tests: Readonly<Record<string, z.output<typeof valueTest>>> = {},
): readonly ValueCondition[] {
  return Object.entries(tests).map(([written, test]) => {
    const name = place === "header" ? written.toLowerCase() : latin1(written);
    if (typeof test === "object" && "not" in test)
      return { in: place, name, test: readTest(test.not), negated: true };
    return { in: place, name, test: readTest(test) };
  });
}

function readTest(test: Exclude<z.output<typeof valueTest>, { not: unknown }>): TextTest {
  if (typeof test === "boolean") return { present: test };
  if (typeof test === "string") return { is: [latin1(test)] };
  if (Array.isArray(test)) return { is: [...new Set(test.map(latin1))] };
  if ("prefix" in test) return { prefix: latin1(test.prefix) };
  if ("suffix" in test) return { suffix: latin1(test.suffix) };
  return { contains: latin1(test.contains) };
}

/** Turns a text into latin1, as a request's bytes are read: one character for each byte. */
function latin1(value: string): string {
  return Buffer.from(value).toString("latin1");
}
