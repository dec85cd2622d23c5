/** The fields in an upstream document that name fixed servers, in Slardar's format: one level, or several. */
import { isIP } from "node:net";
import * as z from "zod";
import { isHost } from "../engine/message/authority.ts";
import type { Level, Server } from "../model/index.ts";
import { seconds, toMs } from "./amounts.ts";
import { maxConnsField } from "./bound-fields.ts";
import { isDnsName } from "./entry-name.ts";

/** A text with only digits and dots must be an IPv4 address: `10.0.0.256` is not a name. */
export function isServerHost(host: string): boolean {
  if (isIP(host) !== 0) return true;
  return isHost(host) && isDnsName(host.replace(/\.$/, "")) && !/^[\d.]+$/.test(host);
}

/** Of a field that is read for the sake of documents that were written for Slardar. */
export const withoutEffect = "Accepted as Slardar does; has no effect here, and gives a warning.";
export const maxFails = z.int().min(0).max(1_000_000);
/** Slardar reads `try` and ports by Lua's rules, by which a number may stand in quotes. */
const quotedDigits = z.string().regex(/^\d{1,5}$/, { error: "is not a number" });
export const tries = z.union([z.int().min(1).max(100), quotedDigits], {
  error: "is not a whole number",
});

const server = z.strictObject({
  host: z
    .string()
    .refine(isServerHost, {
      error: (issue) => `${JSON.stringify(issue.input)} is not an IP address or a host name`,
    })
    .describe("An IP address or a name that the resolver knows."),
  port: z
    .union([z.int().min(1).max(65_535), quotedDigits], { error: "is not a port" })
    .describe("1 to 65535."),
  weight: z.int().min(1).max(1000).default(1).describe("Share of the requests. Default 1."),
  max_fails: maxFails
    .default(1)
    .describe("Failures within fail_timeout that take the server out; 0 never does. Default 1."),
  fail_timeout: seconds.default(10).describe("Seconds; also how long it stays out. Default 10."),
  down: z.boolean().optional().describe("True: never picked."),
  backup: z
    .boolean()
    .optional()
    .describe("True: picked when no other server of its level is available."),
  zone: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("Its zone: gateways pick servers in their own --zone first."),
  slow_start: seconds
    .optional()
    .describe("Seconds in which its share grows after it is new or well again."),
  max_conns: maxConnsField,
});

const servers = z.array(server).min(1);

const level = z.strictObject({
  servers,
  try: tries.optional().describe(withoutEffect),
  try_timeout: seconds.optional().describe(withoutEffect),
  keepalive: z.unknown().optional().describe(withoutEffect),
});

export const serverFields = {
  servers: servers.optional().describe("Fixed servers, one level."),
  cluster: z
    .union([z.array(level).min(1), z.record(z.string(), level)], {
      error: "is not a list of levels",
    })
    .optional()
    .describe("Levels of servers; a later one is used when no earlier server is available."),
} as const;

type Written = z.output<z.ZodObject<typeof serverFields>> & {
  readonly slow_start?: number | undefined;
  readonly max_conns?: number | undefined;
};

/** The levels in the order in which they are used; none where the document names no servers. */
export function readLevels(document: Written, problems: string[]): readonly Level[] {
  const { slow_start: slow = 0, max_conns: most } = document;
  if (document.servers !== undefined)
    return readServers("servers", document.servers, slow, most, problems);
  const levels = Object.entries(document.cluster ?? {}).flatMap(([name, one]) => {
    const field = `cluster[${Array.isArray(document.cluster) ? name : JSON.stringify(name)}]`;
    return readServers(`${field}.servers`, one.servers, slow, most, problems);
  });
  if (document.cluster !== undefined && levels.length === 0) problems.push("cluster: is empty");
  return levels;
}

/**
 * Returns one level, followed by a level with its backup servers if it has any. `slow` and `most` apply to servers
 * that do not set their own.
 */
function readServers(
  field: string,
  list: readonly z.output<typeof server>[],
  slow: number,
  most: number | undefined,
  problems: string[],
): readonly Level[] {
  const read = list.map((one, at) => {
    const slowStartMs = toMs(one.slow_start ?? slow);
    const maxConns = one.max_conns ?? most;
    const server: Server = {
      host: one.host,
      port: readNumber(`${field}[${at}].port`, one.port, 65_535, problems),
      weight: one.weight,
      maxFails: one.max_fails,
      failTimeoutMs: toMs(one.fail_timeout),
      ...(one.down === true ? { down: true } : {}),
      ...(slowStartMs === 0 ? {} : { slowStartMs }),
      ...(maxConns === undefined ? {} : { maxConns }),
      ...(one.zone === undefined ? {} : { zone: one.zone }),
    };
    return { isBackup: one.backup === true, server };
  });
  return [false, true]
    .map((isBackup) => read.filter((one) => one.isBackup === isBackup))
    .filter((some) => some.length > 0)
    .map((some) => ({ servers: some.map(({ server }) => server) }));
}

/** Reads a number that may stand in quotes. It checks the range, because the schema cannot. */
export function readNumber(
  field: string,
  value: number | string,
  max: number,
  problems: string[],
): number {
  const number = Number(value);
  if (number < 1) problems.push(`${field}: ${number} is below 1`);
  if (number > max) problems.push(`${field}: ${number} is above ${max}`);
  return number;
}
