/** Numbers and names on a benchmark's command line. */
import { InvalidArgumentError } from "commander";

/** Some of the parts of a benchmark, with commas between them. */
export function partsOf(all: readonly string[]): (text: string) => readonly string[] {
  return (text) => {
    const parts = text.split(",");
    const unknown = parts.find((part) => !all.includes(part));
    if (unknown !== undefined) throw new InvalidArgumentError(`one or more of ${all.join(",")}`);
    return parts;
  };
}

export function positive(text: string): number {
  const value = natural(text);
  if (value < 1) throw new InvalidArgumentError("a number above 0");
  return value;
}

/** 0 too. */
export function natural(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError("a whole number");
  return value;
}
