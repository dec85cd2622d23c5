/**
 * What the gateway does in each phase of a request: identify the host, rewrite, route, balance, record. The engine
 * calls it; docs/life-of-a-request.md shows the phases under the same names.
 */
import type { Upstream } from "../balancing/index.ts";
import {
  type Exchange,
  type Handler,
  isPeersFault,
  type PeerFailure,
  type Target,
} from "../engine/engine.ts";
import {
  type Challenge,
  challengePath,
  type Exposure,
  noUpstream,
  otherLabel,
} from "../model/index.ts";
import type { AccessLog } from "../observability/access-log.ts";
import type { Log } from "../observability/logger.ts";
import type { Traffic } from "../observability/traffic.ts";
import type { Sandbox } from "../sandbox/index.ts";
import {
  failEncodedSlash,
  type RequestContext,
  type Router,
  type Rule,
  refusesEncodedSlash,
  type Site,
} from "../sites/index.ts";
import type { FailureLog } from "./failure-log.ts";
import { mayBegin, mayGoOn, waitsForPeer } from "./gates.ts";
import type { HiddenServices } from "./hidden-services.ts";
import { askForReal, enterSite, meetAnswer, meetEnd, meetPhases } from "./passage.ts";
import { pickStuck, tellStuck } from "./sticking.ts";
import { whyNoPeer, whyUnrouted } from "./unrouted.ts";
import { WaitingRoom } from "./waiting-room.ts";

export interface GatewayOptions {
  readonly router: Router;
  readonly sandbox: Sandbox;
  readonly log: Log;
  readonly failures: FailureLog;
  readonly hidden: HiddenServices;
  /** What each of the engine's listeners exposes, by listener number. */
  readonly exposes: readonly Exposure[];
  /** `null`: requests are not recorded. */
  readonly accessLog: AccessLog | null;
  readonly traffic: Traffic;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly watchTimeoutMs: number;
  /** Asks the primary to watch a service (a `serviceKey`) or the catalog of `@` and a datacenter. */
  readonly askForService: (service: string) => void;
}

/** How many requests may wait for a first watch at once, in one worker. */
const waitingCapacity = 10_000;
/** The same for a datacenter's first catalog: few, since strangers can ask for any name there. */
const catalogCapacity = 100;

