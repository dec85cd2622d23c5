/** The upstream documents of one version, each with the upstream that it describes. */
import { isDeepStrictEqual } from "node:util";
import {
  defaultRetryBudget,
  Gate,
  keyReader,
  type PeerBook,
  RetryBudget,
  Upstream,
} from "../balancing/index.ts";
import type { TargetOptions } from "../engine/engine.ts";
import {
  failoverKeys,
  type Instance,
  type PeerSettings,
  type ServiceSite,
  type SiteNames,
  type UpstreamDocument,
} from "../model/index.ts";
import type { PeersByHand } from "./peers-by-hand.ts";
import { Service, type Services, type Spares, withTag } from "./services.ts";

/** An upstream document and its upstream. */
export interface Documented {
  readonly name: string;
  readonly document: UpstreamDocument;
  /** What operators set by hand for its peers. */
  readonly settings: PeerSettings | null;
  /** The service that the document names; `null` when the document lists servers. */
  readonly query: ServiceSite | null;
  /** The instances of that service; `null` when none are known yet, or when the document lists servers. */
  readonly instances: readonly Instance[] | null;
  /** The services that can replace that one, by key. Their instances, as far as they are known, follow. */
  readonly spareKeys: readonly string[];
  readonly spares: Spares;
  /** The instances that the document means, ready to be narrowed to a tag; `null` as above. */
  readonly service: Service | null;
  /** Bounds all parts of the upstream together; `null`: nothing does. */
  readonly gate: Gate | null;
  readonly retryBudget: RetryBudget | null;
  /** `null` while its service is not watched yet. */
  readonly upstream: Upstream | null;
  dispose(): void;
}

export class Documents {
  static readonly empty: Documents = new Documents(new Map(), null);

  readonly #documents: ReadonlyMap<string, Documented>;
  /** Names of the documents that depend on a service, by the service's key. */
  readonly #dependents: ReadonlyMap<string, readonly string[]>;
  /** Documents whose names are another spelling of a service, by the service's site. */
  readonly #spelled: ReadonlyMap<string, Documented>;
  readonly #names: SiteNames | null;
  /** Made when first asked for. */
  #gates: ReadonlyMap<string, Gate> | null = null;

  private constructor(
    documents: ReadonlyMap<string, Documented>,
    names: SiteNames | null,
    dependents?: ReadonlyMap<string, readonly string[]>,
  ) {
    this.#documents = documents;
    this.#names = names;
    this.#dependents = dependents ?? findDependents(documents);
    this.#spelled = names === null ? new Map() : findSpelled(documents, names);
  }

  get(name: string): Documented | undefined {
    return this.#documents.get(name);
  }

  /** The document whose name means this service, however the name is spelt. */
  ofSite(site: string): Documented | undefined {
    const own = this.#documents.get(site);
    return own !== undefined || this.#spelled.size === 0 ? own : this.#spelled.get(site);
  }

  /** The gates of the documents that have one, by document name. */
  get gates(): ReadonlyMap<string, Gate> {
    this.#gates ??= gatesOf(this.#documents);
    return this.#gates;
  }

  *all(): Generator<Documented> {
    yield* this.#documents.values();
  }

