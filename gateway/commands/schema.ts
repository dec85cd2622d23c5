/** `sluice schema KIND`: the JSON Schema of a document in Consul, for editors. Asks nobody. */
import { documentSchemas } from "../documents/index.ts";
import { UsageError } from "./command-error.ts";
import type { Output } from "./printable.ts";

export async function showSchema(kind: string, { printText }: Output): Promise<number> {
  const schemas = new Map(Object.entries(documentSchemas()));
  const schema = schemas.get(kind);
  if (schema === undefined) {
    throw new UsageError(`${kind} has no schema; these have: ${[...schemas.keys()].join(", ")}`);
  }
  printText(JSON.stringify(schema, null, 2));
  return 0;
}
