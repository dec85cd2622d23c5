/** Takes requests through the gates of their upstreams: which pass, which wait, and what the others are answered. */
import type { Gate, Upstream } from "../balancing/index.ts";
import type { Exchange } from "../engine/engine.ts";
import type { RequestContext } from "../sites/index.ts";

/** Whether a request may begin its first try. If not, it is held or has been answered. */
export function mayBegin(
  exchange: Exchange<RequestContext>,
  context: RequestContext,
  route: Upstream,
  nowMs: number,
): boolean {
  const { gate, retryBudget } = route;
  if (gate !== null && context.gate !== gate && !goesThrough(exchange, context, gate, nowMs))
    return false;
  retryBudget?.count(nowMs);
  return true;
}

/** Whether a request may be tried again. A try that reached no peer takes nothing from the budget. */
export function mayGoOn(
  exchange: Exchange<RequestContext>,
  { retryBudget }: Upstream,
  nowMs: number,
): boolean {
  return exchange.triesSent === 0 || retryBudget === null || retryBudget.take(nowMs);
}

/** When all peers are at their limit of requests: whether this request waits until one of them has room. */
export function waitsForPeer(
  exchange: Exchange<RequestContext>,
  context: RequestContext,
  route: Upstream,
  nowMs: number,
): boolean {
  const { gate } = route;
  if (gate === null || route.whyNone(nowMs) !== "all_full") return false;
  context.gate?.leave(exchange.startedAtMs);
  context.gate = null;
  return gate.wait(exchange, nowMs) === "held";
}

function goesThrough(
  exchange: Exchange<RequestContext>,
  context: RequestContext,
  gate: Gate,
  nowMs: number,
): boolean {
  // Before it was held, the request may have passed another upstream's gate.
  context.gate?.leave(exchange.startedAtMs);
  context.gate = null;
  const verdict = gate.enter(exchange, nowMs);
  if (verdict === "pass") context.gate = gate;
  else if (verdict === "open") answerOpen(exchange, gate, nowMs);
  else if (verdict === "full") {
    answerFull(exchange, gate);
  }
  return verdict === "pass";
}

function answerFull(exchange: Exchange<RequestContext>, gate: Gate): void {
  const { maxRequests, queue } = gate.options;
  // Without a limit of its own, the gate is full because the servers are, or because others wait for them.
  const there =
    maxRequests === 0
      ? "all servers have as many requests as max_conns allows"
      : `${maxRequests} requests are there`;
  const message = `${gate.name}: ${there}, and ${queue} wait`;
  exchange.fail(503, "queue_full", message, { "retry-after": "1" });
}

function answerOpen(exchange: Exchange<RequestContext>, gate: Gate, nowMs: number): void {
  const { breaker } = gate;
  if (breaker === null) return;
  const seconds = String(Math.max(1, Math.ceil(breaker.remainingMs(nowMs) / 1_000)));
  const { answer } = breaker.options;
  if (answer === undefined) {
    const message = `${gate.name}: too many requests failed; the next may go there in ${seconds} s`;
    exchange.fail(503, "breaker_open", message, { "retry-after": seconds });
    return;
  }
  const { status, headers, body } = answer;
  exchange.answer({ status, headers: { "retry-after": seconds, ...headers }, body });
}
