/** The text of a source as operators write it, out of a file or a request. */

import type { Subject } from "../records/keys.ts";
import { SourceRefused } from "./errors.ts";

/**
 * The text of these bytes, without a byte order mark.
 * @throws SourceRefused when they are not UTF-8, or nothing but white space.
 */
export function sourceText(subject: Subject, bytes: Uint8Array): string {
  const refuse = (message: string) =>
    new SourceRefused({ key: subject, line: 0, column: 0, message });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw refuse("it is not UTF-8");
  }
  if (text.trim() === "") throw refuse("it is empty");
  return text;
}
