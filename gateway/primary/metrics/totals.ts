/**
 * The sums of what all workers have counted, those that are gone included. Workers send increments, so the sums
 * only grow. When a worker is killed, what it counted in its last second is lost.
 */
import {
  type DelayCounts,
  otherLabel,
  type RouteCounts,
  type StreamCounts,
  type WorkerCounts,
} from "../../model/index.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface RouteTotals extends Omit<Mutable<RouteCounts>, "classes" | "durations"> {
  readonly classes: number[];
  readonly durations: number[];
}

export interface StreamTotals extends Omit<Mutable<StreamCounts>, "failures"> {
  readonly failures: Map<string, number>;
}

/** Of one process. */
export interface ProcessTotals {
  processorSeconds: number;
  readonly delays: { readonly buckets: number[]; seconds: number };
}

/** Pairs of host and upstream that have series of their own. */
const maxRoutes = 1_000;
/** Pairs of listener and upstream that have series of their own. */
const maxStreams = 1_000;
/** Series of failed tries. */
const maxPeerFailures = 1_000;
/** Error codes are the gateway's own and few. */
const maxCodes = 200;

export class Totals {
  readonly #hostTest: () => (name: string) => boolean;
  readonly #isUpstream: (name: string) => boolean;
  readonly #routes = new Map<string, RouteTotals>();
  readonly #peerFailures = new Map<string, { upstream: string; code: string; count: number }>();
  readonly #streams = new Map<string, StreamTotals>();
  readonly #processes = new Map<string, ProcessTotals>();
  /**
   * Whether it has looked for gone entries since the last counts came: it does not look again for every pair
   * that has no room.
   */
  #hasMadeRoom = false;
  readonly failures = new Map<string, number>();
  readonly refused = new Map<string, number>();
  droppedHeaders = 0;

  /** Whether there is such a host or upstream now: what is gone makes room when there are too many. */
  constructor(options: {
    readonly hostTest: () => (name: string) => boolean;
    readonly isUpstream: (name: string) => boolean;
  }) {
    this.#hostTest = options.hostTest;
    this.#isUpstream = options.isUpstream;
  }

  /** @param process which one counted; its successors count on. */
  take(process: string, counts: WorkerCounts): void {
    this.#hasMadeRoom = false;
    for (const route of counts.routes) addRoute(this.#routeOf(route.host, route.upstream), route);
    for (const { upstream, code, count } of counts.peerFailures) {
      this.#peerFailureOf(upstream, code).count += count;
    }
    for (const stream of counts.streams)
      addStream(this.#streamOf(stream.listener, stream.upstream), stream);
    addCodes(this.failures, counts.failures);
    addCodes(this.refused, counts.refused);
    this.droppedHeaders += counts.droppedHeaders;
    this.takeProcess(process, counts);
  }

  /** The part of it that the primary counts of itself. */
  takeProcess(
    process: string,
    counts: { readonly processorSeconds: number; readonly delays: DelayCounts },
  ): void {
    const known = this.#processes.get(process);
    const totals = known ?? { processorSeconds: 0, delays: { buckets: [], seconds: 0 } };
    this.#processes.set(process, totals);
    totals.processorSeconds += counts.processorSeconds;
    totals.delays.seconds += counts.delays.seconds;
    addEach(totals.delays.buckets, counts.delays.buckets);
  }

  routes(): Iterable<RouteTotals> {
    return this.#routes.values();
  }

  streams(): Iterable<StreamTotals> {
    return this.#streams.values();
  }

  peerFailures(): Iterable<{
    readonly upstream: string;
    readonly code: string;
    readonly count: number;
  }> {
    return this.#peerFailures.values();
  }

  processes(): Iterable<readonly [process: string, ProcessTotals]> {
    return this.#processes;
  }

  #routeOf(host: string, upstream: string): RouteTotals {
    const key = `${host} ${upstream}`;
    const known = this.#routes.get(key);
    if (known !== undefined) return known;
    if (this.#routes.size >= maxRoutes && !this.#hasMadeRoom) this.#makeRoom();
    if (this.#routes.size < maxRoutes || (host === otherLabel && upstream === otherLabel)) {
      const route = emptyRoute(host, upstream);
      this.#routes.set(key, route);
      return route;
    }
    return this.#routeOf(otherLabel, otherLabel);
  }

  /** The counts of what is gone become a part of `other`, so that a sum over all hosts does not go back. */
  #makeRoom(): void {
    this.#hasMadeRoom = true;
    const isHost = this.#hostTest();
    for (const [key, route] of this.#routes) {
      const { host, upstream } = route;
      if (host === otherLabel || (isHost(host) && this.#isUpstream(upstream))) continue;
      this.#routes.delete(key);
      addRoute(this.#routeOf(otherLabel, otherLabel), route);
    }
  }

  #streamOf(listener: string, upstream: string): StreamTotals {
    const key = `${listener} ${upstream}`;
    const known = this.#streams.get(key);
    if (known !== undefined) return known;
    if (this.#streams.size >= maxStreams && listener !== otherLabel)
      return this.#streamOf(otherLabel, otherLabel);
    const numbers = { bytesIn: 0, bytesOut: 0, ended: 0 };
    const totals = { listener, upstream, ...numbers, failures: new Map() };
    this.#streams.set(key, totals);
    return totals;
  }

  #peerFailureOf(upstream: string, code: string) {
    const hasRoom = this.#peerFailures.size < maxPeerFailures;
    const name = hasRoom || this.#peerFailures.has(`${upstream} ${code}`) ? upstream : otherLabel;
    const key = `${name} ${code}`;
    const totals = this.#peerFailures.get(key) ?? { upstream: name, code, count: 0 };
    this.#peerFailures.set(key, totals);
    return totals;
  }
}

function emptyRoute(host: string, upstream: string): RouteTotals {
  const numbers = { seconds: 0, tries: 0, bytesIn: 0, bytesOut: 0 };
  return { host, upstream, classes: [], durations: [], ...numbers };
}

function addRoute(totals: RouteTotals, counts: RouteCounts): void {
  addEach(totals.classes, counts.classes);
  addEach(totals.durations, counts.durations);
  totals.seconds += counts.seconds;
  totals.tries += counts.tries;
  totals.bytesIn += counts.bytesIn;
  totals.bytesOut += counts.bytesOut;
}

function addStream(totals: StreamTotals, counts: StreamCounts): void {
  totals.bytesIn += counts.bytesIn;
  totals.bytesOut += counts.bytesOut;
  totals.ended += counts.ended;
  addCodes(totals.failures, counts.failures);
}

function addEach(totals: number[], counts: readonly number[]): void {
  for (const [at, count] of counts.entries()) totals[at] = (totals[at] ?? 0) + count;
}

function addCodes(totals: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [code, count] of Object.entries(counts)) {
    const name = totals.has(code) || totals.size < maxCodes ? code : otherLabel;
    totals.set(name, (totals.get(name) ?? 0) + count);
  }
}
