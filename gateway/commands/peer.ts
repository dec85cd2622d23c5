/** `sluice upstream drain`, `enable` and `weight`: what an operator does by hand with one peer, by way of a gateway. */
import * as z from "zod";
import { loadSettings } from "../settings.ts";
import { AdminClient, jsonIn } from "./admin-client.ts";
import { CommandError, UsageError } from "./command-error.ts";
import type { Output } from "./printable.ts";

export type PeerVerb = "drain" | "enable" | "weight";

const answer = z.object({
  status: z.number(),
  message: z.string().optional(),
  msg: z.string().optional(),
  name: z.string().optional(),
  drained: z.boolean().optional(),
  weight: z.number().nullable().optional(),
});

/** @param weight of `weight`: a number, or `own`. */
export async function setPeer(
  verb: PeerVerb,
  [name = "", peer = "", weight = ""]: readonly string[],
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  { print, printText }: Output,
): Promise<number> {
  const client = await AdminClient.create(await loadSettings(flags, env), env);
  const [where, who] = [encodeURIComponent(name), encodeURIComponent(peer)];
  const path = `/upstream/${where}/peer/${who}/${verb}`;
  const body = verb === "weight" ? JSON.stringify({ weight: weightOf(weight) }) : "";
  const by = typeof flags.by === "string" ? flags.by : null;
  const { status, body: text } = await client.write("POST", path, { body, by });
  const read = answer.safeParse(jsonIn(text));
  if (!read.success) throw new CommandError("what answers is no gateway");
  const { message = "it does not say why", msg, drained, weight: set } = read.data;
  if (status !== 200 && status !== 202)
    throw new CommandError(`the gateway answers ${status}: ${message}`);
  if (flags.json === true) printText(text.trimEnd());
  else {
    const is = drained === true ? "drained" : "enabled";
    const weighs = typeof set === "number" ? `, weight ${set} by hand` : "";
    print(`${read.data.name ?? name}: ${peer} is ${is}${weighs}`);
    if (msg !== undefined) print(msg);
  }
  return 0;
}

function weightOf(text: string): number | null {
  if (text === "own") return null;
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new UsageError(`${JSON.stringify(text)} is no weight: a number from 1 to 1000, or own`);
}
