/**
 * What `GET /upstreams` shows: each upstream's peers with their state in each worker. The workers know it; this
 * puts their answers side by side.
 */
import {
  type BoundsStatus,
  ownDatacenter,
  type PeerStatus,
  type RoutedUpstream,
  SiteNames,
  type Tables,
} from "../model/index.ts";
import type { Clock } from "./clock.ts";
import type { Unanswered } from "./questions.ts";
import { batches, routedEntries } from "./routed-entries.ts";
import type { Workers } from "./workers.ts";

/** A peer as one worker knows it. */
export interface PeerInWorker
  extends Omit<PeerStatus, "address" | "level" | "weight" | "downForMs"> {
  readonly worker: number;
  /** ISO 8601: when it may get a probing request; `null` when it is up, or never gets one. */
  readonly downUntil: string | null;
}

export interface ShownPeer extends Pick<PeerStatus, "address" | "level" | "weight"> {
  readonly workers: readonly PeerInWorker[];
}

/** What bounds an upstream, as one worker knows it. */
export interface BoundsInWorker extends BoundsStatus {
  readonly worker: number;
}

export interface ShownUpstream extends Omit<RoutedUpstream, "peers" | "bounds"> {
  readonly bounds: readonly BoundsInWorker[];
  readonly peers: readonly ShownPeer[];
}

export interface UpstreamsAnswer {
  readonly upstreams: readonly ShownUpstream[];
  /** Workers whose view is missing, or a part of it. */
  readonly unanswered: readonly Unanswered[];
}

export interface UpstreamViewOptions {
  readonly tables: () => Pick<Tables, "upstream" | "service" | "datacenter">;
  readonly workers: Pick<Workers, "ask">;
  readonly clock: Clock;
}

export class UpstreamView {
  readonly #options: UpstreamViewOptions;

  constructor(options: UpstreamViewOptions) {
    this.#options = options;
  }

  /**
   * All upstreams, or the one of this name: a document's, or a service's in any spelling. `null`: there is
   * none.
   */
  async show(name: string | null): Promise<UpstreamsAnswer | null> {
    const { workers } = this.#options;
    const tables = this.#options.tables();
    const names = new SiteNames(ownDatacenter(tables));
    const service = name === null ? null : names.find(name.toLowerCase())?.key;
    const wanted = routedEntries(tables, names).filter(
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

  #add(shown: Map<string, MutableUpstream>, worker: number, routed: RoutedUpstream): void {
    const { peers, bounds, ...upstream } = routed;
    const id = `${upstream.kind} ${upstream.key} ${upstream.name}`;
    const known = shown.get(id) ?? {
      ...upstream,
      bounds: [],
      peers: new Map<string, MutablePeer>(),
    };
    shown.set(id, known);
    known.bounds.push({ worker, ...bounds });
    for (const { address, level, weight, downForMs, ...live } of peers) {
      const place = `${level} ${address}`;
      const peer = known.peers.get(place) ?? { address, level, weight, workers: [] };
      known.peers.set(place, peer);
      const downUntil =
        downForMs === null
          ? null
          : new Date(this.#options.clock.now() + Math.max(0, downForMs)).toISOString();
      peer.workers.push({ worker, ...live, downUntil });
    }
  }
}

interface MutablePeer extends ShownPeer {
  readonly workers: PeerInWorker[];
}

interface MutableUpstream extends Omit<RoutedUpstream, "peers" | "bounds"> {
  readonly bounds: BoundsInWorker[];
  readonly peers: Map<string, MutablePeer>;
}

function byName(a: ShownUpstream, b: ShownUpstream): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}
