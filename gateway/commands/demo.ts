/** `sluice demo`: everything on one machine, to be tried with curl. */
import { runDemo } from "../demo/index.ts";
import { createLogger } from "../observability/logger.ts";
import { address } from "../settings-values.ts";
import { readFlag } from "./command-error.ts";

export async function demo(
  flags: Readonly<Record<string, unknown>>,
  print: (line: string) => void,
): Promise<number> {
  await runDemo({
    http: readFlag("--http", address(), flags.http),
    internal: readFlag("--internal", address(), flags.internal),
    admin: readFlag("--admin", address(), flags.admin),
    agent: readFlag("--agent", address(), flags.agent),
    // The parts write logs; the demo itself speaks to a person.
    log: createLogger({ name: "sluice-demo", level: "error" }),
    print,
  });
  return 0;
}
