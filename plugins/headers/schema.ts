import * as z from "zod";
import { requestOwned, responseOwned } from "../../gateway/engine/message/fields.ts";
import { isFieldValue, isToken } from "../../gateway/engine/message/grammar.ts";

/** No name twice, in any case: it would be unclear which of the two counts. */
const isUnambiguous = (fields: Readonly<Record<string, string>>) => {
  const names = Object.keys(fields).map((name) => name.toLowerCase());
  return new Set(names).size === names.length;
};

const fieldsOf = (owned: ReadonlySet<string>) => {
  const name = z
    .string()
    .max(256)
    .refine((text) => isToken(text) && !owned.has(text.toLowerCase()), {
      error: (issue) =>
        `${JSON.stringify(issue.input)} is not the name of a field that may be changed: framing and what tells of the client are the gateway's`,
    });
  const value = z
    .string()
    .max(8_192)
    .refine(isFieldValue, { error: "has a character that a field's value cannot have" });
  const values = z
    .record(name, value)
    .refine(isUnambiguous, { error: "has a field twice" })
    .default({});
  return {
    values,
    changes: {
      set: values.describe("Fields that replace all of their name."),
      remove: z.array(name).max(100).default([]).describe("Fields that are taken away."),
    },
  };
};

const ofRequest = fieldsOf(requestOwned);
const ofAnswer = fieldsOf(responseOwned);

export const headersSchema = z
  .strictObject({
    request: z.strictObject(ofRequest.changes).optional().describe("On the way to the peer."),
    response: z
      .strictObject({
        ...ofAnswer.changes,
        add: ofAnswer.values.describe("One more line each, as for a second Set-Cookie."),
      })
      .optional()
      .describe("On the way to the client, of answers that come from a peer."),
  })
  .refine(({ request, response }) => request !== undefined || response !== undefined, {
    error: 'has neither "request" nor "response"',
  });

export type HeadersOptions = z.output<typeof headersSchema>;
