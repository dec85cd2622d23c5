/**
 * What a script declares about its own life, as data: `onError`, `rollout`, `schedule`, `takeBack`. Checks the
 * shapes only; the primary interprets cron expressions.
 */
import { maxRolloutSteps, maxStepMs } from "../../model/index.ts";

/** `export const rollout`. */
export interface Rollout {
  /** Of the requests, at the start: above 0, at most 100. */
  readonly percent: number;
  /** How long each step lasts, in milliseconds; after the last one the version has all requests. */
  readonly stepsMs: readonly number[];
  /** The header whose value decides, in lower case; `null`: the client's address. */
  readonly by: string | null;
}

/** `export const schedule`: the script is live from a moment that `from` names to one that `to` names. */
export interface Schedule {
  /** Cron expressions of five fields. */
  readonly from: string;
  readonly to: string;
  /** IANA name; `null`: UTC. */
  readonly timezone: string | null;
}

/** How often a version must fail to be taken back. All must be passed. */
export interface Threshold {
  /** Errors in the window. Default 5. */
  readonly minErrors: number;
  /** Errors by calls in the window, 0 to 1. Default 0.01. */
  readonly maxErrorShare: number;
  /** Default 10000. */
  readonly windowMs: number;
  /** Clients whose requests fail; all of its clients, if it has fewer. Default 3. */
  readonly minClients: number;
}

/** `export const takeBack`. */
export interface TakeBackRule extends Threshold {
  /** False for `takeBack = false`. Default true. */
  readonly isOn: boolean;
  /** For how long after it has all requests a version may be taken back. Default an hour. */
  readonly probationMs: number;
  /** Whether to go back even to a version that lets pass the requests on which this one fails. Default false. */
  readonly mayOpen: boolean;
}

export interface Declared {
  /** What happens to a request whose script failed: it is answered with 500, or sent on as it came. */
  readonly onError: "deny" | "skip";
  readonly rollout: Rollout | null;
  readonly schedule: Schedule | null;
  readonly takeBack: TakeBackRule;
  /** Whether it, or a module that it imports, names what can end a request. True where nobody looked. */
  readonly canRefuse: boolean;
}

export const defaultTakeBack: TakeBackRule = {
  minErrors: 5,
  maxErrorShare: 0.01,
  windowMs: 10_000,
  minClients: 3,
  isOn: true,
  probationMs: 3_600_000,
  mayOpen: false,
};
/** The most clients that workers tell apart. */
const maxClients = 16;

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
const duration = /^(\d{1,6})(ms|s|m|h|d)$/;
const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * @param values as they came out of the isolate; `null` for an export that is not there.
 * @throws TypeError that names the field.
 */
export function parseDeclared(values: {
  readonly onError: unknown;
  readonly rollout: unknown;
  readonly schedule: unknown;
  readonly takeBack: unknown;
  readonly canRefuse: boolean;
}): Declared {
  const { onError, canRefuse } = values;
  if (onError !== null && onError !== "deny" && onError !== "skip") {
    throw new TypeError('onError must be "deny" or "skip"');
  }
  return {
    onError: onError ?? "deny",
    rollout: values.rollout === null ? null : parseRollout(values.rollout),
    schedule: values.schedule === null ? null : parseSchedule(values.schedule),
    takeBack: values.takeBack === null ? defaultTakeBack : parseTakeBack(values.takeBack),
    canRefuse,
  };
}

function parseRollout(value: unknown): Rollout {
  const example = '{ percent: 5, steps: ["10m", "10m"], by: "x-user" }';
  const { percent, steps, by } = fields("rollout", value, ["percent", "steps", "by"], example);
  if (typeof percent !== "number" || !(percent > 0 && percent <= 100)) {
    throw new TypeError("rollout.percent must be a number above 0, at most 100");
  }
  if (!Array.isArray(steps) || steps.length === 0 || steps.length > maxRolloutSteps) {
    const most = maxRolloutSteps;
    throw new TypeError(`rollout.steps must be a list of 1 to ${most} durations like "10m"`);
  }
  if (by !== undefined && (typeof by !== "string" || !token.test(by))) {
    throw new TypeError("rollout.by must be the name of a header");
  }
  return { percent, stepsMs: steps.map(parseStep), by: by?.toLowerCase() ?? null };
}

function parseStep(step: unknown, index: number): number {
  return parseDuration(`rollout.steps[${index}]`, step);
}

function parseDuration(what: string, value: unknown): number {
  const [, amount = "", unit = ""] = (typeof value === "string" && duration.exec(value)) || [];
  const ms = Number(amount) * (unitMs[unit as keyof typeof unitMs] ?? 0);
  if (ms > maxStepMs) throw new TypeError(`${what} must be a year at most`);
  if (ms > 0) return ms;
  throw new TypeError(`${what} must be a duration like "30s", "10m" or "1h"`);
}

function parseSchedule(value: unknown): Schedule {
  const example = '{ from: "0 2 * * *", to: "0 4 * * *", timezone: "Asia/Shanghai" }';
  const { from, to, timezone } = fields("schedule", value, ["from", "to", "timezone"], example);
  for (const [name, text] of Object.entries({ from, to })) {
    const isFive = typeof text === "string" && text.trim().split(/\s+/).length === 5;
    if (!isFive) throw new TypeError(`schedule.${name} must be a cron expression of five fields`);
  }
  if (timezone !== undefined && typeof timezone !== "string") {
    throw new TypeError('schedule.timezone must be a name like "Asia/Shanghai"');
  }
  return { from: String(from).trim(), to: String(to).trim(), timezone: timezone ?? null };
}

function parseTakeBack(value: unknown): TakeBackRule {
  if (value === false) return { ...defaultTakeBack, isOn: false };
  const example = 'false or { errors: 5, percent: 1, seconds: 10, clients: 3, probation: "1h" }';
  const names = ["errors", "percent", "seconds", "clients", "probation", "open"] as const;
  const given = fields("takeBack", value, names, example);
  const { minErrors, maxErrorShare, windowMs, minClients, probationMs, mayOpen } = defaultTakeBack;
  const { errors = minErrors, percent = maxErrorShare * 100, seconds = windowMs / 1_000 } = given;
  const { clients = minClients, probation, open = mayOpen } = given;
  if (typeof open !== "boolean") throw new TypeError("takeBack.open must be true or false");
  return {
    minErrors: within("takeBack.errors", errors, 1, 1_000_000),
    maxErrorShare: within("takeBack.percent", percent, 0, 100) / 100,
    windowMs: within("takeBack.seconds", seconds, 1, 600) * 1_000,
    minClients: within("takeBack.clients", clients, 1, maxClients),
    isOn: true,
    probationMs:
      probation === undefined ? probationMs : parseDuration("takeBack.probation", probation),
    mayOpen: open,
  };
}

function within(what: string, value: unknown, least: number, most: number): number {
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw new TypeError(`${what} must be a number from ${least} to ${most}`);
}

/** The fields of an object that has no other than `names`. */
export function fields<Name extends string>(
  what: string,
  value: unknown,
  names: readonly Name[],
  example: string,
): Readonly<Partial<Record<Name, unknown>>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`${what} must be an object: ${example}`);
  }
  const known: readonly string[] = names;
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`${what}.${unknown} is not known`);
  return value as Partial<Record<Name, unknown>>;
}
