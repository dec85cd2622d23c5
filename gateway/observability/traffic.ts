/**
 * Counts a worker's requests. A request costs two look-ups of existing strings and a few additions to a plain array,
 * and allocates nothing. Counts are taken as increments.
 */
import type { Exchange, FailureCode } from "../engine/engine.ts";
import {
  durationBounds,
  otherLabel,
  type RouteCounts,
  statusClasses,
  type TrafficCounts,
} from "../model/index.ts";

/** The parts of a request that are counted. */
export type Counted = Pick<
  Exchange<unknown>,
  "status" | "errorCode" | "durationMs" | "tries" | "bytesIn" | "bytesOut"
>;

/** How many pairs of host and upstream are counted separately between two calls of `take`. */
const maxRoutes = 1_000;
/** How many error codes are counted. The gateway itself makes them, and they are few. */
const maxCodes = 100;

/** The place of each of a route's numbers in its array. */
const firstDuration = statusClasses.length;
const lastClass = firstDuration - 1;
const seconds = firstDuration + durationBounds.length + 1;
const tries = seconds + 1;
const bytesIn = tries + 1;
const bytesOut = bytesIn + 1;
const width = bytesOut + 1;

const boundsMs = durationBounds.map((bound) => bound * 1_000);

class Route {
  readonly host: string;
  readonly upstream: string;
  readonly numbers = new Float64Array(width);
  /** Whether something was counted since the last `take`. */
  isUsed = false;

  constructor(host: string, upstream: string) {
    this.host = host;
    this.upstream = upstream;
  }
}

export class Traffic {
  readonly #hosts = new Map<string, Map<string, Route>>();
  #used: Route[] = [];
  #size = 0;
  #other = new Route(otherLabel, otherLabel);
  readonly #failures = new Map<string, number>();
  readonly #peerFailures = new Map<string, Map<FailureCode, number>>();

  /** Counts a finished request. `host` and `upstream` name existing things, so there is a bounded number of them. */
  record(request: Counted, host: string, upstream: string): void {
    const route = this.#hosts.get(host)?.get(upstream) ?? this.#add(host, upstream);
    if (!route.isUsed) {
      route.isUsed = true;
      this.#used.push(route);
    }
    const { numbers } = route;
    const { durationMs } = request;
    add(numbers, Math.min(Math.trunc(request.status / 100), lastClass), 1);
    add(numbers, firstDuration + bucketOf(durationMs), 1);
    add(numbers, seconds, durationMs / 1_000);
    add(numbers, tries, request.tries);
    add(numbers, bytesIn, request.bytesIn);
    add(numbers, bytesOut, request.bytesOut);
    if (request.errorCode !== "") increase(this.#failures, request.errorCode);
  }

  /** Counts a try on one of the upstream's peers that brought no answer. */
  peerFailed(upstream: string, code: FailureCode): void {
    const isCounted = this.#peerFailures.has(upstream) || this.#peerFailures.size < maxRoutes;
    const name = isCounted ? upstream : otherLabel;
    let codes = this.#peerFailures.get(name);
    if (codes === undefined) {
      codes = new Map();
      this.#peerFailures.set(name, codes);
    }
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }

  /** Returns what was counted since the last call. */
  take(): TrafficCounts {
    const routes = this.#used.map(countsOf);
    for (const route of this.#used) {
      route.numbers.fill(0);
      route.isUsed = false;
    }
    this.#used = [];
    // Forgetting loses nothing, since all counts were just taken: routes in use come back.
    if (this.#size >= maxRoutes) this.#forget();
    const peerFailures = [...this.#peerFailures].flatMap(([upstream, codes]) =>
      Array.from(codes, ([code, count]) => ({ upstream, code, count })),
    );
    this.#peerFailures.clear();
    const failures = Object.fromEntries(this.#failures);
    this.#failures.clear();
    return { routes, peerFailures, failures };
  }

  #add(host: string, upstream: string): Route {
    if (this.#size >= maxRoutes) return this.#other;
    this.#size += 1;
    const route = new Route(host, upstream);
    const known = this.#hosts.get(host);
    if (known === undefined) this.#hosts.set(host, new Map([[upstream, route]]));
    else known.set(upstream, route);
    return route;
  }

  #forget(): void {
    this.#hosts.clear();
    this.#size = 0;
    this.#other = new Route(otherLabel, otherLabel);
  }
}

function countsOf({ host, upstream, numbers }: Route): RouteCounts {
  const at = (index: number) => numbers[index] ?? 0;
  return {
    host,
    upstream,
    classes: Array.from(numbers.subarray(0, firstDuration)),
    durations: Array.from(numbers.subarray(firstDuration, seconds)),
    seconds: at(seconds),
    tries: at(tries),
    bytesIn: at(bytesIn),
    bytesOut: at(bytesOut),
  };
}

function add(numbers: Float64Array, index: number, value: number): void {
  numbers[index] = (numbers[index] ?? 0) + value;
}

/** An indexed loop over a few numbers; most requests fall into one of the first. */
function bucketOf(durationMs: number): number {
  let at = 0;
  while (at < boundsMs.length && durationMs > (boundsMs[at] ?? 0)) at += 1;
  return at;
}

function increase(counts: Map<string, number>, code: string): void {
  const known = counts.get(code);
  if (known !== undefined) counts.set(code, known + 1);
  else if (counts.size < maxCodes) counts.set(code, 1);
  else counts.set(otherLabel, (counts.get(otherLabel) ?? 0) + 1);
}
