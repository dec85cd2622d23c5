/** The heads and bodies of the answers that the gateway itself gives. */
import type { Answer } from "../engine.ts";
import { isFieldValue, isToken, type Refusal } from "./grammar.ts";
import { reasonPhrase } from "./reason-phrases.ts";

/** What a 405 must name (RFC 9110 section 15.5.6): the gateway passes on every method except CONNECT. */
export const allowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

/** Fields that no answer may be given: the engine writes them. */
export const answerOwned: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

/** Refuses a path with an encoded slash where something decides by the path. */
export const encodedSlash: Refusal = {
  status: 400,
  code: "encoded_slash",
  message: "%2F, %5C and \\ are not allowed in paths of this host",
};

/** Refuses a request whose body is longer than allowed. */
export function bodyTooLarge(maxBodyBytes: number): Refusal {
  const message = `the request body is longer than ${maxBodyBytes} bytes`;
  return { status: 413, code: "body_too_large", message };
}

/** Returns the status line after the version, with its CR LF. */
export function statusLine(status: number): string {
  return `${status} ${reasonPhrase(status)}\r\n`;
}

/** An answer whose body is latin1 text and whose fields have one value each. */
interface PlainAnswer extends Answer {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * The answer for an error: JSON when `accept` names `application/json`, plain text otherwise. Both carry the status,
 * the code and the message. `more`: further fields.
 */
export function errorAnswer(
  status: number,
  code: string,
  message: string,
  accept: string | undefined,
  more: Readonly<Record<string, string>> = {},
): PlainAnswer {
  if (accept !== undefined && /\bapplication\/json\b/i.test(accept)) {
    const body = `${JSON.stringify({ status, error: code, message })}\n`;
    return { status, headers: { "content-type": "application/json", ...more }, body };
  }
  return {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...more },
    body: `${status} ${code}: ${message}\n`,
  };
}

/**
 * Returns an answer's field lines without framing, each with its CR LF. Throws a `TypeError` that names the header
 * when a name or value breaks the grammar, or when the header belongs to the engine.
 */
export function answerFields(answer: Answer): string {
  let out = "";
  for (const [name, values] of Object.entries(answer.headers ?? {})) {
    if (!isToken(name)) throw new TypeError(`header ${JSON.stringify(name)}: not a header name`);
    if (answerOwned.has(name.toLowerCase()))
      throw new TypeError(`header ${name}: the gateway sets it itself`);
    for (const value of typeof values === "string" ? [values] : values) {
      if (!isFieldValue(value))
        throw new TypeError(`header ${name}: the value has a forbidden character`);
      out += `${name}: ${value}\r\n`;
    }
  }
  return out;
}

/** Returns an answer's content. A 205 has none, whatever it was given (RFC 9110 section 15.3.6). */
export function contentOf(answer: Answer): string | Buffer {
  return answer.status === 205 ? "" : (answer.body ?? "");
}

/** The whole answer to a request that never became an exchange; without a body for HEAD (RFC 9110 section 9.3.2). */
export function refusalText(refusal: Refusal, dateLine: string, isHead: boolean): string {
  const answer = errorAnswer(refusal.status, refusal.code, refusal.message, undefined);
  const body = answer.body ?? "";
  const allow = refusal.status === 405 ? `Allow: ${allowedMethods}\r\n` : "";
  return `HTTP/1.1 ${statusLine(refusal.status)}${dateLine}${allow}${answerFields(answer)}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${isHead ? "" : body}`;
}
