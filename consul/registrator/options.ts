/**
 * What an operator can set for the registrator: gliderlabs/registrator's options. This file validates; the
 * command reads argv and the environment.
 */
import { isIP } from "node:net";
import { z } from "zod";
import { TemplateError, tagTemplate } from "./services/tags.ts";
import type { Template } from "./templates/parse.ts";

export interface RegistratorOptions {
  /**
   * Stands first in every service ID, or `null`: the Consul agent's node name. Two registrators on one Consul
   * agent need two hostnames.
   */
  readonly hostname: string | null;
  /** The address of published ports, or `null`: the one that the Consul agent advertises. */
  readonly ip: string | null;
  /** Registers exposed ports at the container's own address instead of published ones at the host's. */
  readonly internal: boolean;
  /** Registers only what has a SERVICE_NAME. */
  readonly explicit: boolean;
  /** Gives tags for every service, separated by commas. */
  readonly tags: Template;
  /** The label that holds a container's address. */
  readonly useIpFromLabel: string | null;
  /** How often Docker's containers are listed and compared; 0: only after an interruption. */
  readonly resyncSeconds: number;
  /** A container that still runs this long after it was told to stop has not heeded it. */
  readonly stopGraceSeconds: number;
  readonly deregister: "always" | "on-success";
  /** Also removes what another registrator left under this hostname, or this one under another hostname. */
  readonly cleanup: boolean;
  /** A TTL check for services without a check of their own; 0: none. */
  readonly ttlSeconds: number;
  readonly ttlRefreshSeconds: number;
  /** How often a Consul that does not answer is asked again at start; -1: without end. */
  readonly retryAttempts: number;
  readonly retryIntervalMs: number;
}

/** The options of a registrator that knows under which names it registers. */
export interface NamedOptions extends RegistratorOptions {
  readonly hostname: string;
  /** The Docker Engine's own ID, which outlives every hostname; empty when it does not say. */
  readonly engine: string;
}

export const hostnameForm = /^[^\s/:]{1,253}$/;

export interface RegistratorFlag {
  /** As commander takes it: `--resync <seconds>`. */
  readonly flags: string;
  /** The key under which commander gives the value, and under which `parse...` reads it. */
  readonly key: string;
  /** The environment variable that stands in for the flag. */
  readonly env: string;
  readonly description: string;
  readonly default?: string | boolean;
}

/** The command's flags. Values are texts (or `true`), as they come from argv and the environment. */
export const registratorFlags: readonly RegistratorFlag[] = [
  flag(
    "--hostname <name>",
    "first part of every service ID (default: the Consul agent's node name)",
  ),
  flag("--ip <address>", "address of published ports (default: the Consul agent's own)"),
  flag("--internal", "register exposed ports at the container's own address", false),
  flag("--explicit", "register only containers with SERVICE_NAME", false),
  flag("--tags <list>", "tags for every service, separated by commas; Go templates"),
  flag("--useIpFromLabel <label>", "take the address from this label of the container"),
  flag("--resync <seconds>", "how often containers are listed and compared, 0 for never", "60"),
  flag("--stop-grace <seconds>", "how long a container may run on that was told to stop", "120"),
  flag("--deregister <mode>", 'deregister exited services "always" or "on-success"', "always"),
  flag("--cleanup", "remove what another registrator or another hostname left here", false),
  flag("--ttl <seconds>", "TTL check for services without a check of their own, 0 for none", "0"),
  flag("--ttl-refresh <seconds>", "how often TTL checks are refreshed", "0"),
  flag("--retry-attempts <number>", "tries to reach Consul at start, -1 for no end", "-1"),
  flag("--retry-interval <milliseconds>", "time between these tries", "2000"),
];