  /**
   * Returns the documents of `table` with the instances of `services`, and keeps from here whatever is the same
   * object. With `changed` and `changedServices`, it looks only at these; it returns `this` when nothing is left to
   * change. It adds to `dropped` what the new version no longer has.
   */
  next(
    table: ReadonlyMap<string, UpstreamDocument>,
    services: Services,
    names: SiteNames,
    byHand: PeersByHand,
    changed: ReadonlySet<string> | null,
    changedServices: ReadonlySet<string> | null,
    book: PeerBook,
    dropped: { dispose(): void }[],
  ): Documents {
    const wanted = new Set(changed ?? [...this.#documents.keys(), ...table.keys()]);
    for (const key of changedServices ?? []) {
      for (const name of this.#dependents.get(key) ?? []) wanted.add(name);
    }
    if (wanted.size === 0 && names === this.#names) return this;
    const documents = new Map(this.#documents);
    let sameServices = true;
    for (const name of wanted) {
      const document = table.get(name);
      const known = this.#documents.get(name);
      const made =
        document === undefined
          ? undefined
          : make(name, document, services, names, byHand.of(name), book, known);
      if (made === known) continue;
      if (known !== undefined) dropped.push(known);
      if (known?.gate !== made?.gate) known?.gate?.abandon();
      if (made === undefined) documents.delete(name);
      else documents.set(name, made);
      if (!isSameList(servicesOf(made), servicesOf(known))) sameServices = false;
    }
    return new Documents(documents, names, sameServices ? this.#dependents : undefined);
  }
}

/** All parts of the upstream share one gate, which keeps its state when the document changes. */
function gateOf(
  name: string,
  { gate: options }: UpstreamDocument,
  book: PeerBook,
  known: Documented | undefined,
): Gate | null {
  if (options === undefined) return null;
  const gate = known?.gate ?? new Gate(name, options, book.now);
  if (gate.options !== options) gate.options = options;
  return gate;
}

function budgetOf(
  { retryBudget: options = defaultRetryBudget }: UpstreamDocument,
  known: Documented | undefined,
): RetryBudget | null {
  if (options === null) return null;
  const before = known?.retryBudget ?? null;
  return before !== null && isDeepStrictEqual(before.options, options)
    ? before
    : new RetryBudget(options);
}

/** `null` when the document leaves all of them to the gateway. */
function limitsOf(document: UpstreamDocument): TargetOptions | null {
  const { tries, timeouts, retries, protocol, tls, sentHost } = document;
  const others = [timeouts, retries, protocol, tls, sentHost];
  if (tries === null && others.every((one) => one === undefined)) return null;
  return {
    maxTries: tries,
    ...timeouts,
    ...(sentHost === undefined ? {} : { sentHost }),
    ...(retries === undefined ? {} : { retries }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(tls === undefined ? {} : { tls }),
  };
}

function make(
  name: string,
  document: UpstreamDocument,
  services: Services,
  names: SiteNames,
  settings: PeerSettings | null,
  book: PeerBook,
  known: Documented | undefined,
): Documented {
  const query = document.service === null ? null : names.find(document.service);
  const instances = query === null ? null : services.instances(query.key);
  const isSame =
    known?.document === document &&
    known.settings === settings &&
    known.query?.full === query?.full;
  const spareKeys = query === null ? [] : failoverOf(document, query, names);
  const spares = spareKeys.map((key) => services.instances(key) ?? noInstances);
  if (isSame && known.instances === instances && isSameList(known.spares, spares)) return known;
  const limits = limitsOf(document);
  const {
    policy = "wrr",
    hashBy,
    isProtected = true,
    outliers = null,
    slowStartMs,
    maxConns,
  } = document;
  const keyOf = hashBy === undefined ? null : keyReader(hashBy);
  const gate = gateOf(name, document, book, known);
  const retryBudget = budgetOf(document, known);
  const choice = {
    ...{ settings, limits, policy, keyOf, isProtected, outliers },
    ...{ gate, retryBudget },
  };
  const described = {
    ...{ name, document, settings, query, gate, retryBudget },
    ...{ spareKeys, spares },
  };
  if (query === null) {
    const options = { ...choice, name };
    const upstream = new Upstream(document.levels, options, book, known?.upstream ?? null);
    const dispose = () => upstream.dispose();
    return { ...described, instances: null, service: null, upstream, dispose };
  }
  if (instances === null)
    return { ...described, instances, service: null, upstream: null, dispose: () => {} };
  const chosen = withTag(instances, query.tag);
  const { maxFails, failTimeoutMs } = document;
  const options = { ...choice, maxFails, failTimeoutMs, slowStartMs, maxConns };
  const narrowed = spares.map((some) => withTag(some, query.tag));
  const service = new Service(name, chosen, book, known?.service ?? null, options, narrowed);
  const upstream = service.upstream(null);
  return { ...described, instances, service, upstream, dispose: () => service.dispose() };
}

const noInstances: readonly Instance[] = [];

function failoverOf({ failover = [] }: UpstreamDocument, query: ServiceSite, names: SiteNames) {
  return failoverKeys(query, failover, names.ownDatacenter);
}

/** The keys of all services that the document depends on. */
function servicesOf(documented: Documented | undefined): readonly string[] {
  if (documented === undefined || documented.query === null) return [];
  return [documented.query.key, ...documented.spareKeys];
}

function isSameList<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === other.length && one.every((value, at) => value === other[at]);
}

function gatesOf(documents: ReadonlyMap<string, Documented>): ReadonlyMap<string, Gate> {
  const gates = new Map<string, Gate>();
  for (const [name, { gate }] of documents) if (gate !== null) gates.set(name, gate);
  return gates;
}

function findDependents(
  documents: ReadonlyMap<string, Documented>,
): ReadonlyMap<string, readonly string[]> {
  const dependents = new Map<string, string[]>();
  for (const [name, documented] of documents)
    for (const key of servicesOf(documented)) {
      const names = dependents.get(key);
      if (names === undefined) dependents.set(key, [name]);
      else names.push(name);
    }
  return dependents;
}

/** Of several spellings, the first in alphabetical order counts. */
function findSpelled(
  documents: ReadonlyMap<string, Documented>,
  names: SiteNames,
): ReadonlyMap<string, Documented> {
  const spelled = new Map<string, Documented>();
  const taken = new Map<string, string>();
  for (const [name, documented] of documents) {
    if (!name.endsWith(".consul")) continue;
    const site = names.find(name);
    if (site === null || site.tag !== null || site.site === name) continue;
    const other = taken.get(site.site);
    if (other !== undefined && other < name) continue;
    taken.set(site.site, name);
    spelled.set(site.site, documented);
  }
  return spelled;
}
