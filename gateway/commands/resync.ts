/** `sluice resync`: tells a running gateway that what Consul has now is right, and so what it holds may go. */
import * as z from "zod";
import { loadSettings } from "../settings.ts";
import { AdminClient } from "./admin-client.ts";
import { CommandError } from "./command-error.ts";
import type { Output } from "./printable.ts";

const released = z.object({ released: z.number() });
const refused = z.object({ message: z.string() });

export async function runResync(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  { print, printText }: Output,
): Promise<number> {
  const client = await AdminClient.create(await loadSettings(flags, env), env);
  const { status, body } = await client.write("POST", "/resync");
  const answer = parsed(body);
  const done = released.safeParse(answer);
  if (status === 200 && done.success) {
    const { released: count } = done.data;
    if (flags.json === true) printText(body.trimEnd());
    else print(count === 1 ? "let go of 1 entry" : `let go of ${count} entries`);
    return 0;
  }
  const why = refused.safeParse(answer).data?.message ?? "what answers is no gateway";
  throw new CommandError(`the gateway answers ${status}: ${why}`);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    // The caller says what answered instead.
    return null;
  }
}
