/** The heads and bodies of answers that the gateway gives by itself. */
import type { Answer } from "./engine.ts";
import { isFieldValue, isToken } from "./grammar.ts";
import { reasonPhrase } from "./reason-phrases.ts";

const owned = new Set([
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

/** The status line after the version, its CR LF included. */
export function statusLine(status: number): string {
  return `${status} ${reasonPhrase(status)}\r\n`;
}

/**
 * An error's answer: JSON when `accept` names `application/json`, plain text otherwise.
 * Both carry the status, the code and the message.
 */
export function errorAnswer(
  status: number,
  code: string,
  message: string,
  accept: string | undefined,
): Answer {
  if (accept !== undefined && /\bapplication\/json\b/i.test(accept)) {
    const body = `${JSON.stringify({ status, error: code, message })}\n`;
    return { status, headers: { "content-type": "application/json" }, body };
  }
  return {
    status,
    headers: { "content-type": "text/plain; charset=utf-8" },
    body: `${status} ${code}: ${message}\n`,
  };
}

/**
 * The field lines of an answer without framing, each with its CR LF. Throws a `TypeError` that names
 * the header when a name or value breaks the grammar, or when the header is the engine's own.
 */
export function answerFields(answer: Answer): string {
  let out = "";
  for (const [name, values] of Object.entries(answer.headers ?? {})) {
    if (!isToken(name)) throw new TypeError(`header ${JSON.stringify(name)}: not a header name`);
    if (owned.has(name.toLowerCase()))
      throw new TypeError(`header ${name}: the gateway sets it itself`);
    for (const value of typeof values === "string" ? [values] : values) {
      if (!isFieldValue(value))
        throw new TypeError(`header ${name}: the value has a forbidden character`);
      out += `${name}: ${value}\r\n`;
    }
  }
  return out;
}
