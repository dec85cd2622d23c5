/**
 * The routes that services ask for by their tags, kept up to date with the catalog and with the instances of those that share
 * a route. Reads nothing from Consul; a change of one service looks at the routes of that service alone.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type Instance,
  type Observed,
  reachOf,
  SiteNames,
  type Tables,
  type TagRoute,
} from "../../gateway/model/index.ts";
import { type Claim, maxClaims, maxNotes, maxTagLength, type Note, shown } from "./claim.ts";
import { isFabioTag, readFabioTag } from "./fabio.ts";
import { isTraefikTag, readTraefikTags } from "./traefik.ts";

/** A warning about the tags of one service. */
export interface TagWarning {
  /** `services/<name>`. */
  readonly key: string;
  /** Begins with the tag. */
  readonly warning: string;
}

export interface TagRoutesOptions {
  /** Why a service may not have requests for a host; `null`: it may. Default: any may. */
  readonly foreign?: ((host: string, service: string) => string | null) | undefined;
  /** The last known good state. */
  readonly previous?: Pick<Tables, "catalog" | "service" | "route"> | null | undefined;
}

/** What is known of a service with such tags. */
interface Claimant {
  readonly claims: readonly Claim[];
  readonly notes: readonly Note[];
}

/** A claim, and whose it is. */
interface Share {
  readonly service: string;
  readonly claim: Claim;
}

/** Services that share one route; those beyond are left out. */
const maxShares = 1_000;
/** Longer tags do not tell instances apart. */
const maxSubsetLength = 512;
/** The names of services that a request can be sent to. */
const names = new SiteNames(null);

export class TagRoutes {
  readonly #foreign: NonNullable<TagRoutesOptions["foreign"]>;
  readonly #claimants = new Map<string, Claimant>();
  /** By route, in the order of the services' names. */
  readonly #shares = new Map<string, Map<string, readonly Claim[]>>();
  /** As they were emitted. */
  readonly #routes = new Map<string, TagRoute>();
  /** By route: warnings about options that cannot hold for all of its services. */
  readonly #contradictions = new Map<string, readonly TagWarning[]>();
  readonly #instances = new Map<string, readonly Instance[]>();
  /** Goes up when other services than before are named. */
  namings = 0;
  /** Routes that the catalog of the last known good state makes different from the saved ones. */
  #overdue: readonly Observed[];

