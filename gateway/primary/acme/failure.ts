/** Why an order failed, and how long to leave the authority alone after that. */

export interface AcmeProblem {
  /** The last part of its type (RFC 8555 section 6.7): `rateLimited`; empty: it has none. */
  readonly type: string;
  readonly detail: string;
  /** What the authority asked for; 0: nothing. */
  readonly retryAfterMs: number;
}

export class AcmeFailure extends Error {
  override readonly name = "AcmeFailure";
  readonly problem: AcmeProblem;

  constructor(problem: AcmeProblem) {
    const { type, detail } = problem;
    super(type === "" ? detail : `${type}: ${detail}`);
    this.problem = problem;
  }
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** Each further failure in a row waits so many times longer: four tries in the first hour. */
const growth = 4;
/** However long the authority asks for. */
export const longestPauseMs = 7 * dayMs;
/** What trying again soon does not mend. */
const lasting: ReadonlySet<string> = new Set([
  "accountDoesNotExist",
  "caa",
  "externalAccountRequired",
  "rateLimited",
  "rejectedIdentifier",
  "unsupportedContact",
  "unsupportedIdentifier",
  "userActionRequired",
]);

/**
 * How long no order is made for a host. `failures`: in a row, the last one included. `random`: from 0 to 1.
 */
export function pauseMs(
  failures: number,
  { type, retryAfterMs }: Pick<AcmeProblem, "type" | "retryAfterMs">,
  random: number,
): number {
  const first = lasting.has(type) ? hourMs : minuteMs;
  const grown = Math.min(first * growth ** Math.min(failures - 1, 10), dayMs);
  // Spread by a tenth, so that hosts that failed together do not come together again.
  const own = grown * (0.95 + random / 10);
  return Math.max(own, Math.min(retryAfterMs, longestPauseMs));
}

/** How long others leave an order alone whose gateway may be gone: it notes this before it begins. */
export function orphanMs(failures: number): number {
  return Math.min(15_000 * growth ** Math.min(failures - 1, 10), dayMs);
}

/** When a certificate that lives from `fromMs` to `untilMs` is replaced: with a third of its life left, or a little more. */
export function renewalMs(fromMs: number, untilMs: number, random: number): number {
  const lifeMs = Math.max(untilMs - fromMs, 0);
  return fromMs + lifeMs * (2 / 3 - random / 30);
}

/** The problem in an answer of the authority (RFC 7807); `null`: there is none. */
export function problemIn(
  status: number,
  data: unknown,
  retryAfter: unknown,
  nowMs: number,
): AcmeProblem | null {
  const body = fields(data);
  const challenges = Array.isArray(body.challenges) ? body.challenges.map(fields) : [];
  const nested = [body.error, ...challenges.map(({ error }) => error)].find((one) => one != null);
  const isFault = status >= 400;
  if (!isFault && nested === undefined) return null;
  const { type, detail } = nested === undefined ? body : fields(nested);
  return {
    type: typeof type === "string" ? (/:([A-Za-z]{1,60})$/.exec(type)?.[1] ?? "") : "",
    detail: typeof detail === "string" ? oneLine(detail) : `the authority answers ${status}`,
    retryAfterMs: isFault ? askedMs(retryAfter, nowMs) : 0,
  };
}

/** Printable, and not too long for a log. */
export function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .slice(0, 400)
    .trim();
}

/** `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3). */
function askedMs(value: unknown, nowMs: number): number {
  if (typeof value !== "string") return 0;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? 0 : Math.max(at - nowMs, 0);
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
