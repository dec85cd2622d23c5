/**
 * The scripts of a site as a phase: chooses the version that runs for a request, and checks where a rewritten host
 * leads.
 */
import type { Exchange } from "../engine/engine.ts";
import type { HostScripts, Script } from "../sandbox/index.ts";
import { failEncodedSlash, refusesEncodedSlash } from "./encoded-slash.ts";
import type { Phase, RequestContext, Stop } from "./phase.ts";

/** How often scripts may give one request another host that has a script too. */
const mostRewrites = 5;

export class ScriptPhase implements Phase {
  readonly name = "script";
  readonly #scripts: readonly HostScripts[];

  constructor(scripts: readonly HostScripts[]) {
    this.#scripts = scripts;
  }

  onRequest(exchange: Exchange<RequestContext>, context: RequestContext): boolean {
    return this.#meet(exchange, context, chooseScript(this.#scripts, exchange));
  }

  #meet(
    exchange: Exchange<RequestContext>,
    context: RequestContext,
    script: Script | null,
  ): boolean {
    if (script === null) return true;
    const last = context.before === null ? null : lastScript(context.before);
    // One script that covers both hosts has already decided.
    if (last?.host === script.host) return true;
    if (script.waits(exchange)) {
      // The request comes back to this phase.
      context.at -= 1;
      return false;
    }
    const isWanted = script.matches(exchange);
    if (exchange.hasEncodedSlash && refusesEncodedSlash(context.site, script.matchesByPath)) {
      failEncodedSlash(exchange);
      return false;
    }
    if (!isWanted) return true;
    if (last !== null && !mayFollow(exchange, context.before, last, script)) return false;
    context.script = script;
    script.onRequest(exchange, context);
    return exchange.status === 0;
  }

  /** Runs the script in an isolate of its own, which ends with the rehearsal. */
  rehearse(
    exchange: Exchange<RequestContext>,
    context: RequestContext,
    say: (text: string) => void,
  ): boolean {
    const rehearsal = chooseScript(this.#scripts, exchange)?.rehearsal() ?? null;
    if (rehearsal === null) {
      say("no version is for this request");
      return true;
    }
    try {
      const goesOn = this.#meet(exchange, context, rehearsal);
      const { host, version, lastError } = rehearsal;
      const what = `version ${version.slice(0, 12)} of scripts/${host}`;
      if (lastError !== null) say(`${what} fails: ${lastError}`);
      else if (context.script === rehearsal) say(`${what} runs`);
      else
        say(
          `${what} does not run${rehearsal.matches(exchange) ? "" : ": its match leaves this request out"}`,
        );
      return goesOn;
    } finally {
      rehearsal.putAway();
    }
  }

  onResponse(exchange: Exchange<RequestContext>, { script }: RequestContext): void {
    if (script?.hasOnResponse) script.onResponse(exchange);
  }
}

/** The version that is for this exchange; `null`: none is. */
function chooseScript(scripts: readonly HostScripts[], exchange: Exchange<unknown>): Script | null {
  for (let i = 0; i < scripts.length; i += 1) {
    const script = scripts[i]?.choose(exchange) ?? null;
    if (script !== null) return script;
  }
  return null;
}

/** The script that ran last on the request's way to this host. */
function lastScript(stop: Stop): Script | null {
  for (let one: Stop | null = stop; one !== null; one = one.before) {
    if (one.script !== null) return one.script;
  }
  return null;
}

/** Ends the exchange when scripts send it in a circle or too far. */
function mayFollow(
  exchange: Exchange<unknown>,
  before: Stop | null,
  last: Script,
  next: Script,
): boolean {
  let ran = 0;
  for (let stop = before; stop !== null; stop = stop.before) {
    if (stop.script === null) continue;
    ran += 1;
    if (stop.script.host !== next.host) continue;
    const { host } = exchange;
    last.refuseRewrite(exchange, `its host is rewritten in a circle, back to ${host}`);
    return false;
  }
  if (ran <= mostRewrites) return true;
  last.refuseRewrite(exchange, `its host is rewritten more than ${mostRewrites} times`);
  return false;
}
