/** `sluice resync`: tells a running gateway that what Consul has now is right, and so what it holds may go. */
import * as z from "zod";
import { loadSettings } from "../settings.ts";
import { AdminClient, jsonIn, refusalOf } from "./admin-client.ts";
import type { Output } from "./printable.ts";

const released = z.object({ released: z.number() });

export async function runResync(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  { print, printText }: Output,
): Promise<number> {
  const client = await AdminClient.create(await loadSettings(flags, env), env);
  const { status, body } = await client.write("POST", "/resync");
  const answer = jsonIn(body);
  const done = released.safeParse(answer);
  if (status === 200 && done.success) {
    const { released: count } = done.data;
    if (flags.json === true) printText(body.trimEnd());
    else print(count === 1 ? "let go of 1 entry" : `let go of ${count} entries`);
    return 0;
  }
  throw refusalOf(status, answer);
}
