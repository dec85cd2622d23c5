/** Durations in the notation that Consul takes: Go's, such as `10s`, `1m30s`, `250ms`. */

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const whole =
  /^[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*$/;
/** Sticky, because a search that fails would start again at each digit. */
const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/gy;

/** Milliseconds, or `null` when the text is no duration (Go's `time.ParseDuration`). */
export function parseDuration(text: string): number | null {
  if (/^[+-]?0$/.test(text)) return 0;
  if (!whole.test(text)) return null;
  let totalMs = 0;
  for (const [, amount, unit] of text.replace(/^[+-]/, "").matchAll(part)) {
    totalMs += Number(amount) * (unitMs[unit ?? ""] ?? 0);
  }
  return text.startsWith("-") ? -totalMs : totalMs;
}
