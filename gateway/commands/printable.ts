/**
 * Text as it may be shown on a terminal. Names, reasons and sources come out of Consul, where others than
 * the operator write: none of them may move the cursor, colour what follows, or look like a line of its own.
 */

/** Where a command prints. */
export interface Output {
  /** One line. */
  readonly print: (line: string) => void;
  /** A text with several lines, which a program may need unchanged. */
  readonly printText: (text: string) => void;
}

/** Controls, and marks that show text in another order than it has or not at all. */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** One line: whatever cannot be seen is written as an escape of JavaScript's. */
export function printableLine(text: string): string {
  return text.replaceAll(unprintable, escaped);
}

/** The same of a text with lines of its own, as a source is. */
export function printableText(text: string): string {
  return text.replaceAll(unprintable, (character) =>
    character === "\n" || character === "\t" ? character : escaped(character),
  );
}

function escaped(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  const code = (character.codePointAt(0) ?? 0).toString(16);
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
}
