/**
 * Tells which services of the own datacenter may have changed, however many there are, by few blocking queries:
 * one for each node, one for the list of nodes, and one each for the checks that are critical and that warn.
 * It reads no service; its listener does.
 */
import type { ConsulClient } from "../../api/client.ts";
import type { Clock } from "../../watching/clock.ts";
import type { Log } from "../../watching/log.ts";
import { Poller } from "../../watching/poller.ts";
import {
  type Renewed,
  Watch,
  type WatchEvent,
  type WatchOptions,
  type WatchStatus,
} from "../../watching/watch.ts";
import {
  difference,
  type IllChecks,
  type IllState,
  type Nodes,
  readIllChecks,
  readNodes,
} from "./cluster.ts";
import { allServices, changedServices, type NodeContent, readNode } from "./node.ts";

export interface BellsOptions {
  readonly consul: ConsulClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly waitMs: number;
  readonly log: Log;
  /** How many blocking queries it may keep. Nodes beyond that are polled, but at least one node has a query. */
  readonly maxWatches: number;
  /** These may have changed, in whatever way: names as they were registered. */
  readonly onRing: (services: ReadonlySet<string>) => void;
}

/** A watch whatever it reads. */
type AnyWatch = Pick<Watch<unknown>, "start" | "stop" | "status" | "renew">;

/** A node that is watched or polled. */
interface Followed {
  /** `null` before its first answer. */
  content: NodeContent | null;
  /** `null`: it is polled. */
  readonly watch: AnyWatch | null;
}

/** Those of the cluster. */
const clusterWatches = 3;
/**
 * What a node's answers may come to: Consul takes some 25 ms for a megabyte of them (measured on 1.8.7), so that a node
 * with 10,000 instances is read three times a second at most, and one with a hundred as often as it changes.
 */
const nodeBytesPerSecond = 12_000_000;

export class Bells {
  readonly #options: BellsOptions;
  readonly #cluster: readonly AnyWatch[];
  readonly #ill: Record<IllState, IllChecks | null> = { critical: null, warning: null };
  #nodes: Nodes = new Map();
  readonly #followed = new Map<string, Followed>();
  readonly #poller: Poller;
  readonly #closing = new Set<Promise<void>>();
  /** Watches that have not answered yet, or fail now. */
  readonly #silent = new Set<string>();
  #since: number | null = null;

