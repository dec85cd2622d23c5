/** Heads of answers in the form that `node:http2` sends. */
import type { ServerHttp2Stream } from "node:http2";
import { allowedMethods, errorAnswer } from "../../message/answers.ts";
import type { Refusal } from "../../message/grammar.ts";
import { appendFields } from "../../message/http2-fields.ts";
import type { ResponseHead } from "../../message/response-head.ts";

/**
 * Returns names and values alternately. `dateLine`: for an answer that has no date. `hasBody`: whether it may have a
 * body.
 */
export function answerFields(head: ResponseHead, dateLine: string, hasBody: boolean): string[] {
  const fields = [":status", String(head.status)];
  if (!head.hasDate) fields.push("date", dateValue(dateLine));
  appendFields(fields, head.fields.toString());
  if (hasBody && !head.isStreamed && head.contentLength !== -1) {
    fields.push("content-length", String(head.contentLength));
  }
  return fields;
}

/**
 * Sends the whole answer to a request that never became an exchange; without a body for HEAD (RFC 9110 section
 * 9.3.2).
 */
export function sendRefusal(
  stream: ServerHttp2Stream,
  { status, code, message }: Refusal,
  dateLine: string,
  isHead: boolean,
): void {
  const { headers, body = "" } = errorAnswer(status, code, message, undefined);
  const fields = {
    ":status": status,
    date: dateValue(dateLine),
    ...(status === 405 ? { allow: allowedMethods } : {}),
    ...headers,
    "content-length": body.length,
  };
  stream.respond(fields, { endStream: isHead });
  if (!isHead) stream.end(body);
}

function dateValue(line: string): string {
  return line.slice("Date: ".length, -2);
}
