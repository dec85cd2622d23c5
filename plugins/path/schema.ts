import * as z from "zod";
import { hasBadEscape, hasEncodedSlash } from "../../gateway/engine/message/path.ts";

const segments = z
  .string()
  .max(1_024)
  .refine(isPath, {
    error: (issue) =>
      `${JSON.stringify(issue.input)} is not a path of printable characters that begins with / and has no "." or ".." segment`,
  });

export const pathSchema = z
  .strictObject({
    strip: segments
      .optional()
      .describe("Whole segments that are taken away where a path has them."),
    prepend: segments.optional().describe("What is put before the path then."),
  })
  .refine(({ strip, prepend }) => strip !== undefined || prepend !== undefined, {
    error: 'has neither "strip" nor "prepend"',
  });

export type PathOptions = z.output<typeof pathSchema>;

function isPath(text: string): boolean {
  if (!/^\/[\x21-\x7e]*$/.test(text) || /[?#]/.test(text) || hasBadEscape(text)) return false;
  if (hasEncodedSlash(text.toUpperCase())) return false;
  return !text.split("/").some((segment) => /^(\.|%2e){1,2}$/i.test(segment));
}