function flag(flags: string, description: string, fallback?: string | boolean): RegistratorFlag {
  const name = flags.split(" ", 1)[0]?.slice(2) ?? "";
  const key = name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const env = `SLUICE_REGISTRATOR_${name
    .replaceAll(/([a-z])([A-Z])/g, "$1_$2")
    .replaceAll("-", "_")
    .toUpperCase()}`;
  return { flags, key, env, description, ...(fallback === undefined ? {} : { default: fallback }) };
}

/** A flag that does not fit; the message names it and says what it takes. */
export class RegistratorOptionError extends Error {
  override readonly name = "RegistratorOptionError";
}

const maxSeconds = 7 * 24 * 3600;

function whole(least: number, most: number, unit: string) {
  const sentence = `takes a whole number of ${unit} from ${least} to ${most}`;
  const digits = z.union([z.number(), z.string().regex(/^-?\d{1,10}$/, sentence)], sentence);
  return digits.transform(Number).pipe(z.int(sentence).min(least, sentence).max(most, sentence));
}

const onOff = z
  .union([z.boolean(), z.enum(["true", "false", "1", "0"])], "takes true or false")
  .transform((value) => value === true || value === "true" || value === "1");

const schema = z.object({
  hostname: z
    .string()
    .regex(hostnameForm, "takes a name without white space, slash or colon")
    .nullable()
    .default(null),
  ip: z
    .string()
    .refine((text) => isIP(text) !== 0, "takes an IP address")
    .nullable()
    .default(null),
  internal: onOff.default(false),
  explicit: onOff.default(false),
  tags: z
    .string()
    .default("")
    .transform((text, context): Template => {
      try {
        return tagTemplate(text);
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        context.addIssue({
          code: "custom",
          message: `takes tags and Go templates: it ${error.message}`,
        });
        return z.NEVER;
      }
    }),
  useIpFromLabel: z.string().min(1, "takes the name of a label").nullable().default(null),
  resync: whole(0, maxSeconds, "seconds").default(60),
  stopGrace: whole(0, maxSeconds, "seconds").default(120),
  deregister: z.enum(["always", "on-success"], 'takes "always" or "on-success"').default("always"),
  cleanup: onOff.default(false),
  ttl: whole(0, maxSeconds, "seconds").default(0),
  ttlRefresh: whole(0, maxSeconds, "seconds").default(0),
  retryAttempts: whole(-1, 1_000_000, "tries").default(-1),
  retryInterval: whole(1, 3_600_000, "milliseconds").default(2000),
});

/**
 * Options from flag values by key; what is missing or `undefined` gets its default. Throws
 * `RegistratorOptionError` for the first value that does not fit.
 */
export function parseRegistratorOptions(
  values: Readonly<Record<string, unknown>> = {},
): RegistratorOptions {
  const ours = Object.fromEntries(registratorFlags.map(({ key }) => [key, values[key]]));
  const result = schema.safeParse(ours);
  if (!result.success) {
    const [issue] = result.error.issues;
    const key = String(issue?.path[0] ?? "");
    throw optionError(key, `${issue?.message ?? "does not fit"}, not ${quoted(values[key])}`);
  }
  const options = result.data;
  if (options.ttl > 0 !== options.ttlRefresh > 0)
    throw optionError("ttl", "and --ttl-refresh are given together or not at all");
  if (options.ttl > 0 && options.ttl <= options.ttlRefresh)
    throw optionError("ttl", "must be greater than --ttl-refresh");
  const { resync, stopGrace, ttl, ttlRefresh, retryInterval, ...rest } = options;
  return {
    ...rest,
    resyncSeconds: resync,
    stopGraceSeconds: stopGrace,
    ttlSeconds: ttl,
    ttlRefreshSeconds: ttlRefresh,
    retryIntervalMs: retryInterval,
  };
}

function optionError(key: string, sentence: string): RegistratorOptionError {
  const entry = registratorFlags.find((candidate) => candidate.key === key);
  return new RegistratorOptionError(`${entry?.flags.split(" ", 1)[0] ?? key} ${sentence}`);
}

function quoted(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
