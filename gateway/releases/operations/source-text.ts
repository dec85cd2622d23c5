/** The text of a source as operators write it, out of a file or a request; Consul gets JavaScript. */
import { stripTypeScriptTypes } from "node:module";
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

/**
 * JavaScript of TypeScript whose types can be erased; lines and columns stay as they are.
 * @throws SourceRefused
 */
export function eraseTypes(subject: Subject, text: string): string {
  const warn = process.emitWarning;
  try {
    // Node says once that this function is experimental: nothing that an operator can act on. It runs
    // to its end before anything else may warn.
    process.emitWarning = () => {};
    return stripTypeScriptTypes(text);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // Node shows the place in the stack's first lines and nowhere else.
    const [, line = "0", arrow = ""] =
      /^[^\n]*:(\d+)\n[^\n]*\n?[^\n]*\n( *)\^/.exec(error.stack ?? "") ?? [];
    const said = error.message.replace(/\s+/g, " ").trim();
    const message = `not TypeScript whose types can be erased: ${said}`;
    const column = line === "0" ? 0 : arrow.length + 1;
    throw new SourceRefused({ key: subject, line: Number(line), column, message });
  } finally {
    process.emitWarning = warn;
  }
}
