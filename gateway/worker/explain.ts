/**
 * Says what would become of a request: it asks the code that decides real requests, and describes the decision
 * instead of carrying it out. It changes nothing: no round, no counter, no script's state.
 */
import type { EngineLimits, Exchange } from "../engine/engine.ts";
import { type Decision, type Rehearsal, rehearse } from "../engine/rehearsal.ts";
import type {
  ExplainedOutcome,
  ExplainedPhase,
  ExplainedSite,
  Explanation,
  Exposure,
  ImaginedRequest,
} from "../model/index.ts";
import {
  failEncodedSlash,
  type Phase,
  type RequestContext,
  type Router,
  type Routes,
  refusesEncodedSlash,
  type Site,
} from "../sites/index.ts";
import { explainRoutes } from "./explain-routes.ts";
import { enterSite, meetPhases } from "./passage.ts";
import { whyUnrouted } from "./unrouted.ts";

export interface ExplainOptions {
  readonly router: Router;
  readonly version: number;
  /** What each listener exposes, by listener number. */
  readonly exposes: readonly Exposure[];
  /** The engine's limits. */
  readonly limits: Partial<EngineLimits>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export function explain(asked: ImaginedRequest, options: ExplainOptions): Explanation {
  const { router, version, limits, now } = options;
  const exposes = options.exposes[asked.listener] ?? "documents";
  const rehearsal = rehearse<RequestContext>({ ...asked, limits, now });
  if (!("exchange" in rehearsal)) {
    const request = { method: asked.method, host: asked.authority, path: asked.target, query: "" };
    return {
      version,
      request,
      sites: [],
      outcome: answerOf({ kind: "fail", headers: {}, ...rehearsal }),
    };
  }
  const { exchange } = rehearsal;
  const { method, host, path, query } = exchange;
  const request = { method, host, path, query };
  const sites: MutableSite[] = [describeSite(host, router.site(host, exposes))];
  const context = enterSite(exchange, router, exposes);
  const goesOn =
    context !== null &&
    meetPhases(exchange, context, router, exposes, (phase, _exchange, at) => {
      if (at.host !== sites.at(-1)?.host) sites.push(describeSite(at.host, at.site));
      return rehearsePhase(phase, rehearsal, at, sites.at(-1)?.phases ?? []);
    });
  const last = sites.at(-1)?.phases.at(-1)?.name ?? "";
  const outcome = goesOn
    ? outcomeOf(exchange, context, exposes, rehearsal, options)
    : decided(rehearsal.decision, last);
  return { version, request, sites, outcome };
}

interface MutableSite extends ExplainedSite {
  readonly phases: ExplainedPhase[];
}

/** `phases` is filled by those that the request meets. */
export function describeSite(host: string, { rules, service }: Site): MutableSite {
  const document = rules === null ? null : rules.by;
  const named = service === null ? null : [service.tag, service.key].filter((one) => one !== null);
  return { host, document, service: named?.join(".") ?? null, phases: [] };
}

function rehearsePhase(
  phase: Phase,
  rehearsal: Rehearsal<RequestContext>,
  context: RequestContext,
  phases: ExplainedPhase[],
): boolean {
  const { exchange } = rehearsal;
  const says: string[] = [];
  const before = seen(rehearsal, context);
  const goesOn =
    phase.rehearse === undefined
      ? phase.onRequest?.(exchange, context)
      : phase.rehearse(exchange, context, (text) => says.push(text));
  phases.push({ name: phase.name, says, changes: changes(before, seen(rehearsal, context)) });
  return goesOn !== false;
}

type Seen = ReadonlyMap<string, string>;

/** What a phase may change, under the names that an operator knows. */
function seen({ exchange, headerLines }: Rehearsal<unknown>, context: RequestContext): Seen {
  const { authority, path, query } = exchange;
  const { upstream, hashKey } = context;
  const all = new Map(Object.entries({ host: authority, path, query, upstream, hashKey }));
  for (const name of headerNames(headerLines))
    all.set(`header ${name}`, exchange.header(name) ?? "");
  return all;
}

function headerNames(text: string): ReadonlySet<string> {
  const lines = text.split("\r\n");
  const names = lines.map((line) => line.slice(0, Math.max(0, line.indexOf(":"))).toLowerCase());
  return new Set(names.filter((name) => name !== "" && name !== "host"));
}

function changes(before: Seen, after: Seen): readonly string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].flatMap((name) => {
    const [old = "", now = ""] = [before.get(name), after.get(name)];
    if (old === now) return [];
    return [`${name}: ${old === "" ? "none" : old} -> ${now === "" ? "none" : now}`];
  });
}

function outcomeOf(
  exchange: Exchange<RequestContext>,
  context: RequestContext,
  exposes: Exposure,
  rehearsal: Rehearsal<RequestContext>,
  options: ExplainOptions,
): ExplainedOutcome {
  const { router } = options;
  const { site, upstream: chosen } = context;
  if (exchange.hasEncodedSlash && chosen === "" && refusesEncodedSlash(site, false)) {
    failEncodedSlash(exchange);
    return decided(rehearsal.decision, "");
  }
  const routes =
    chosen === ""
      ? router.routes(site, exchange, exposes, context.rule)
      : chosenBy(context, router);
  if (routes?.shares.some(({ upstream }) => upstream !== null))
    return { kind: "forward", ...explainRoutes(routes, exchange, context, options) };
  const { awaited, refusal } = whyUnrouted(router, site, exchange, context, exposes);
  if (awaited === null) return answerOf({ kind: "fail", headers: {}, ...refusal });
  return { kind: "held", by: `until ${awaited} is watched` };
}

/** The route that a script for one of the request's hosts chose. */
function chosenBy({ upstream: name, script, before }: RequestContext, router: Router): Routes {
  let by = script;
  for (let stop = before; by === null && stop !== null; stop = stop.before) by = stop.script;
  const upstream = router.upstream(name);
  const why = upstream === null ? router.missing.explainUpstream(name) : null;
  const shares = [{ name, part: 1, upstream, why }];
  return {
    by: by === null ? "a phase" : `scripts/${by.host}`,
    rule: null,
    passedOver: [],
    decided: null,
    shares,
  };
}

/** The outcome when the exchange did not go on. @param phase the phase that it met last. */
function decided(decision: Decision | null, phase: string): ExplainedOutcome {
  if (decision === null || decision.kind === "hold")
    return { kind: "held", by: `by the phase ${phase}` };
  return answerOf(decision);
}

function answerOf(decision: Exclude<Decision, { kind: "hold" }>): ExplainedOutcome {
  if (decision.kind === "fail") {
    const { status, code, message, headers } = decision;
    return { kind: "answer", status, code, message, headers };
  }
  const { status, headers = {} } = decision.answer;
  return { kind: "answer", status, code: null, message: null, headers };
}
