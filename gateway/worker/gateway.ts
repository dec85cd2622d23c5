/**
 * What the gateway does in each phase of a request: identify host, rewrite, route, balance, record.
 * The engine calls it; docs/life-of-a-request.md shows the phases under the same names.
 */
import type { Upstream } from "../balancing/index.ts";
import {
  type Exchange,
  type Handler,
  isPeersFault,
  type PeerFailure,
  type Target,
} from "../engine/engine.ts";
import { type Exposure, noUpstream, otherLabel } from "../model/index.ts";
import type { AccessLog } from "../observability/access-log.ts";
import type { Log } from "../observability/logger.ts";
import type { Traffic } from "../observability/traffic.ts";
import type { Sandbox } from "../sandbox/index.ts";
import {
  failEncodedSlash,
  type Phase,
  type RequestContext,
  type Router,
  refusesEncodedSlash,
  type Site,
  type Stop,
} from "../sites/index.ts";
import type { FailureLog } from "./failure-log.ts";
import type { HiddenServices } from "./hidden-services.ts";
import { WaitingRoom } from "./waiting-room.ts";

export interface GatewayOptions {
  readonly router: Router;
  readonly sandbox: Sandbox;
  readonly log: Log;
  readonly failures: FailureLog;
  readonly hidden: HiddenServices;
  /** What each of the engine's listeners exposes, by its number. */
  readonly exposes: readonly Exposure[];
  /** `null`: requests are not noted. */
  readonly accessLog: AccessLog | null;
  readonly traffic: Traffic;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly watchTimeoutMs: number;
  /** Asks the primary to watch a service (a `serviceKey`) or the catalog of `@` and a datacenter. */
  readonly askForService: (service: string) => void;
}

/** Requests that may wait for a first watch at once, in one worker. */
const waitingCapacity = 10_000;
/** The same for the first catalog of a datacenter: few, since strangers can ask for any name there. */
const catalogCapacity = 100;

/** How often phases may give one request another host. Scripts have a bound of their own. */
const mostStops = 10;

export class Gateway implements Handler<RequestContext> {
  /** The routes of the current version; the replica's owner swaps it. */
  router: Router;
  readonly #sandbox: Sandbox;
  readonly #log: Log;
  readonly #failures: FailureLog;
  readonly #accessLog: AccessLog | null;
  readonly #traffic: Traffic;
  readonly #now: () => number;
  readonly #hidden: HiddenServices;
  readonly #exposes: readonly Exposure[];
  readonly #waiting: WaitingRoom<RequestContext>;
  readonly #waitingForCatalog: WaitingRoom<RequestContext>;

