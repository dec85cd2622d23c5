/**
 * The peers for which operators may set something by hand: those of upstream documents and of services in use.
 */
import { peerKey } from "../engine/peer.ts";
import { ownDatacenter, type PeerSetting, SiteNames, type Tables } from "../model/index.ts";
import { upstreamLevels } from "./upstream-levels.ts";

export interface NamedPeers {
  /** The name of their key below `peers/`: the document's name, or the site of the service. */
  readonly name: string;
  readonly addresses: ReadonlySet<string>;
}

/** What is set by hand for a peer, as `/status` shows it. */
export interface PeerByHand {
  readonly upstream: string;
  readonly peer: string;
  readonly drained: boolean;
  /** `null`: its own. */
  readonly weight: number | null;
  readonly by: string;
  readonly since: string;
}

type PeerTables = Pick<Tables, "upstream" | "service" | "datacenter" | "peer">;

export class KnownPeers {
  readonly #tables: () => PeerTables;

  constructor(tables: () => PeerTables) {
    this.#tables = tables;
  }

  /** Of an upstream document or of a service in any spelling; `null`: there is neither. */
  find(name: string): NamedPeers | null {
    const { upstream, service, ...tables } = this.#tables();
    const names = new SiteNames(ownDatacenter(tables));
    const document = upstream.get(name);
    if (document !== undefined) {
      const servers = upstreamLevels(document, { service }, names).flat();
      return { name, addresses: new Set(servers.map(({ host, port }) => peerKey(host, port))) };
    }
    const query = names.find(name.toLowerCase());
    const instances = query === null ? undefined : service.get(query.key);
    if (query === null || instances === undefined) return null;
    const addresses = instances.map(({ address, port }) => peerKey(address, port));
    return { name: query.site, addresses: new Set(addresses) };
  }

  /** What is set by hand for a peer; `null`: nothing is. */
  setting(name: string, address: string): PeerSetting | null {
    return this.#tables().peer.get(name)?.[address] ?? null;
  }

  byHand(): readonly PeerByHand[] {
    return Array.from(this.#tables().peer, ([upstream, settings]) =>
      Object.entries(settings).map(([peer, { isDrained: drained, weight, by, since }]) => ({
        ...{ upstream, peer, drained, weight, by, since },
      })),
    ).flat();
  }
}
