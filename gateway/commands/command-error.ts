/** Why a command cannot do what it was asked, in one line for the operator. */
import type { z } from "zod";

export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** The command was called wrongly, so nothing was tried. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The value of a flag, or a `UsageError` that names the flag. */
export function readFlag<T>(flag: string, schema: z.ZodType<T>, raw: unknown): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  throw new UsageError(`${flag}: ${result.error.issues[0]?.message ?? "is not valid"}`);
}
