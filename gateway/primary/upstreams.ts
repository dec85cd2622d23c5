/**
 * What `GET /upstreams` shows: each upstream's peers with their state in each worker. The workers know it;
 * here their answers are put beside each other.
 */
import {
  ownDatacenter,
  type PeerStatus,
  type RoutedUpstream,
  SiteNames,
  type Tables,
  type UpstreamKeys,
} from "../model/index.ts";
import type { Clock } from "./clock.ts";
import type { Unanswered } from "./questions.ts";
import type { Workers } from "./workers.ts";

/** A peer as one worker knows it. */
export interface PeerInWorker
  extends Pick<PeerStatus, "state" | "fails" | "inFlight" | "effectiveWeight"> {
  readonly worker: number;
  /** ISO 8601: when it may get a probing request; `null` when it is up, or never gets one. */
  readonly downUntil: string | null;
}

export interface ShownPeer extends Pick<PeerStatus, "address" | "level" | "weight"> {
  readonly workers: readonly PeerInWorker[];
}

export interface ShownUpstream extends Omit<RoutedUpstream, "peers"> {
  readonly peers: readonly ShownPeer[];
}

export interface UpstreamsAnswer {
  readonly upstreams: readonly ShownUpstream[];
  /** Workers whose view is missing, or a part of it. */
  readonly unanswered: readonly Unanswered[];
}

export interface UpstreamsOptions {
  readonly tables: () => Pick<Tables, "upstream" | "service" | "datacenter">;
  readonly workers: Pick<Workers, "ask">;
  readonly clock: Clock;
}

/** About so many peers a worker describes at a time: a millisecond or two, in which it serves nobody. */
const peersAtOnce = 1_000;

export class Upstreams {
  readonly #options: UpstreamsOptions;

  constructor(options: UpstreamsOptions) {
    this.#options = options;
  }

  /** All of them, or what has this name: a document's, or a service's in any spelling. `null`: nothing has. */
  async show(name: string | null): Promise<UpstreamsAnswer | null> {
    const { workers } = this.#options;
    const names = new SiteNames(ownDatacenter(this.#options.tables()));
    const service = name === null ? null : names.find(name)?.key;
    const wanted = this.#all(names).filter(
      ({ kind, key }) => name === null || key === (kind === "upstream" ? name : service),
    );
    if (wanted.length === 0 && name !== null) return null;
    const shown = new Map<string, MutableUpstream>();
    const unanswered: Unanswered[] = [];
    let asked: ReadonlySet<number> | undefined;
    for (const keys of batches(wanted)) {
      const outcome = await workers.ask("upstreams", keys, asked && { workers: asked });
      unanswered.push(...outcome.unanswered);
      // One that has not answered once is not waited for again.
      asked = new Set(outcome.replies.map(({ worker }) => worker));
      for (const { worker, answer } of outcome.replies) {
        for (const upstream of answer) this.#add(shown, worker, upstream);
      }
    }
    const upstreams = Array.from(shown.values(), ({ peers, ...upstream }) => ({
      ...upstream,
      peers: [...peers.values()],
    }));
    return { upstreams: upstreams.sort(byName), unanswered };
  }

  #all(names: SiteNames): readonly Wanted[] {
    const { upstream, service } = this.#options.tables();
    const sizeOf = (key: string | null | undefined) =>
      1 + (typeof key === "string" ? (service.get(key)?.length ?? 0) : 0);
    const ofDocuments = Array.from(upstream, ([key, document]): Wanted => {
      const size = sizeOf(document.service === null ? null : names.find(document.service)?.key);
      const servers = document.levels.reduce((sum, level) => sum + level.servers.length, 0);
      return { kind: "upstream", key, size: size + servers };
    });
    const ofServices = Array.from(
      service.keys(),
      (key): Wanted => ({ kind: "service", key, size: sizeOf(key) }),
    );
    return [...ofDocuments, ...ofServices];
  }

  #add(shown: Map<string, MutableUpstream>, worker: number, routed: RoutedUpstream): void {
    const { peers, ...upstream } = routed;
    const id = `${upstream.kind} ${upstream.key} ${upstream.name}`;
    const known = shown.get(id) ?? { ...upstream, peers: new Map<string, MutablePeer>() };
    shown.set(id, known);
    for (const { address, level, weight, downForMs, ...live } of peers) {
      const place = `${level} ${address}`;
      const peer = known.peers.get(place) ?? { address, level, weight, workers: [] };
      known.peers.set(place, peer);
      const { state, fails, inFlight, effectiveWeight } = live;
      const downUntil =
        downForMs === null
          ? null
          : new Date(this.#options.clock.now() + Math.max(0, downForMs)).toISOString();
      peer.workers.push({ worker, state, fails, inFlight, effectiveWeight, downUntil });
    }
  }
}

interface MutablePeer extends ShownPeer {
  readonly workers: PeerInWorker[];
}

interface MutableUpstream extends Omit<RoutedUpstream, "peers"> {
  readonly peers: Map<string, MutablePeer>;
}

interface Wanted {
  readonly kind: RoutedUpstream["kind"];
  readonly key: string;
  /** About how much it costs to describe it. */
  readonly size: number;
}

function* batches(wanted: readonly Wanted[]): Generator<UpstreamKeys> {
  let upstreams: string[] = [];
  let services: string[] = [];
  let size = 0;
  for (const one of wanted) {
    (one.kind === "upstream" ? upstreams : services).push(one.key);
    size += one.size;
    if (size < peersAtOnce) continue;
    yield { upstreams, services };
    [upstreams, services, size] = [[], [], 0];
  }
  if (size > 0) yield { upstreams, services };
}

function byName(a: ShownUpstream, b: ShownUpstream): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}
