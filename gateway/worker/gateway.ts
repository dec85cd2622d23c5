/**
 * What the gateway does in each phase of a request: identify host, rewrite, route, balance, record.
 * The engine calls it; docs/life-of-a-request.md shows the phases under the same names.
 */
import type { Upstream } from "../balancing/index.ts";
import type { Exchange, Handler, Peer, PeerFailure } from "../engine/engine.ts";
import { encodedSlash } from "../engine/message/answers.ts";
import { type Exposure, noUpstream, otherLabel } from "../model/index.ts";
import type { AccessLog } from "../observability/access-log.ts";
import type { Log } from "../observability/logger.ts";
import type { Traffic } from "../observability/traffic.ts";
import type { Sandbox, Script, Steering } from "../sandbox/index.ts";
import type { Router } from "../sites/index.ts";
import type { FailureLog } from "./failure-log.ts";
import type { HiddenServices } from "./hidden-services.ts";
import { WaitingRoom } from "./waiting-room.ts";

/** A request's state between the phases. */
export interface RequestContext extends Steering {
  /** What the request is counted under. */
  readonly name: string;
  /** The script of the host that was asked for, when it runs on this request. */
  readonly script: Script | null;
  /** Those of the hosts that scripts gave the request, in the order in which they ran; `null`: none. */
  later: Script[] | null;
  upstream: string;
  hashKey: string;
  /** Where it goes; `null` before `route` and when nothing serves it. */
  route: Upstream | null;
}

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

/** How often scripts may give one request another host that has a script as well. */
const mostRewrites = 5;

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
    let context = exchange.context;
    if (context === null) {
      const { host } = exchange;
      const script = this.#sandbox.scriptFor(exchange);
      const isWanted = script?.matches(exchange) === true;
      if (exchange.hasEncodedSlash && this.#refusesSlash(exchange, script)) return;
      context = {
        name: this.#nameOf(exchange, script),
        script: isWanted ? script : null,
        later: null,
        upstream: "",
        hashKey: "",
        headers: "",
        route: null,
      };
      exchange.context = context;
      if (context.script !== null) {
        context.script.onRequest(exchange, context);
        if (exchange.status !== 0) return;
        if (exchange.host !== host && !this.#follow(exchange, context, context.script)) return;
      }
    }
    this.#route(exchange, context);
  }

  onPick(exchange: Exchange<RequestContext>): Peer | null {
    const context = exchange.context;
    const route = context?.route ?? null;
    if (context === null || route === null) return null;
    const nowMs = exchange.tries === 0 ? exchange.startedAtMs : this.#now();
    const peer = route.pick(exchange, nowMs, context.hashKey);
    if (peer === null && exchange.tries === 0) this.#failWithout(exchange, route);
    return peer;
  }

  onPeerFailure(exchange: Exchange<RequestContext>, peer: Peer, failure: PeerFailure): void {
    const route = exchange.context?.route ?? null;
    if (failure.code === "no_resources") {
      this.#failures.recordOwn(failure);
      return;
    }
    route?.failed(peer, this.#now());
    this.#traffic.peerFailed(route?.name ?? noUpstream, failure.code);
    this.#failures.record(route?.name ?? exchange.host, peer.key, failure);
  }

  onResponse(exchange: Exchange<RequestContext>): void {
    const context = exchange.context;
    if (context === null) return;
    if (exchange.peer !== null) context.route?.succeeded(exchange.peer);
    // The other way round than the requests: what the client sees is up to the host that it asked for.
    const { later } = context;
    if (later !== null) {
      for (let at = later.length - 1; at >= 0; at -= 1) later[at]?.onResponse(exchange);
    }
    if (context.script?.hasOnResponse) context.script.onResponse(exchange);
  }

  onEnd(exchange: Exchange<RequestContext>): void {
    const { context } = exchange;
    this.#accessLog?.record(exchange, context?.route?.name ?? "");
    this.#traffic.record(exchange, context?.name ?? otherLabel, context?.route?.name ?? noUpstream);
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

  /** A script is a reason to know a host, too: it may answer by itself. */
  #nameOf(exchange: Exchange<RequestContext>, script: Script | null): string {
    const exposes = this.#exposes[exchange.listener] ?? "documents";
    return this.router.nameOf(exchange.host, exposes) ?? script?.host ?? otherLabel;
  }

  /** Says so when there is no peer because there is no such service; otherwise the engine says there is none. */
  #failWithout(exchange: Exchange<RequestContext>, route: Upstream): void {
    const missing = this.router.explainEmpty(route);
    if (missing !== null) exchange.fail(503, "no_upstream", `${exchange.host}: ${missing}`);
  }

  /** Ends the exchange where what its path asks for is not certain and decides something. */
  #refusesSlash(exchange: Exchange<RequestContext>, script: Script | null): boolean {
    const isMatched = script?.matchesByPath === true;
    if (!this.router.refusesEncodedSlash(exchange.host, isMatched)) return false;
    const { status, code, message } = encodedSlash;
    exchange.fail(status, code, message);
    return true;
  }

  /**
   * A script gave the request another host: the rules of that one hold too, so its script runs, and so on. A
   * script that covers both hosts has decided already. Returns false when the exchange has ended.
   */
  #follow(exchange: Exchange<RequestContext>, context: RequestContext, first: Script): boolean {
    const later: Script[] = [];
    context.later = later;
    for (let last = first; ; ) {
      const { host } = exchange;
      const next = this.#sandbox.scriptFor(exchange);
      if (next === null || next.host === last.host) return true;
      const isWanted = next.matches(exchange);
      if (exchange.hasEncodedSlash && this.#refusesSlash(exchange, next)) return false;
      if (!isWanted) return true;
      if (next.host === first.host || later.some((one) => one.host === next.host)) {
        last.refuseRewrite(exchange, `its host is rewritten in a circle, back to ${host}`);
        return false;
      }
      if (later.length === mostRewrites) {
        last.refuseRewrite(exchange, `its host is rewritten more than ${mostRewrites} times`);
        return false;
      }
      later.push(next);
      next.onRequest(exchange, context);
      if (exchange.status !== 0) return false;
      if (exchange.host === host) return true;
      last = next;
    }
  }

  #route(exchange: Exchange<RequestContext>, context: RequestContext): void {
    const { router } = this;
    const { upstream: chosen } = context;
    const { host, path } = exchange;
    // Once more: a script may have set another host or path.
    if (exchange.hasEncodedSlash && chosen === "" && this.#refusesSlash(exchange, null)) return;
    if (exchange.hasBody) exchange.trailers = router.trailers(host);
    const exposes = this.#exposes[exchange.listener] ?? "documents";
    const route = chosen === "" ? router.resolve(host, path, exposes) : router.upstream(chosen);
    context.route = route;
    if (route !== null) {
      exchange.tryLimits = route.limits;
      return;
    }
    const service =
      chosen === "" ? router.unwatched(host, path, exposes) : router.unwatchedUpstream(chosen);
    if (service !== null) {
      const room = service.startsWith("@") ? this.#waitingForCatalog : this.#waiting;
      if (room.enter(exchange, service)) return;
      exchange.fail(503, "too_many_waiting", `too many requests wait for service ${service}`);
    } else if (chosen !== "") {
      exchange.fail(503, "no_upstream", router.explainUpstream(chosen));
    } else if (router.isRouted(host, path)) {
      exchange.fail(503, "no_upstream", router.explain(host, path, exposes));
    } else {
      const hidden = router.hidden(host, exposes);
      if (hidden !== null) this.#hidden.note(hidden, host);
      exchange.fail(404, "no_route", router.explain(host, path, exposes));
    }
  }
}
