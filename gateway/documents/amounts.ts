/** Times and parts as operators write them in several documents: in seconds, and per cent. */
import * as z from "zod";

/** Up to a day; 0 has a meaning of its own in each field. */
export const seconds = z.number().min(0).max(86_400);
/** The same where nothing would work with 0. */
export const someSeconds = z.number().min(0.1).max(86_400);
export const percent = z.number().min(0).max(100);

/** Milliseconds, which the rest of the gateway counts in. */
export function toMs(written: number): number {
  return Math.round(written * 1000);
}