  constructor(options: GatewayOptions) {
    this.router = options.router;
    this.#sandbox = options.sandbox;
    this.#log = options.log;
    this.#failures = options.failures;
    this.#accessLog = options.accessLog;
    this.#traffic = options.traffic;
    this.#now = options.now;
    this.#hidden = options.hidden;
    this.#exposes = options.exposes;
    const { watchTimeoutMs: timeoutMs, askForService: ask } = options;
    this.#waiting = new WaitingRoom({
      timeoutMs,
      capacity: waitingCapacity,
      ask,
      onTimeout: (exchange, service) =>
        exchange.fail(503, "service_unknown_yet", `no word about service ${service} in time`),
    });
    this.#waitingForCatalog = new WaitingRoom({
      timeoutMs,
      capacity: catalogCapacity,
      ask,
      onTimeout: (exchange, datacenter) =>
        exchange.fail(503, "service_unknown_yet", `no word from ${datacenter} in time`),
    });
  }

  onRequest(exchange: Exchange<RequestContext>): void {
    const held = exchange.context;
    if (held === null) {
      const context = this.#enter(exchange);
      if (context !== null && this.#meet(exchange, context))
        this.#route(exchange, context, context.site);
    } else if (this.#meet(exchange, held)) {
      // Other versions may have come while it was held.
      this.#route(exchange, held, this.router.site(exchange.host));
    }
  }

  onPick(exchange: Exchange<RequestContext>): Target | null {
    const context = exchange.context;
    const route = context?.route ?? null;
    if (context === null || route === null) return null;
    const nowMs = exchange.tries === 0 ? exchange.startedAtMs : this.#now();
    const target = route.pick(exchange, nowMs, context.hashKey);
    if (target === null && exchange.tries === 0) this.#failWithout(exchange, route);
    return target;
  }

  onResponse(exchange: Exchange<RequestContext>): void {
    const context = exchange.context;
    if (context === null) return;
    if (exchange.peer !== null) context.route?.succeeded(exchange.peer);
    const { site, before } = context;
    if (site.phases.length > 0 || before !== null) goBack(exchange, context, respond);
  }

  onTryEnd(
    exchange: Exchange<RequestContext>,
    { peer }: Target,
    status: number,
    failure: PeerFailure | null,
    durationMs: number,
  ): void {
    const route = exchange.context?.route ?? null;
    route?.ended(peer, status, failure, durationMs);
    // What breaks off in the middle of an answer is told of by the exchange's own error code.
    if (failure === null || status !== 0) return;
    if (failure.code === "no_resources") {
      this.#failures.recordOwn(failure);
      this.#traffic.peerFailed(route?.name ?? noUpstream, failure.code);
    } else if (isPeersFault(failure)) {
      route?.failed(peer, this.#now());
      this.#traffic.peerFailed(route?.name ?? noUpstream, failure.code);
      this.#failures.record(route?.name ?? exchange.host, peer.key, failure);
    }
  }

  onEnd(exchange: Exchange<RequestContext>): void {
    const context = exchange.context;
    this.#accessLog?.record(exchange, context?.route?.name ?? "");
    this.#traffic.record(exchange, context?.name ?? otherLabel, context?.route?.name ?? noUpstream);
    if (context === null) return;
    const { site, before } = context;
    if (site.phases.length > 0 || before !== null) goBack(exchange, context, end);
    exchange.context = null;
  }

  /** These services have an entry now: requests that wait for them go on. */
  servicesArrived(services: Iterable<string>): void {
    for (const service of services) this.#waiting.arrived(service);
  }

  /** The catalogs of these datacenters may be there now. */
  catalogsArrived(datacenters: Iterable<string>): void {
    for (const datacenter of datacenters) this.#waitingForCatalog.arrived(`@${datacenter}`);
  }

  onError(error: unknown): void {
    this.#log.error({ err: error }, "the engine met an error");
  }

  /** Says so when there is no peer because there is no such service; otherwise the engine says there is none. */
  #failWithout(exchange: Exchange<RequestContext>, route: Upstream): void {
    const missing = this.router.explainEmpty(route);
    if (missing !== null) exchange.fail(503, "no_upstream", `${exchange.host}: ${missing}`);
  }

  /** Finds the site; `null` when the exchange has ended. */
  #enter(exchange: Exchange<RequestContext>): RequestContext | null {
    const { host } = exchange;
    const site = this.router.site(host);
    if (site.scripts.length === 0) this.#sandbox.sawOther();
    if (exchange.hasEncodedSlash && refusesEncodedSlash(site, false)) {
      failEncodedSlash(exchange);
      return null;
    }
    const exposes = this.#exposes[exchange.listener] ?? "documents";
    const context: RequestContext = {
      name: this.router.nameOf(site, host, exposes) ?? otherLabel,
      site,
      at: 0,
      script: null,
      before: null,
      host,
      upstream: "",
      hashKey: "",
      headers: "",
      route: null,
    };
    exchange.context = context;
    return context;
  }

  /**
   * Lets the exchange meet the phases of its site that are left. Where they gave it another host the rules of that one
   * hold too, so it meets those of its site as well, and so on. Returns false when it has ended or is held.
   */
  #meet(exchange: Exchange<RequestContext>, context: RequestContext): boolean {
    for (;;) {
      const { phases } = context.site;
      while (context.at < phases.length) {
        const phase = phases[context.at];
        context.at += 1;
        if (phase?.onRequest?.(exchange, context) === false) return false;
      }
      if (exchange.host === context.host) return true;
      if (!this.#enterNext(exchange, context)) return false;
    }
  }

  /** Goes on at the site of the host that the exchange has now. Returns false when it has been sent round too often. */
  #enterNext(exchange: Exchange<RequestContext>, context: RequestContext): boolean {
    const { host } = exchange;
    const site = this.router.site(host);
    context.host = host;
    if (site === context.site) return true;
    const { at, script, before } = context;
    let stops = 1;
    for (let stop = before; stop !== null; stop = stop.before) stops += 1;
    if (stops > mostStops) {
      exchange.fail(508, "rewrite_loop", `the host is rewritten more than ${mostStops} times`);
      return false;
    }
    context.before = { site: context.site, at, script, before };
    context.site = site;
    context.at = 0;
    context.script = null;
    return true;
  }

  #route(exchange: Exchange<RequestContext>, context: RequestContext, site: Site): void {
    const { router } = this;
    const { upstream: chosen } = context;
    const { host, path } = exchange;
    // Once more: a phase may have set another host or path.
    if (exchange.hasEncodedSlash && chosen === "" && refusesEncodedSlash(site, false)) {
      failEncodedSlash(exchange);
      return;
    }
    if (exchange.hasBody) exchange.trailers = site.rules?.trailers ?? null;
    const exposes = this.#exposes[exchange.listener] ?? "documents";
    const route =
      chosen === "" ? router.resolve(site, host, path, exposes) : router.upstream(chosen);
    context.route = route;
    if (route !== null) return;
    const service =
      chosen === ""
        ? router.unwatched(site, host, path, exposes)
        : router.unwatchedUpstream(chosen);
    if (service !== null) {
      const room = service.startsWith("@") ? this.#waitingForCatalog : this.#waiting;
      if (room.enter(exchange, service)) return;
      exchange.fail(503, "too_many_waiting", `too many requests wait for service ${service}`);
    } else if (chosen !== "") {
      exchange.fail(503, "no_upstream", router.explainUpstream(chosen));
    } else if (router.isRouted(site, host, path)) {
      exchange.fail(503, "no_upstream", router.explain(site, host, path, exposes));
    } else {
      const hidden = router.hidden(site, exposes);
      if (hidden !== null) this.#hidden.note(hidden, host);
      exchange.fail(404, "no_route", router.explain(site, host, path, exposes));
    }
  }
}

type Visit = (phase: Phase, exchange: Exchange<RequestContext>, context: RequestContext) => void;

const respond: Visit = (phase, exchange, context) => phase.onResponse?.(exchange, context);
const end: Visit = (phase, exchange, context) => phase.onEnd?.(exchange, context);

/**
 * Visits the phases that the exchange has met, the last one first: what the client sees is up to the host that it asked
 * for. While a phase is visited the context is at the stop where it was met.
 */
function goBack(exchange: Exchange<RequestContext>, context: RequestContext, visit: Visit): void {
  const { site, at, script, before } = context;
  for (let stop: Stop | null = before; ; stop = stop.before) {
    const { phases } = context.site;
    for (let i = context.at - 1; i >= 0; i -= 1) {
      const phase = phases[i];
      if (phase !== undefined) visit(phase, exchange, context);
    }
    if (stop === null) break;
    context.site = stop.site;
    context.at = stop.at;
    context.script = stop.script;
    context.before = stop.before;
  }
  context.site = site;
  context.at = at;
  context.script = script;
  context.before = before;
}
