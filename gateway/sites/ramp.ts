/** How large a share is at a given time. It depends on the time alone, so all gateways agree. */
import type { Share } from "../model/index.ts";

/** @param dateMs milliseconds since the epoch. */
export function weightAt({ weight, ramp }: Pick<Share, "weight" | "ramp">, dateMs: number): number {
  if (ramp === undefined) return weight;
  const { from } = ramp;
  if ("atMs" in ramp) {
    const passed = ramp.atMs.filter((ms) => ms <= dateMs).length;
    const reached = from + passed * ramp.by;
    return ramp.by > 0 ? Math.min(weight, reached) : Math.max(weight, reached);
  }
  const { startMs, endMs, steps } = ramp;
  if (dateMs < startMs) return from;
  if (dateMs >= endMs) return weight;
  const done = (dateMs - startMs) / (endMs - startMs);

  const part = steps === undefined ? done : Math.floor(done * steps) / steps;
  return from + (weight - from) * part;
}