  constructor(options: BellsOptions) {
    this.#options = options;
    this.#poller = new Poller({ ...options, poll: (node, signal) => this.#poll(node, signal) });
    this.#cluster = [
      this.#watch("nodes", (query) => readNodes(options.consul, query), this.#onNodes),
      this.#watchState("critical"),
      this.#watchState("warning"),
    ];
  }

  start(): void {
    for (const watch of this.#cluster) watch.start();
  }

  /** Makes every waiting query anew on another connection. */
  renew(which: Renewed): void {
    for (const watch of this.#cluster) watch.renew(which);
    for (const { watch } of this.#followed.values()) watch?.renew(which);
  }

  /** Resolves when no query is left. It cannot start again. */
  async stop(): Promise<void> {
    const nodes = Array.from(this.#followed.values(), ({ watch }) => watch?.stop());
    const all = [...this.#cluster.map((watch) => watch.stop()), ...nodes];
    await Promise.all([this.#poller.stop(), ...all, ...this.#closing]);
  }

  /** Since when it tells of every change; `null` while it cannot. */
  get toldSince(): number | null {
    return this.#silent.size === 0 ? this.#since : null;
  }

  /** Blocking queries that it keeps. */
  get watchCount(): number {
    let nodes = 0;
    for (const { watch } of this.#followed.values()) if (watch !== null) nodes += 1;
    return clusterWatches + nodes;
  }

  watches(): readonly WatchStatus[] {
    const nodes = Array.from(this.#followed.values(), ({ watch }) => watch?.status() ?? []);
    return [...this.#cluster.map((watch) => watch.status()), ...nodes.flat()];
  }

  /** Some registration has changed somewhere: nodes without a watch are asked at once. */
  registrationsMoved(): void {
    for (const [node, { watch }] of this.#followed) if (watch === null) this.#poller.urge(node);
  }

  readonly #onNodes = ({ value }: WatchEvent<Nodes>): void => {
    const before = this.#nodes;
    this.#nodes = value;
    for (const [node, address] of value) {
      const followed = this.#followed.get(node);
      if (followed === undefined) this.#follow(node);
      // Instances without an address of their own have their node's.
      else if (before.get(node) !== address) this.#ring(allServices(followed.content ?? new Map()));
    }
    for (const [node, followed] of [...this.#followed])
      if (!value.has(node)) this.#unfollow(node, followed);
    this.#heard("nodes");
  };

  #follow(node: string): void {
    const isWatched = this.watchCount < Math.max(clusterWatches + 1, this.#options.maxWatches);
    const name = `node ${node}`;
    if (isWatched) {
      const read: WatchOptions<NodeContent>["query"] = (query) =>
        readNode(this.#options.consul, node, query);
      const watch = this.#watch(
        name,
        read,
        (event) => this.#onNode(node, event),
        nodeBytesPerSecond,
      );
      this.#followed.set(node, { content: null, watch });
      watch.start();
    } else {
      this.#silent.add(name);
      this.#followed.set(node, { content: null, watch: null });
      this.#poller.add(node);
    }
  }

  #unfollow(node: string, { content, watch }: Followed): void {
    this.#followed.delete(node);
    this.#silent.delete(`node ${node}`);
    this.#poller.remove(node);
    if (watch !== null) {
      const closing = watch.stop();
      this.#closing.add(closing);
      void closing.finally(() => this.#closing.delete(closing));
    }
    this.#ring(allServices(content ?? new Map()));
  }

  async #poll(node: string, signal: AbortSignal): Promise<void> {
    const query = { index: null, waitMs: 0, signal };
    const { value } = await readNode(this.#options.consul, node, query);
    this.#onNode(node, { value, backwards: false });
  }

  #onNode(node: string, event: Pick<WatchEvent<NodeContent>, "value" | "backwards">): void {
    const followed = this.#followed.get(node);
    if (followed === undefined) return;
    const before = followed.content;
    followed.content = event.value;
    this.#heard(`node ${node}`);
    // Nothing is known about the time before its first answer, and another Consul counts anew.
    if (before === null || event.backwards)
      this.#ring(allServices(before ?? new Map(), event.value));
    else this.#ring(changedServices(before, event.value));
  }

  #watchState(state: IllState): AnyWatch {
    return this.#watch(
      `checks ${state}`,
      (query) => readIllChecks(this.#options.consul, state, query),
      ({ value }) => {
        const before = this.#ill[state];
        this.#ill[state] = value;
        this.#heard(`checks ${state}`);
        const names = new Set<string>();
        for (const { node, service } of difference(before ?? new Map(), value)) {
          if (service !== "") names.add(service);
          else for (const name of this.#servicesOn(node)) names.add(name);
        }
        this.#ring(names);
      },
    );
  }

  #servicesOn(node: string): ReadonlySet<string> {
    return allServices(this.#followed.get(node)?.content ?? new Map());
  }

  #watch<T>(
    name: string,
    query: WatchOptions<T>["query"],
    onAnswer: WatchOptions<T>["onAnswer"],
    bytesPerSecond?: number,
  ): Watch<T> {
    const { clock, random, waitMs, log } = this.#options;
    this.#silent.add(name);
    return new Watch({
      ...{ name, clock, random, waitMs, query, onAnswer },
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      onStateChange: ({ state, lastError }) => {
        if (state === "failing") {
          log.debug({ watch: name }, `${lastError}; services are polled meanwhile`);
          this.#silent.add(name);
        } else this.#heard(name);
      },
    });
  }

  /** Its content is known, and from now on it tells of changes. */
  #heard(name: string): void {
    this.#silent.delete(name);
    if (this.#silent.size === 0) this.#since ??= this.#options.clock.now();
  }

  #ring(services: ReadonlySet<string>): void {
    if (services.size > 0) this.#options.onRing(services);
  }
}
