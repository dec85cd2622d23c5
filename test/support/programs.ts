/** Where the programs are that tests run beside Sluice. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** The first in `PATH`, then in `further` directories; `null` when it is in none. */
export function findProgram(name: string, further: readonly string[] = []): string | null {
  const directories = (process.env.PATH ?? "").split(delimiter).filter((entry) => entry !== "");
  return [...directories, ...further].map((entry) => join(entry, name)).find(isExecutable) ?? null;
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
