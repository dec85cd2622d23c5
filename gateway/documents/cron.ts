/** Whether a cron expression or a time zone from an operator can be used; if not, says why in one line. */
import { validateDetailed } from "node-cron";

/** The library expands every range before it checks how many numbers there are. */
const maxLength = 256;
const longNumber = /\d{3}/;

/** What is wrong with an expression; `null` when nothing is. */
export function cronFault(text: string): string | null {
  if (text.length > maxLength) return `is above ${maxLength} characters`;
  if (longNumber.test(text)) return "no field has numbers of three digits";
  const { valid, errors } = validateDetailed(text);
  return valid ? null : (errors[0]?.message ?? "is no cron expression");
}

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
