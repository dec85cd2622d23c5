/** How much a generated suite does: little in every run, much at night. */

/** A whole number from the environment, or `fallback`. Throws when it is something else. */
export function fromEnvironment(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === "") return fallback;
  if (!/^[0-9]{1,10}$/.test(text)) throw new Error(`${name}: ${JSON.stringify(text)} is no number`);
  return Number(text);
}

/** The seed of the generators: another one finds other cases. Default 1. */
export function seedOf(): number {
  return fromEnvironment("FUZZ_SEED", 1);
}