export class Gateway implements Handler<RequestContext> {
  /** The routes of the current version. The worker replaces it with each version. */
  router: Router;
  /** What ACME authorities may ask now, by token; `null`: nothing, as nearly always. */
  challenges: ReadonlyMap<string, Challenge> | null = null;
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
    const { router } = this;
    const held = exchange.context;
    const exposes = this.#exposesOf(exchange);
    if (held === null) {
      if (this.challenges !== null && answersChallenge(exchange, this.challenges)) return;
      if (exchange.tls !== null && !exchange.tls.covers(exchange.host)) {
        exchange.fail(421, "misdirected_request", misdirected(exchange.host));
        return;
      }
      const context = enterSite(exchange, router, exposes);
      if (context === null) return;
      if (context.site.scripts.length === 0) this.#sandbox.sawOther();
      if (meetPhases(exchange, context, router, exposes, askForReal))
        this.#route(exchange, context, context.site);
    } else if (meetPhases(exchange, held, router, exposes, askForReal)) {
      // A new version may have come while the request was held.
      this.#route(exchange, held, router.site(exchange.host, exposes));
    }
  }

  onPick(exchange: Exchange<RequestContext>): Target | null {
    const context = exchange.context;
    const route = context?.route ?? null;
    if (context === null || route === null) return null;
    const isFirst = exchange.tries === 0;
    const nowMs = isFirst ? exchange.startedAtMs : this.#now();
    if (isFirst ? !mayBegin(exchange, context, route, nowMs) : !mayGoOn(exchange, route, nowMs))
      return null;
    const target =
      context.routedBy === null || context.routedBy.sticky === null
        ? route.pick(exchange, nowMs, route.hashKey(exchange, context.hashKey))
        : pickStuck(route, context.routedBy.sticky, exchange, context, nowMs);
    if (target !== null) exchange.sentAuthority = sentAuthority(target, context.routedBy);
    else if (isFirst) this.#failWithout(exchange, context, route);
    return target;
  }

  onResponse(exchange: Exchange<RequestContext>): void {
    const context = exchange.context;
    if (context === null) return;
    const { target } = exchange;
    if (target !== null) {
      if (!target.retries.statuses.includes(exchange.status)) context.route?.succeeded(target.peer);
      // When the request is tried again, no phase sees the answer that the client does not get.
      else if (exchange.tryAgain()) return;
    }
    if (target !== null && context.routedBy !== null && context.routedBy.sticky !== null)
      tellStuck(exchange, context, context.routedBy.sticky, target);
    meetAnswer(exchange, context);
  }

  onTryEnd(
    exchange: Exchange<RequestContext>,
    { peer, retries }: Target,
    status: number,
    failure: PeerFailure | null,
    durationMs: number,
  ): void {
    const route = exchange.context?.route ?? null;
    route?.ended(peer, status, failure, durationMs, exchange.startedAtMs + durationMs);
    if (status !== 0 && retries.statuses.includes(status))
      route?.failed(peer, this.#now(), `it answered ${status}`);
    // The exchange's own error code reports an answer that breaks off in the middle.
    if (failure === null || status !== 0) return;
    if (failure.code === "no_resources") {
      this.#failures.recordOwn(failure);
      this.#traffic.peerFailed(route?.name ?? noUpstream, failure.code);
    } else if (isPeersFault(failure)) {
      route?.failed(peer, this.#now(), failure.message);
      this.#traffic.peerFailed(route?.name ?? noUpstream, failure.code);
      this.#failures.record(route?.name ?? exchange.host, peer.key, failure);
    }
  }

  onEnd(exchange: Exchange<RequestContext>): void {
    const context = exchange.context;
    this.#accessLog?.record(exchange, context?.route?.name ?? "");
    this.#traffic.record(exchange, context?.name ?? otherLabel, context?.route?.name ?? noUpstream);
    if (context === null) return;
    meetEnd(exchange, context);
    context.gate?.leave(exchange.startedAtMs);
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

  /** No peer was tried: the request waits for one, or the client is told why there was none. */
  #failWithout(exchange: Exchange<RequestContext>, context: RequestContext, route: Upstream): void {
    if (waitsForPeer(exchange, context, route, this.#now())) return;
    const { status, code, message } = whyNoPeer(this.router, route, this.#now());
    exchange.fail(status, code, `${exchange.host}: ${message}`);
  }

  #route(exchange: Exchange<RequestContext>, context: RequestContext, site: Site): void {
    const { router } = this;
    const { upstream: chosen } = context;
    // Checked once more, because a phase may have set another host or path.
    if (exchange.hasEncodedSlash && chosen === "" && refusesEncodedSlash(site, false)) {
      failEncodedSlash(exchange);
      return;
    }
    if (exchange.hasBody) exchange.trailers = site.rules?.trailers ?? null;
    const exposes = this.#exposesOf(exchange);
    const route =
      chosen === "" ? router.resolve(site, exchange, exposes, context) : router.upstream(chosen);
    context.route = route;
    if (route !== null) return;
    const { awaited, refusal } = whyUnrouted(router, site, exchange, context, exposes);
    if (awaited !== null) {
      const room = awaited.startsWith("@") ? this.#waitingForCatalog : this.#waiting;
      if (room.enter(exchange, awaited)) return;
      exchange.fail(503, "too_many_waiting", `too many requests wait for service ${awaited}`);
      return;
    }
    const hidden = chosen === "" ? router.missing.hidden(site, exposes) : null;
    if (hidden !== null) this.#hidden.note(hidden, exchange.host);
    exchange.fail(refusal.status, refusal.code, refusal.message);
  }

  #exposesOf({ listener }: Exchange<RequestContext>): Exposure {
    return this.#exposes[listener] ?? "documents";
  }
}

/**
 * Answers an ACME authority before anything else decides about the request, whatever the host's site is. A token that is
 * not known goes on: an origin may order certificates by itself.
 */
function answersChallenge(
  exchange: Exchange<RequestContext>,
  challenges: ReadonlyMap<string, Challenge>,
): boolean {
  const { path, method } = exchange;
  if (!path.startsWith(challengePath) || (method !== "GET" && method !== "HEAD")) return false;
  const challenge = challenges.get(path.slice(challengePath.length));
  if (challenge?.type !== "http-01" || challenge.host !== exchange.host) return false;
  const headers = { "content-type": "application/octet-stream", "cache-control": "no-store" };
  exchange.answer({ status: 200, headers, body: challenge.keyAuthorization });
  return true;
}

/** The `Host` that the rule or the upstream sets; empty: the request's own. */
function sentAuthority(target: Target, rule: Rule | null): string {
  const said = rule === null ? null : rule.sentHost;
  if (said === null) return target.authority;
  return said === "peer" ? target.peerAuthority : said.name;
}
const misdirected = (host: string) =>
  `requests for ${host} do not belong on this connection: its certificate, or what it asked of its client, is not that host's`;