  constructor({ foreign = () => null, previous }: TagRoutesOptions = {}) {
    this.#foreign = foreign;
    for (const [id, route] of previous?.route ?? []) this.#routes.set(id, route);
    for (const [service, instances] of previous?.service ?? [])
      this.#instances.set(service, instances);
    const ids = new Set(this.#routes.keys());
    for (const [service, tags] of previous?.catalog ?? [])
      for (const id of this.#take(service, tags)) ids.add(id);
    this.#overdue = this.#update(ids);
  }

  /** What has to be emitted first. Empty the second time. */
  begin(): readonly Observed[] {
    const overdue = this.#overdue;
    this.#overdue = [];
    return overdue;
  }

  /** What follows from these changes. */
  apply(changes: readonly Observed[]): readonly Observed[] {
    const ids = new Set<string>();
    for (const { kind, key, value } of changes) {
      if (kind === "catalog") for (const id of this.#take(key, value)) ids.add(id);
      else if (kind === "service") {
        if (value === null) this.#instances.delete(key);
        else this.#instances.set(key, value);
        for (const claim of this.#claimants.get(key)?.claims ?? []) {
          const id = idOf(claim);
          // A service alone has all requests, however many instances it has.
          if (this.#isShared(id)) ids.add(id);
        }
      }
    }
    return ids.size === 0 ? [] : this.#update(ids);
  }

  /** The services that routes name. */
  *services(): Generator<string> {
    for (const [service, { claims }] of this.#claimants) if (claims.length > 0) yield service;
  }

  *warnings(): Generator<TagWarning> {
    for (const [service, { notes }] of this.#claimants)
      for (const { tag, text } of notes) yield warningOf(service, tag, text);
    for (const warnings of this.#contradictions.values()) yield* warnings;
  }

  /** The tags of a service; returns the routes that may be others now. */
  #take(service: string, tags: readonly string[] | null): readonly string[] {
    // What another datacenter's services say is for its own gateways.
    if (service.includes("@")) return [];
    const before = this.#claimants.get(service);
    const now = tags === null ? null : readTags(service, tags, this.#foreign);
    if (before === undefined && now === null) return [];
    const hasClaims = (one: Claimant | null | undefined) => (one?.claims.length ?? 0) > 0;
    if (hasClaims(before) !== hasClaims(now)) this.namings += 1;
    if (now === null) this.#claimants.delete(service);
    else this.#claimants.set(service, now);
    const ids = new Set<string>();
    for (const claim of before?.claims ?? []) {
      const id = idOf(claim);
      ids.add(id);
      const shares = this.#shares.get(id);
      shares?.delete(service);
      if (shares?.size === 0) this.#shares.delete(id);
    }
    for (const claim of now?.claims ?? []) {
      const id = idOf(claim);
      ids.add(id);
      const shares = this.#shares.get(id) ?? new Map<string, readonly Claim[]>();
      shares.set(service, [...(shares.get(service) ?? []), claim]);
      this.#shares.set(id, shares);
    }
    return [...ids];
  }

  #isShared(id: string): boolean {
    const shares = this.#shares.get(id);
    if (shares === undefined) return false;
    const [claims = []] = shares.values();
    return shares.size > 1 || claims.length > 1;
  }

  #update(ids: ReadonlySet<string>): readonly Observed[] {
    const changes: Observed[] = [];
    for (const id of ids) {
      const route = this.#compose(id);
      const before = this.#routes.get(id);
      if (isDeepStrictEqual(route ?? undefined, before)) continue;
      if (route === null) this.#routes.delete(id);
      else this.#routes.set(id, route);
      changes.push({ kind: "route", key: id, value: route });
    }
    return changes;
  }

  #compose(id: string): TagRoute | null {
    this.#contradictions.delete(id);
    const shares = Array.from(this.#shares.get(id) ?? [])
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .flatMap(([service, claims]) => claims.map((claim): Share => ({ service, claim })));
    const [first] = shares;
    if (first === undefined) return null;
    const whose = `${first.service} says otherwise for the same host and path`;
    const agreeing: Share[] = [];
    const contradictions: TagWarning[] = [];
    for (const share of shares) {
      if (agree(share.claim, first.claim)) agreeing.push(share);
      else
        contradictions.push(warningOf(share.service, share.claim.tag, `makes no route: ${whose}`));
    }
    const kept = agreeing.slice(0, maxShares);
    if (agreeing.length > maxShares) {
      const more = agreeing.length - maxShares;
      const text = `${more} more services with the same host and path get no requests`;
      contradictions.push(warningOf(first.service, first.claim.tag, text));
    }
    if (contradictions.length > 0) this.#contradictions.set(id, contradictions.slice(0, maxNotes));
    const { host, path, isExact, priority, plugins, sentHost } = first.claim;
    const weights = this.#weigh(kept);
    const route = kept.map(({ service, claim }, at) => ({
      ...{ service, tag: claim.tag, weight: weights[at] ?? 0 },
      subset: claim.isForTagged && isComparable(claim.tag) ? claim.tag.toLowerCase() : null,
      ...(claim.transport === null ? {} : { transport: claim.transport }),
    }));
    return { host, prefix: path, isExact, priority, shares: route, plugins, sentHost };
  }

  /**
   * As fabio shares traffic: an instance has the weight that its tag gives it, and those without one have equal parts of
   * what is left. Parts of a million.
   */
  #weigh(shares: readonly Share[]): readonly number[] {
    if (shares.length === 1) return [1];
    const counts = shares.map((share) => this.#countOf(share));
    // While no service is known to serve, none is left out.
    const used = counts.every((count) => count === 0) ? counts.map(() => 1) : counts;
    let fixed = 0;
    let open = 0;
    for (const [at, { claim }] of shares.entries()) {
      if (claim.weight === null) open += used[at] ?? 0;
      else fixed += claim.weight * (used[at] ?? 0);
    }
    const left = open === 0 ? 0 : Math.max(0, 1 - fixed) / open;
    const parts = shares.map(({ claim }, at) => (claim.weight ?? left) * (used[at] ?? 0));
    return parts.map((part) => (part === 0 ? 0 : Math.max(1, Math.round(part * 1_000_000))));
  }

  /** Instances that may serve, as far as is known; 1 where it is not. */
  #countOf({ service, claim }: Share): number {
    const instances = this.#instances.get(service);
    if (instances === undefined) return 1;
    if (!claim.isForTagged) return instances.length;
    return instances.filter(({ tags }) => tags.includes(claim.tag)).length;
  }
}

/** By host and path. No path has a space. */
function idOf({ host, path, isExact }: Claim): string {
  return `${host}${path}${isExact ? " alone" : ""}`;
}

function agree(one: Claim, other: Claim): boolean {
  return (
    isDeepStrictEqual(one.plugins, other.plugins) &&
    isDeepStrictEqual(one.sentHost, other.sentHost) &&
    one.priority === other.priority
  );
}

function warningOf(service: string, tag: string, text: string): TagWarning {
  return { key: `services/${service}`, warning: `tag ${shown(tag)}: ${text}` };
}

/** Whether instances can be told by the tag: tags are compared in lower case. */
function isComparable(tag: string): boolean {
  return tag.length <= maxSubsetLength && /^[\x20-\x7e]*$/.test(tag);
}

/** `null`: it has no tag that is about routes. */
function readTags(
  service: string,
  tags: readonly string[],
  foreign: (host: string, service: string) => string | null,
): Claimant | null {
  const ours = tags.filter((tag) => isFabioTag(tag) || isTraefikTag(tag));
  const [first] = ours;
  if (first === undefined) return null;
  const notes: Note[] = [];
  const say = (tag: string, text: string) => notes.push({ tag, text });
  if (reachOf(service, tags) === "never") {
    say(first, "makes no route: this service is never exposed");
    return { claims: [], notes };
  }
  if (names.find(`${service}.service.consul`)?.name !== service) {
    say(first, `makes no route: ${shown(service)} is not a name that a host can have`);
    return { claims: [], notes };
  }
  const read = ours.filter((tag) => {
    const fits = tag.length <= maxTagLength;
    if (!fits) say(tag, `makes no route: it is longer than ${maxTagLength} characters`);
    return fits;
  });
  const readings = [
    ...read.filter(isFabioTag).map(readFabioTag),
    readTraefikTags(read.filter(isTraefikTag)),
  ];
  const claims: Claim[] = [];
  const known = new Set<string>();
  for (const reading of readings) {
    notes.push(...reading.notes);
    for (const claim of reading.claims) {
      const refusal = refuse(claim, service, foreign);
      const id = `${claim.isForTagged ? claim.tag : ""} ${idOf(claim)}`;
      if (refusal !== null) say(claim.tag, `makes no route: ${refusal}`);
      else if (known.has(id)) continue;
      else if (claims.length >= maxClaims)
        say(claim.tag, `makes no route: this service has ${maxClaims} routes`);
      else {
        if (claim.isForTagged && !isComparable(claim.tag))
          say(
            claim.tag,
            "has other characters than ASCII, or more than 512: every instance gets requests",
          );
        known.add(id);
        claims.push(claim);
      }
    }
  }
  if (notes.length <= maxNotes) return { claims, notes };
  const more = { tag: first, text: `and ${notes.length - maxNotes} more warnings on this service` };
  return { claims, notes: [...notes.slice(0, maxNotes), more] };
}

function refuse(
  { host }: Claim,
  service: string,
  foreign: (host: string, service: string) => string | null,
): string | null {
  if (host !== "*" && names.find(host) !== null)
    return `the host ${host} is the name of a service, which is reached by its name alone`;
  if (host.endsWith(".consul")) return `the host ${host} is in Consul's own domain`;
  return foreign(host, service);
}
