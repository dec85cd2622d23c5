/**
 * The door of the embedded agent: the part of Consul's HTTP API that Sluice and its users need, in this
 * process and for this machine alone. What it does and does not do is listed in docs/embedded-agent.md.
 */
import { randomUUID } from "node:crypto";
import { type AddressInfo, isIP } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import type { FastifyInstance } from "fastify";
import { HostList, isLoopback } from "../../gateway/foreign-requests.ts";
import { agentRoutes, version } from "./agent-routes.ts";
import { BlockingQueries } from "./blocking.ts";
import { putCheck, putNode, putService } from "./catalog.ts";
import { catalogRoutes } from "./catalog-routes.ts";
import { checkReach } from "./check-reach.ts";
import { type Clock, systemClock } from "./clock.ts";
import {
  type AgentLimits,
  closeServer,
  createServer,
  defaultAgentLimits,
  type Log,
} from "./http.ts";
import { kvRoutes } from "./kv-routes.ts";
import { LocalAgent } from "./local-agent.ts";
import { sessionRoutes } from "./session-routes.ts";
import { Sessions } from "./sessions.ts";
import { JournalFile, noJournal, readSavedState } from "./state-file.ts";
import { Store } from "./store.ts";

export interface AgentOptions {
  /** The address to listen on. */
  readonly host: string;
  /** 0: any free port; `url` tells which. */
  readonly port: number;
  /** Where the state is kept; made when it is not there. Without it the agent forgets when it ends. */
  readonly dataDir?: string | undefined;
  /** Default `dc1`. */
  readonly datacenter?: string | undefined;
  /** Names, addresses and blocks that `Host` may have beside loopback and the address connected to. */
  readonly hosts?: readonly string[] | undefined;
  /** Addresses and blocks that checks may reach. Default: loopback and private ones. */
  readonly checkAddresses?: readonly string[] | undefined;
  readonly log: Log;
  /** Where they differ from the default. */
  readonly limits?: Partial<AgentLimits> | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
  /** From 0 up to 1; spreads waits and first checks. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

export interface Agent {
  /** `http://127.0.0.1:8500` */
  readonly url: string;
  /** Answers the waiting queries, saves the state, and leaves no socket and no timer. */
  close(): Promise<void>;
}

/**
 * How far the index jumps at a start, so that no index is given out twice, even if the last commits before a crash
 * never reached the disk.
 */
const indexGap = 1000;

/** Starts an agent. Throws `StateFileError` for a state that cannot be read, and what listening throws. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { host, port, dataDir, log } = options;
  const datacenter = options.datacenter ?? "dc1";
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;

  const store = new Store();
  if (dataDir !== undefined) {
    const { image, journal } = await readSavedState(dataDir);
    store.restore(image, journal);
    if (store.index > 0) store.skipTo(store.index + indexGap);
  }
  const journal =
    dataDir === undefined ? noJournal : await JournalFile.open(dataDir, () => store.image());
  const queries = new BlockingQueries(clock, random);
  store.onCommit((commit) => journal.append(commit));
  store.onCommit((commit) => {
    queries.notify(commit);
    // A commit that no request waits for, such as a check's, is saved as well.
    journal
      .flushed()
      .catch((error) => log.error({ err: error }, "the agent's state was not saved"));
  });

  const self = introduce(store, host);
  const identity = { ...self, datacenter, port: () => boundTo(app).port };
  const sessions = new Sessions(store, clock);
  const reach = checkReach(options.checkAddresses ?? null);
  const agent = new LocalAgent(store, sessions, identity.node, clock, random, reach);
  const app = createServer({
    routes: [
      ...kvRoutes(store, queries, sessions),
      ...sessionRoutes(store, queries, sessions, identity.node),
      ...catalogRoutes(store, queries, sessions, datacenter),
      ...agentRoutes(agent, identity),
    ],
    datacenter,
    hosts: new HostList([...(options.hosts ?? []), ...ownNames(host)]),
    journal,
    queries,
    log,
    limits: { ...defaultAgentLimits, ...options.limits },
  });

  const close = async () => {
    agent.close();
    sessions.close();
    await closeServer(app);
    await journal.close();
  };
  try {
    await app.listen({ host, port });
  } catch (error) {
    await close();
    throw error;
  }
  const bound = boundTo(app);
  announce(store, identity.node, bound.port);
  const url = `http://${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`;
  log.info({ url, dataDir: dataDir ?? null, node: identity.node }, "the embedded agent listens");
  return { url, close };
}

function boundTo(app: FastifyInstance): AddressInfo {
  const address = app.server.address();
  if (address === null || typeof address === "string") throw new Error("the agent does not listen");
  return address;
}

/** Puts the agent's own node into the catalog. */
function introduce(store: Store, host: string) {
  const node = store.get("self", "nodeName") ?? hostname();
  const nodeId = store.get("self", "nodeId") ?? randomUUID();
  const address = advertised(host);
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  store.commit((tx) => {
    if (tx.get("self", "nodeId") === undefined) {
      tx.set("self", "nodeName", node);
      tx.set("self", "nodeId", nodeId);
    }
    putNode(tx, {
      ID: nodeId,
      Node: node,
      Address: address,
      TaggedAddresses: {
        lan: address,
        [`lan_${family}`]: address,
        wan: address,
        [`wan_${family}`]: address,
      },
      Meta: { "consul-network-segment": "" },
    });
    putCheck(tx, {
      Node: node,
      CheckID: "serfHealth",
      Name: "Serf Health Status",
      Status: "passing",
      Notes: "",
      Output: "Agent alive and reachable",
      ServiceID: "",
      Type: "",
    });
  });
  return { node, nodeId, address };
}

/** Puts the service `consul` into the catalog, as a server does. */
function announce(store: Store, node: string, port: number): void {
  store.commit((tx) =>
    putService(tx, node, {
      ID: "consul",
      Service: "consul",
      Tags: [],
      Address: "",
      TaggedAddresses: null,
      Meta: { version },
      Port: port,
      Weights: { Passing: 1, Warning: 1 },
      EnableTagOverride: false,
    }),
  );
}

/** The name that it listens on, and the machine's own name if other machines can reach it. */
function ownNames(host: string): string[] {
  const named = isIP(host) === 0 ? [host] : [];
  return isLoopback(host) ? named : [...named, hostname()];
}

/** The node's address in the catalog: the one it listens on; loopback for a name; for any address one that others reach. */
function advertised(host: string): string {
  if (isIP(host) !== 0 && host !== "0.0.0.0" && host !== "::") return host;
  if (isIP(host) === 0) return "127.0.0.1";
  const outer = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal);
  return outer?.address ?? "127.0.0.1";
}
