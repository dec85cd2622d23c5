/**
 * The Consul services of one version and their upstreams: one for all instances of a service, one
 * for each tag that is asked for. Documents are not its business.
 */
import { type PeerBook, Upstream } from "../balancing/index.ts";
import type { Instance, Level } from "../state/index.ts";
import { parseServiceName, serviceKey } from "../state/index.ts";

/** How an upstream treats failures of its servers. */
export interface FailurePolicy {
  readonly maxFails: number;
  readonly failTimeoutMs: number;
}

/** nginx's defaults (ngx_http_upstream_module, `server`). */
const defaultPolicy: FailurePolicy = { maxFails: 1, failTimeoutMs: 10_000 };

/** One service and the upstreams made of it so far. */
export class Service {
  readonly key: string;
  readonly instances: readonly Instance[];
  readonly #book: PeerBook;
  readonly #all: Upstream;
  readonly #byTag = new Map<string, Upstream>();
  /** For a tag that the service has but no healthy instance carries. */
  readonly #none: Upstream;
  #disposed = false;

  /** Makes anew what `previous` had, so that each round goes on where it stood. */
  constructor(
    key: string,
    instances: readonly Instance[],
    book: PeerBook,
    previous: Service | null,
  ) {
    this.key = key;
    this.instances = instances;
    this.#book = book;
    this.#none = new Upstream([], { name: key, limits: null }, book);
    this.#all = this.#build(null, previous === null ? null : previous.#all);
    if (previous === null) return;
    for (const [tag, upstream] of previous.#byTag) {
      if (hasTag(instances, tag)) this.#byTag.set(tag, this.#build(tag, upstream));
    }
  }

  /** The upstream of all instances or of those with `tag`; `null` when none has that tag. */
  upstream(tag: string | null): Upstream | null {
    if (tag === null) return this.#all;
    const known = this.#byTag.get(tag);
    if (known !== undefined) return known;
    if (this.#disposed || !hasTag(this.instances, tag)) return null;
    const upstream = this.#build(tag, null);
    this.#byTag.set(tag, upstream);
    return upstream;
  }

  get none(): Upstream {
    return this.#none;
  }

  dispose(): void {
    this.#disposed = true;
    this.#all.dispose();
    for (const upstream of this.#byTag.values()) upstream.dispose();
  }

  *upstreams(): Generator<Upstream> {
    yield this.#all;
    yield* this.#byTag.values();
  }

  #build(tag: string | null, previous: Upstream | null): Upstream {
    const name = tag === null ? this.key : `${tag}.${this.key}`;
    const levels = [instanceLevel(this.instances, tag, defaultPolicy)];
    return new Upstream(levels, { name, limits: null }, this.#book, previous);
  }
}

export class Services {
  readonly #services: ReadonlyMap<string, Service>;
  /**
   * Names that were asked for in this version, as they were written. Only names with an instance
   * behind them get in, so what clients invent cannot make it grow.
   */
  readonly #names = new Map<string, Upstream>();

  constructor(services: ReadonlyMap<string, Service> = new Map()) {
    this.#services = services;
  }

  /**
   * The upstream of a service by one of the DNS forms of its name; `null` when it is not watched or
   * there is no such tag. Allocates only for the first look-up of a name in a version.
   */
  find(name: string, catalog: ReadonlyMap<string, readonly string[]>): Upstream | null {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    // Most hosts that get here are no service's at all; a cheap look saves splitting them.
    if (name.includes(".") && !name.endsWith(".consul")) return null;
    const query = parseServiceName(name);
    const service = query === null ? undefined : this.#services.get(serviceKey(query));
    if (query === null || service === undefined) return null;
    const upstream = service.upstream(query.tag);
    if (upstream !== null) this.#names.set(name, upstream);
    else if (query.tag !== null && includesTag(catalog.get(query.name), query.tag))
      return service.none;
    return upstream;
  }

  instances(key: string): readonly Instance[] | null {
    return this.#services.get(key)?.instances ?? null;
  }

  *all(): Generator<Service> {
    yield* this.#services.values();
  }

  /**
   * The services of `table`, sharing those whose instances are the same object as here. With
   * `changed`, only these keys are looked at; `this` itself when there are none. What the new
   * version no longer has is added to `dropped`.
   */
  next(
    table: ReadonlyMap<string, readonly Instance[]>,
    changed: ReadonlySet<string> | null,
    book: PeerBook,
    dropped: { dispose(): void }[],
  ): Services {
    if (changed?.size === 0) return this;
    const services = new Map(this.#services);
    for (const key of changed ?? new Set([...services.keys(), ...table.keys()])) {
      const instances = table.get(key);
      const known = this.#services.get(key);
      if (instances === known?.instances) continue;
      if (known !== undefined) dropped.push(known);
      if (instances === undefined) services.delete(key);
      else services.set(key, new Service(key, instances, book, known ?? null));
    }
    return new Services(services);
  }
}

/** The instances, all or those with `tag`, as one level of servers. */
export function instanceLevel(
  instances: readonly Instance[],
  tag: string | null,
  policy: FailurePolicy,
): Level {
  const chosen = tag === null ? instances : instances.filter((one) => includesTag(one.tags, tag));
  return {
    servers: chosen.map((instance) => ({
      host: instance.address,
      port: instance.port,
      weight: instance.weight,
      maxFails: policy.maxFails,
      failTimeoutMs: policy.failTimeoutMs,
    })),
  };
}

function hasTag(instances: readonly Instance[], tag: string): boolean {
  return instances.some((instance) => includesTag(instance.tags, tag));
}

/** Names in DNS have no case, tags in Consul do; `wanted` comes out of a name and is in lower case. */
export function includesTag(tags: readonly string[] | undefined, wanted: string): boolean {
  return tags?.some((tag) => tag.toLowerCase() === wanted) ?? false;
}
