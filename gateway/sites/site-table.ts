/** The sites of one version, by host. A new version shares what it does not change. */
import type { PeerTokens } from "../balancing/index.ts";
import { maxNameLength } from "../engine/message/authority.ts";
import {
  detached,
  type HostDocument,
  LayeredMap,
  RecentMap,
  type SiteNames,
  WildcardIndex,
} from "../model/index.ts";
import type { HostScripts } from "../sandbox/index.ts";
import { HostRules } from "./host-rules.ts";
import type { HostPhases } from "./phase.ts";
import { createSite, type Site, unknownSite } from "./site.ts";

/** By host or `*.domain`. Keys whose scripts did not change keep the same objects. */
export type ScriptsByHost = ReadonlyMap<string, HostScripts>;

/**
 * What takes part, beside scripts, in the requests of the hosts that the document `key` applies to. Called once for
 * each document, when a version with it is applied.
 */
export type PhasesOf = (key: string, document: HostDocument) => HostPhases;

/** What sites are made from. */
export interface SiteParts {
  readonly names: SiteNames;
  readonly documents: ReadonlyMap<string, HostDocument>;
  readonly scripts: ScriptsByHost;
  readonly phasesOf: PhasesOf;
  /** The names for servers in cookies; `null` while there are no such cookies. */
  readonly tokens: PeerTokens | null;
}

/** How many spellings of services are kept. The bound matters because strangers can ask for any name. */
const maxSpelled = 4_096;

export class SiteTable {
  readonly #names: SiteNames;
  readonly #scripts: ScriptsByHost;
  readonly #tokens: PeerTokens | null;
  /** By host or `*.domain`. */
  readonly #rules: LayeredMap<HostRules>;
  /** Sites with rules or scripts of their own, by host or `*.domain`. */
  readonly #sites: LayeredMap<Site>;
  readonly #wildcards: WildcardIndex<Site>;
  /** Sites of services by their other names, with or without a tag, kept as they are asked for. */
  readonly #spelled = new RecentMap<Site>(maxSpelled);

  private constructor(
    parts: Pick<SiteParts, "names" | "scripts" | "tokens">,
    rules: LayeredMap<HostRules>,
    sites: LayeredMap<Site>,
    wildcards: WildcardIndex<Site>,
  ) {
    this.#names = parts.names;
    this.#scripts = parts.scripts;
    this.#tokens = parts.tokens;
    this.#rules = rules;
    this.#sites = sites;
    this.#wildcards = wildcards;
  }

  static empty(names: SiteNames): SiteTable {
    const parts = { names, scripts: new Map(), tokens: null };
    return new SiteTable(parts, new LayeredMap(), new LayeredMap(), new WildcardIndex());
  }

  /**
   * The site of a host, which is in lower case, without port and trailing dot. Takes one look-up for a host with its
   * own rules or scripts, or for a service's name that was asked for lately; one pass over the name for any other
   * host. Allocates nothing, except for the first request with a service's name.
   */
  find(host: string): Site {
    if (host.length > maxNameLength) return unknownSite;
    const own = this.#sites.get(host) ?? this.#spelled.get(host);
    if (own !== undefined) return own;
    const service = this.#names.find(host);
    if (service === null) return this.#wildcards.find(host) ?? unknownSite;
    const base = this.#sites.get(service.site) ?? this.#wildcards.find(service.full) ?? unknownSite;
    const site = { ...base, service };
    this.#spelled.set(detached(host), site);
    return site;
  }

  /**
   * Returns the sites of `parts`. With `changed`, it looks only at these keys of documents, and at scripts that are
   * other objects. Returns `this` when nothing changed.
   */
  next(parts: SiteParts, changed: ReadonlySet<string> | null): SiteTable {
    const keys = new Set(changed);
    const hasSameTokens = parts.tokens === this.#tokens;
    const isAll = changed === null || parts.names !== this.#names || !hasSameTokens;
    if (isAll) {
      for (const key of [...this.#sites.keys(), ...parts.documents.keys(), ...parts.scripts.keys()])
        keys.add(key);
    } else if (parts.scripts !== this.#scripts) {
      for (const key of differing(this.#scripts, parts.scripts)) keys.add(key);
    }
    if (keys.size === 0 && parts.names === this.#names && hasSameTokens) return this;
    const changes: [key: string, rules: HostRules | null][] = [];
    for (const key of keys) {
      const document = parts.documents.get(key);
      const known = this.#rules.get(key);
      const isSame = known?.document === document;
      if (isSame && (known === undefined || hasSameTokens || !known.hasStickyCookie)) continue;
      const rules =
        document === undefined
          ? null
          : new HostRules(key, document, parts.phasesOf(key, document), parts.tokens);
      changes.push([key, rules]);
    }
    const rules = changes.length === 0 ? this.#rules : this.#rules.with(changes);
    return this.#compose(parts, rules, isAll ? keys : this.#withCovered(keys));
  }

  /** Returns the keys, and those that wildcards among them cover: these sites inherit what the wildcard has. */
  #withCovered(keys: ReadonlySet<string>): ReadonlySet<string> {
    const suffixes = [...keys].filter((key) => key.startsWith("*.")).map((key) => key.slice(1));
    if (suffixes.length === 0) return keys;
    const all = new Set(keys);
    for (const [key, { service }] of this.#sites) {
      const full = service?.full ?? key;
      if (suffixes.some((suffix) => full.endsWith(suffix))) all.add(key);
    }
    return all;
  }

  #compose(parts: SiteParts, rules: LayeredMap<HostRules>, keys: ReadonlySet<string>): SiteTable {
    const { names, scripts } = parts;
    const changes: [key: string, site: Site | null][] = [];
    const isWildcard = (key: string) => key.startsWith("*.");
    // The shortest first, because each inherits from those above it.
    const changed = [...keys].filter(isWildcard).sort((a, b) => a.length - b.length);
    const wildcards =
      changed.length === 0 ? this.#wildcards : new WildcardIndex<Site>(this.#wildcards);
    const make = (key: string): Site | null => {
      const ownRules = rules.get(key) ?? null;
      const ownScripts = scripts.get(key) ?? null;
      if (ownRules === null && ownScripts === null) return null;
      const service = isWildcard(key) ? null : names.find(key);
      const full = service?.full ?? key;
      const above = wildcards.find(full, isWildcard(key) ? key.length - 1 : full.length);
      return createSite(service, ownRules, ownScripts, above ?? unknownSite);
    };
    for (const key of changed) {
      const site = make(key);
      wildcards.set(key, site);
      changes.push([key, site]);
    }
    for (const key of keys) if (!isWildcard(key)) changes.push([key, make(key)]);
    return new SiteTable(parts, rules, this.#sites.with(changes), wildcards);
  }
}

/** The keys whose values are not the same objects. */
function* differing<V>(
  before: ReadonlyMap<string, V>,
  after: ReadonlyMap<string, V>,
): Generator<string> {
  for (const [key, value] of after) if (before.get(key) !== value) yield key;
  for (const key of before.keys()) if (!after.has(key)) yield key;
}
