/**
 * The Consul services in one version and their upstreams: one for all instances of a service, and one for each tag or
 * subset that is asked for. It does not know about documents.
 */
import { type PeerBook, Upstream, type UpstreamOptions } from "../balancing/index.ts";
import {
  type Instance,
  LayeredMap,
  type Level,
  type PeerSettings,
  type Transport,
} from "../model/index.ts";
import type { PeersByHand } from "./peers-by-hand.ts";
import { type InstanceSubset, includesTag } from "./subset.ts";

/** How an upstream treats its servers. */
export interface FailurePolicy {
  readonly maxFails: number;
  readonly failTimeoutMs: number;
  readonly slowStartMs?: number | undefined;
  readonly maxConns?: number | undefined;
}

/** nginx's defaults (ngx_http_upstream_module, `server`). */
const defaultPolicy: FailurePolicy = { maxFails: 1, failTimeoutMs: 10_000 };

/** Instances from other datacenters, one list for each. */
export type Spares = readonly (readonly Instance[])[];

/** Options for the upstreams of a service. */
export type ServiceOptions = FailurePolicy & Omit<UpstreamOptions, "name">;

const byName: ServiceOptions = { ...defaultPolicy, limits: null };

interface Narrowed {
  readonly subset: InstanceSubset;
  readonly upstream: Upstream;
}

/** The instances of one service and the upstreams made from them so far. */
export class Service {
  /** The service's own name, or the name of the document that names it. */
  readonly name: string;
  readonly instances: readonly Instance[];
  /** What replaces the instances while none of them can be used, in this order. */
  readonly spares: Spares;
  readonly settings: PeerSettings | null;
  readonly #options: ServiceOptions;
  readonly #book: PeerBook;
  readonly #all: Upstream;
  readonly #byTag = new Map<string, Upstream>();
  readonly #bySubset = new Map<string, Narrowed>();
  /** For a tag that the service has but that no healthy instance carries. */
  readonly #none: Upstream;
  #disposed = false;

