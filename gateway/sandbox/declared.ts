/**
 * What a script declares about its own life, as data: `onError`, `rollout`, `schedule`, `takeBack`. Checks the
 * shapes only; what a cron expression means is the primary's to know.
 */
import { maxRolloutSteps, maxStepMs } from "../state/index.ts";

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

/** `export const takeBack`: a version that fails more often is taken back. Both must be passed. */
export interface Threshold {
  /** Errors in the window. Default 5. */
  readonly minErrors: number;
  /** Errors by calls in the window, 0 to 1. Default 0.01. */
  readonly maxErrorShare: number;
  /** Default 10000. */
  readonly windowMs: number;
}

export interface Declared {
  /** What becomes of a request whose script failed: answered with 500, or sent on as it came. */
  readonly onError: "deny" | "skip";
  readonly rollout: Rollout | null;
  readonly schedule: Schedule | null;
  readonly takeBack: Threshold;
}

export const defaultThreshold: Threshold = { minErrors: 5, maxErrorShare: 0.01, windowMs: 10_000 };

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
}): Declared {
  const { onError } = values;
  if (onError !== null && onError !== "deny" && onError !== "skip") {
    throw new TypeError('onError must be "deny" or "skip"');
  }
  return {
    onError: onError ?? "deny",
    rollout: values.rollout === null ? null : parseRollout(values.rollout),
    schedule: values.schedule === null ? null : parseSchedule(values.schedule),
    takeBack: values.takeBack === null ? defaultThreshold : parseThreshold(values.takeBack),
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
  const [, amount = "", unit = ""] = (typeof step === "string" && duration.exec(step)) || [];
  const ms = Number(amount) * (unitMs[unit as keyof typeof unitMs] ?? 0);
  if (ms > maxStepMs) throw new TypeError(`rollout.steps[${index}] must be a year at most`);
  if (ms > 0) return ms;
  throw new TypeError(`rollout.steps[${index}] must be a duration like "30s", "10m" or "1h"`);
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

function parseThreshold(value: unknown): Threshold {
  const example = "{ errors: 5, percent: 1, seconds: 10 }";
  const given = fields("takeBack", value, ["errors", "percent", "seconds"], example);
  const { minErrors, maxErrorShare, windowMs } = defaultThreshold;
  const { errors = minErrors, percent = maxErrorShare * 100, seconds = windowMs / 1_000 } = given;
  return {
    minErrors: within("takeBack.errors", errors, 1, 1_000_000),
    maxErrorShare: within("takeBack.percent", percent, 0, 100) / 100,
    windowMs: within("takeBack.seconds", seconds, 1, 600) * 1_000,
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
