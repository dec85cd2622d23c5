/** The bounds of an upstream, and how near it is to them, as plain data. */
import type { BoundsStatus } from "../model/index.ts";
import type { Gate } from "./gate.ts";
import type { RetryBudget } from "./retry-budget.ts";

export function boundsStatus(
  gate: Gate | null,
  budget: RetryBudget | null,
  nowMs: number,
): BoundsStatus {
  const retries = budget === null ? null : { taken: budget.taken, most: Math.floor(budget.most) };
  if (gate === null) return { requests: null, breaker: null, retries };
  const { inFlight, elsewhere, waiting, breaker } = gate;
  const { maxRequests, queue } = gate.options;
  return {
    requests: {
      ...{ inFlight, elsewhere, most: maxRequests === 0 ? null : maxRequests },
      ...{ waiting, queue },
    },
    breaker:
      breaker === null
        ? null
        : { state: breaker.state(nowMs), openForMs: Math.ceil(breaker.remainingMs(nowMs)) },
    retries,
  };
}
