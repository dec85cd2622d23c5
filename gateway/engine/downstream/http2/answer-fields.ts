/** Heads and trailers of answers in the form in which node:http2 sends them. */
import type { ServerHttp2Stream } from "node:http2";
import { allowedMethods, errorAnswer } from "../../message/answers.ts";
import type { Refusal } from "../../message/grammar.ts";
import type { ResponseHead } from "../../message/response-head.ts";

/** What an answer may have had on its way here, but HTTP/2 does not have (RFC 9113 section 8.2.2). */
const connectionFields: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** Names and values by turns. `dateLine`: for an answer that has no date; `hasBody`: it may have one. */
export function answerFields(head: ResponseHead, dateLine: string, hasBody: boolean): string[] {
  const fields = [":status", String(head.status)];
  if (!head.hasDate) fields.push("date", dateValue(dateLine));
  eachField(head.fields.toString(), (name, value) => fields.push(name, value));
  if (hasBody && !head.isStreamed && head.contentLength !== -1) {
    fields.push("content-length", String(head.contentLength));
  }
  return fields;
}

/** The whole answer to what never became an exchange. To HEAD it has no body (RFC 9110 section 9.3.2). */
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

/** The same of an interim answer or a trailer, for the calls that take an object. `lines`: with their CR LF. */
export function fieldsObject(lines: string): Record<string, string[]> {
  const fields: Record<string, string[]> = Object.create(null);
  eachField(lines, (name, value) => {
    const values = fields[name];
    if (values === undefined) fields[name] = [value];
    else values.push(value);
  });
  return fields;
}

function dateValue(line: string): string {
  return line.slice("Date: ".length, -2);
}

function eachField(lines: string, take: (name: string, value: string) => void): void {
  for (let line = 0; line < lines.length; ) {
    const colon = lines.indexOf(":", line);
    const end = lines.indexOf("\r\n", colon);
    const name = lines.slice(line, colon).toLowerCase();
    if (!connectionFields.has(name)) take(name, lines.slice(colon + 1, end).trim());
    line = end + 2;
  }
}
