/**
 * Takes an exchange through the phases of its site, and on to the site of another host that they give it; and takes
 * the answer back through them.
 */
import type { Exchange } from "../engine/engine.ts";
import { type Exposure, otherLabel } from "../model/index.ts";
import {
  failEncodedSlash,
  type Phase,
  type RequestContext,
  type Router,
  refusesEncodedSlash,
  type Stop,
} from "../sites/index.ts";

/** How often phases may give one request another host. Scripts have their own bound. */
const mostStops = 10;

/** Calls one of a phase's methods; returns whether the exchange goes on. */
export type Ask = (
  phase: Phase,
  exchange: Exchange<RequestContext>,
  context: RequestContext,
) => boolean;

/** For a client's request. */
export const askForReal: Ask = (phase, exchange, context) =>
  phase.onRequest?.(exchange, context) !== false;

/** Finds the site of an exchange that has just begun. Returns `null` when that ended the exchange. */
export function enterSite(
  exchange: Exchange<RequestContext>,
  router: Router,
  exposes: Exposure,
): RequestContext | null {
  const { host } = exchange;
  const site = router.site(host, exposes);
  if (exchange.hasEncodedSlash && refusesEncodedSlash(site, false)) {
    failEncodedSlash(exchange);
    return null;
  }
  const context: RequestContext = {
    name: router.nameOf(site, host, exposes) ?? otherLabel,
    site,
    at: 0,
    script: null,
    rule: null,
    before: null,
    host,
    upstream: "",
    hashKey: "",
    authority: "",
    route: null,
    gate: null,
    routedBy: null,
    side: null,
  };
  exchange.context = context;
  return context;
}

/**
 * Lets the exchange meet the rest of its site's phases. When they give it another host, that host's rules apply too,
 * so it meets the phases of that host's site as well, and so on. Returns false when the exchange has ended or is
 * held.
 */
export function meetPhases(
  exchange: Exchange<RequestContext>,
  context: RequestContext,
  router: Router,
  exposes: Exposure,
  ask: Ask,
): boolean {
  for (;;) {
    const { phases } = context.site;
    while (context.at < phases.length) {
      const phase = phases[context.at];
      context.at += 1;
      if (phase !== undefined && !ask(phase, exchange, context)) return false;
    }
    if (exchange.host === context.host) return true;
    if (!enterNext(exchange, context, router, exposes)) return false;
  }
}

/** Goes on at the site of the host that the exchange has now. Returns false when it has been sent round too often. */
function enterNext(
  exchange: Exchange<RequestContext>,
  context: RequestContext,
  router: Router,
  exposes: Exposure,
): boolean {
  const { host } = exchange;
  const site = router.site(host, exposes);
  context.host = host;
  if (site === context.site) return true;
  const { at, script, rule, before } = context;
  let stops = 1;
  for (let stop = before; stop !== null; stop = stop.before) stops += 1;
  if (stops > mostStops) {
    exchange.fail(508, "rewrite_loop", `the host is rewritten more than ${mostStops} times`);
    return false;
  }
  context.before = { site: context.site, at, script, rule, before };
  context.site = site;
  context.at = 0;
  context.script = null;
  context.rule = null;
  return true;
}

/** Shows the head of the answer to the phases that the exchange has met. */
export function meetAnswer(exchange: Exchange<RequestContext>, context: RequestContext): void {
  if (context.site.phases.length > 0 || context.before !== null) goBack(exchange, context, respond);
}

/** Tells the phases that the exchange has met that it is over. */
export function meetEnd(exchange: Exchange<RequestContext>, context: RequestContext): void {
  if (context.site.phases.length > 0 || context.before !== null) goBack(exchange, context, end);
}

const respond: Ask = (phase, exchange, context) => {
  phase.onResponse?.(exchange, context);
  // There is no answer any more when the phase asked for another try.
  return exchange.status !== 0;
};

const end: Ask = (phase, exchange, context) => {
  phase.onEnd?.(exchange, context);
  return true;
};

/**
 * Asks the phases that the exchange has met, the last one first, so that the host that the client asked for has the
 * last word. While a phase is asked, the context is at the stop where the exchange met that phase. Stops when a phase
 * returns false.
 */
function goBack(exchange: Exchange<RequestContext>, context: RequestContext, ask: Ask): void {
  const { site, at, script, rule, before } = context;
  let goesOn = true;
  for (let stop: Stop | null = before; goesOn; stop = stop.before) {
    const { phases } = context.site;
    for (let i = context.at - 1; goesOn && i >= 0; i -= 1) {
      const phase = phases[i];
      if (phase !== undefined) goesOn = ask(phase, exchange, context);
    }
    if (stop === null) break;
    context.site = stop.site;
    context.at = stop.at;
    context.script = stop.script;
    context.rule = stop.rule;
    context.before = stop.before;
  }
  context.site = site;
  context.at = at;
  context.script = script;
  context.rule = rule;
  context.before = before;
}