  /** Makes new versions of the upstreams that `previous` had, so that each round goes on where it was. */
  constructor(
    name: string,
    instances: readonly Instance[],
    book: PeerBook,
    previous: Service | null,
    options: ServiceOptions = byName,
    spares: Spares = [],
  ) {
    this.name = name;
    this.instances = instances;
    this.spares = spares;
    this.settings = options.settings ?? null;
    this.#options = options;
    this.#book = book;
    this.#none = new Upstream([], { name, limits: null }, book);
    this.#all = this.#build(name, () => true, previous === null ? null : previous.#all);
    if (previous === null) return;
    for (const [tag, upstream] of previous.#byTag) {
      if (this.#some(hasTag(tag))) this.#byTag.set(tag, this.#buildTagged(tag, upstream));
    }
    for (const { subset, upstream } of previous.#bySubset.values())
      if (this.#some((one) => subset.has(one))) this.#narrow(subset, upstream);
  }

  /** The upstream of all instances, or of those with `tag`; `null` when none has that tag. */
  upstream(tag: string | null): Upstream | null {
    if (tag === null) return this.#all;
    const known = this.#byTag.get(tag);
    if (known !== undefined) return known;
    if (this.#disposed || !this.#some(hasTag(tag))) return null;
    const upstream = this.#buildTagged(tag, null);
    this.#byTag.set(tag, upstream);
    return upstream;
  }

  /** The upstream of the instances in the subset. Allocates for the first look-up in a version. */
  subset(subset: InstanceSubset): Upstream {
    const known = this.#bySubset.get(subset.key);
    if (known !== undefined) return known.upstream;
    return this.#disposed ? this.#none : this.#narrow(subset, null);
  }

  get none(): Upstream {
    return this.#none;
  }

  dispose(): void {
    this.#disposed = true;
    this.#all.dispose();
    for (const upstream of this.#byTag.values()) upstream.dispose();
    for (const { upstream } of this.#bySubset.values()) upstream.dispose();
  }

  *upstreams(): Generator<Upstream> {
    yield this.#all;
    yield* this.#byTag.values();
    for (const { upstream } of this.#bySubset.values()) yield upstream;
  }

  #narrow(subset: InstanceSubset, previous: Upstream | null): Upstream {
    const has = (one: Instance) => subset.has(one);
    const { label, transport } = subset;
    const upstream = this.#build(`${label}.${this.name}`, has, previous, transport);
    this.#bySubset.set(subset.key, { subset, upstream });
    return upstream;
  }

  #buildTagged(tag: string, previous: Upstream | null): Upstream {
    return this.#build(`${tag}.${this.name}`, hasTag(tag), previous);
  }

  #some(test: (instance: Instance) => boolean): boolean {
    return this.instances.some(test) || this.spares.some((instances) => instances.some(test));
  }

  #build(
    name: string,
    has: (one: Instance) => boolean,
    previous: Upstream | null,
    transport: Transport | null = null,
  ): Upstream {
    const levels = [this.instances, ...this.spares].map((instances) =>
      instanceLevel(instances.filter(has), this.#options),
    );
    const { limits: own } = this.#options;
    // What a document says comes before what tags say.
    const limits = transport === null ? own : { ...transport, ...own };
    const options = { ...this.#options, name, whole: this.name, limits };
    return new Upstream(levels, options, this.#book, previous);
  }
}

export class Services {
  readonly #services: LayeredMap<Service>;

  constructor(services: LayeredMap<Service> = new LayeredMap()) {
    this.#services = services;
  }

  /**
   * The upstream of a service, or of its instances with this tag. `null` when the service is not watched or there is
   * no such tag. Allocates only for the first look-up of a tag in a version.
   * @param tags all tags that the catalog has for the service.
   */
  find(key: string, tag: string | null, tags: readonly string[] | undefined): Upstream | null {
    const service = this.#services.get(key);
    return service === undefined ? null : taggedOf(service, tag, tags);
  }

  /** `null` when the service is not watched. */
  get(key: string): Service | null {
    return this.#services.get(key) ?? null;
  }

  instances(key: string): readonly Instance[] | null {
    return this.#services.get(key)?.instances ?? null;
  }

  /** The upstreams that have been made for a service so far. */
  upstreams(key: string): Iterable<Upstream> {
    return this.#services.get(key)?.upstreams() ?? [];
  }

  *all(): Generator<Service> {
    yield* this.#services.values();
  }

  /**
   * Returns the services of `table`, and keeps from here those whose instances are the same object. With `changed`,
   * it looks only at these keys, and returns `this` when there are none. It adds to `dropped` what the new version no
   * longer has.
   */
  next(
    table: ReadonlyMap<string, readonly Instance[]>,
    byHand: PeersByHand,
    changed: ReadonlySet<string> | null,
    book: PeerBook,
    dropped: { dispose(): void }[],
  ): Services {
    if (changed?.size === 0) return this;
    const changes: [key: string, service: Service | null][] = [];
    for (const key of changed ?? new Set([...this.#services.keys(), ...table.keys()])) {
      const instances = table.get(key);
      const known = this.#services.get(key);
      const settings = instances === undefined ? null : byHand.ofService(key);
      if (instances === known?.instances && settings === (known?.settings ?? null)) continue;
      if (known !== undefined) dropped.push(known);
      const service =
        instances === undefined
          ? null
          : new Service(key, instances, book, known ?? null, { ...byName, settings });
      changes.push([key, service]);
    }
    return new Services(this.#services.with(changes));
  }
}

/** `tags`: all tags that the catalog has for the service. One of them may have no healthy instance. */
export function taggedOf(
  service: Service,
  tag: string | null,
  tags: readonly string[] | undefined,
): Upstream | null {
  const upstream = service.upstream(tag);
  if (upstream !== null || tag === null || !includesTag(tags, tag)) return upstream;
  return service.none;
}

/** The instances as one level of servers. */
function instanceLevel(instances: readonly Instance[], policy: FailurePolicy): Level {
  return {
    servers: instances.map((instance) => ({
      host: instance.address,
      port: instance.port,
      weight: instance.weight,
      maxFails: policy.maxFails,
      failTimeoutMs: policy.failTimeoutMs,
      ...(instance.meta?.zone === undefined ? {} : { zone: instance.meta.zone }),
      ...(policy.slowStartMs === undefined ? {} : { slowStartMs: policy.slowStartMs }),
      ...(policy.maxConns === undefined ? {} : { maxConns: policy.maxConns }),
    })),
  };
}

/** Returns all instances when `tag` is `null`. */
export function withTag(instances: readonly Instance[], tag: string | null): readonly Instance[] {
  return tag === null ? instances : instances.filter((one) => includesTag(one.tags, tag));
}

function hasTag(tag: string): (instance: Instance) => boolean {
  return (instance) => includesTag(instance.tags, tag);
}
