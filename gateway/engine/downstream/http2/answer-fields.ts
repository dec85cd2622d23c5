/** Heads of answers in HTTP/2's form. */
import { allowedMethods, errorAnswer } from "../../message/answers.ts";
import type { Refusal } from "../../message/grammar.ts";
import { appendFields } from "../../message/http2-fields.ts";
import type { ResponseHead } from "../../message/response-head.ts";

/**
 * Returns names and values alternately. `dateLine`: for an answer that has no date. `hasBody`: whether it may have a
 * body.
 */
export function answerFields(
  head: ResponseHead,
  dateLine: string,
  hasBody: boolean,
  status = head.status,
): string[] {
  const fields = [":status", String(status)];
  if (!head.hasDate) fields.push("date", dateValue(dateLine));
  appendFields(fields, head.fields.toString());
  if (hasBody && !head.isStreamed && head.contentLength !== -1) {
    fields.push("content-length", String(head.contentLength));
  }
  return fields;
}

/** The head of the answer to a request that never became an exchange, and its body. */
export function refusalAnswer(
  { status, code, message }: Refusal,
  dateLine: string,
): { readonly fields: string[]; readonly body: string } {
  const { headers, body } = errorAnswer(status, code, message, undefined);
  const fields = [":status", String(status), "date", dateValue(dateLine)];
  if (status === 405) fields.push("allow", allowedMethods);
  for (const [name, value] of Object.entries(headers)) fields.push(name, value);
  fields.push("content-length", String(body.length));
  return { fields, body };
}

function dateValue(line: string): string {
  return line.slice("Date: ".length, -2);
}
