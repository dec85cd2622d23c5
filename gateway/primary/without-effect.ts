/**
 * Finds served entries that may not do what their writer expects: fields without effect, names that nothing
 * has, and documents, modules and settings that nobody uses. Looks at one state; remembers only what it read
 * from texts.
 */
import {
  destinationsOf,
  type HostDocument,
  kinds,
  ownDatacenter,
  type Server,
  SiteNames,
  type Source,
  type Tables,
  type UpstreamDocument,
  WildcardIndex,
} from "../model/index.ts";
import { importsOf } from "../sandbox/index.ts";
import { formatAddress } from "../settings-values.ts";
import { upstreamLevels } from "./upstream-levels.ts";

/** What is told of one key. */
export interface Finding {
  /** The whole key in Consul, `sluice/upstreams/api`. */
  readonly key: string;
  /** Of a document it begins with the field. */
  readonly warning: string;
}

/** What there is to name. */
interface Known {
  readonly upstream: Pick<Tables["upstream"], "has">;
  readonly catalog: Pick<Tables["catalog"], "get">;
  readonly datacenter: Pick<Tables["datacenter"], "has" | "size">;
}

/** Every finding in `tables`, each once. */
export function* findWithoutEffect(tables: Tables, prefix: string): Generator<Finding> {
  const keyOf = (
    kind: "upstream" | "host" | "peer" | "module" | "setting" | "listener",
    name: string,
  ) => `${prefix}${kinds[kind].folder}${name}`;
  const names = new SiteNames(ownDatacenter(tables));
  // By `kv/<name>` and `file/<name>`.
  const certificates = new Set(
    Array.from(tables.certificate.keys(), (key) => key.slice(key.indexOf("/") + 1)),
  );
  for (const [name, document] of tables.upstream) {
    const key = keyOf("upstream", name);
    for (const warning of ofUpstream(name, document, tables, names)) yield { key, warning };
    const { authorities = null, certificate = null } = document.tls ?? {};
    for (const [field, named] of [
      ["ca", authorities],
      ["client_certificate", certificate],
    ] as const) {
      if (named === null || certificates.has(named)) continue;
      yield {
        key,
        warning: `tls.${field}: there is no certificate ${named}: no server is reached`,
      };
    }
  }
  for (const [host, document] of tables.host) {
    const key = keyOf("host", host);
    const { enable, ignored = [] } = document;
    for (const { field, why } of ignored) yield { key, warning: `${field}: ${why}` };
    if (!enable) continue;
    const { clientCertificate } = document;
    if (clientCertificate !== undefined && !certificates.has(clientCertificate.authorities)) {
      const { authorities } = clientCertificate;
      const warning = `client_certificate.ca: there are no authorities ${authorities}: every handshake for this host fails`;
      yield { key, warning };
    }
    for (const warning of missingUpstreams(document, tables, names)) yield { key, warning };
  }
  yield* hiddenRoutes(tables);
  for (const [name, { upstream }] of tables.listener) {
    if (upstream === null || tables.upstream.has(upstream)) continue;
    const missing = missingService(upstream, tables, names);
    if (missing === null) continue;
    const warning = `upstream: there is no upstream document ${JSON.stringify(upstream)}, and ${missing}`;
    yield { key: keyOf("listener", name), warning };
  }
  for (const [name, settings] of tables.peer)
    for (const warning of ofPeers(name, Object.keys(settings), tables, names))
      yield { key: keyOf("peer", name), warning };
  const sources = [...sourcesIn(tables)];
  const imported = new Set(sources.flatMap((source) => importsOf(source).modules));
  for (const name of tables.module.keys())
    if (!imported.has(name))
      yield { key: keyOf("module", name), warning: "no script imports this module" };
  for (const name of unreadSettings(tables, sources))
    yield { key: keyOf("setting", name), warning: "no script reads this setting" };
}

/** Names in a host document for which there is neither an upstream document nor a service, each once. */
export function* missingUpstreams(
  document: Pick<HostDocument, "routes" | "paths">,
  tables: Known,
  names: SiteNames,
): Generator<string> {
  const named = new Set<string>();
  for (const [field, { shares }] of destinationsOf(document)) {
    for (const { upstream } of shares) {
      if (named.has(upstream) || tables.upstream.has(upstream)) continue;
      named.add(upstream);
      const missing = missingService(upstream, tables, names);
      if (missing !== null)
        yield `${field}: there is no upstream document ${JSON.stringify(upstream)}, and ${missing}`;
    }
  }
}

/** Routes by tags whose hosts documents decide. */
function* hiddenRoutes({ route, host: hosts, upstream }: Tables): Generator<Finding> {
  if (route.size === 0) return;
  const wildcards = new WildcardIndex<string>();
  for (const host of hosts.keys()) if (host.startsWith("*.")) wildcards.set(host, host);
  for (const { host, shares } of route.values()) {
    const document = hosts.has(host) ? host : wildcards.find(host);
    if (document === null && !upstream.has(host)) continue;
    const by = document === null ? `upstreams/${host}` : `hosts/${document}`;
    for (const { service, tag } of shares) {
      const warning = `tag ${JSON.stringify(tag)}: makes no route: ${by} decides for this host`;
      yield { key: `services/${service}`, warning };
    }
  }
}

function* ofUpstream(
  name: string,
  document: UpstreamDocument,
  tables: Tables,
  names: SiteNames,
): Generator<string> {
  const { ignored = [], service, levels, failover = [] } = document;
  for (const { field, why } of ignored) yield `${field}: ${why}`;
  const missing = service === null ? null : missingService(service, tables, names);
  if (missing !== null) yield `service: ${missing}`;
  const { datacenter } = tables;
  for (const name of failover)
    if (datacenter.size > 0 && !datacenter.has(name))
      yield `failover: Consul knows no datacenter ${name}`;
    else if (datacenter.get(name)?.own && names.find(service ?? "")?.datacenter === null)
      yield `failover: ${name} is the service's own datacenter`;
  const servers = levels.flatMap((level) => level.servers);
  if (servers.length > 0 && servers.every(({ down }) => down === true))
    yield "down: every server is down, so requests are answered 503";
  yield* repeated(document);
  const site = names.find(name);
  if (site === null) return;
  if (site.tag !== null) {
    yield `hosts with a tag of ${site.site} are its site: this document is used only where it is named`;
  } else if (site.site !== name && holdsFor(site.site, tables, names) !== name) {
    const holds = holdsFor(site.site, tables, names);
    yield `upstreams/${holds} holds for the site ${site.site}: this one is used only where it is named`;
  }
}

/** What is set by hand for peers that do not exist. */
function* ofPeers(
  name: string,
  addresses: readonly string[],
  tables: Tables,
  names: SiteNames,
): Generator<string> {
  const document = tables.upstream.get(name);
  const query = names.find(document === undefined ? name : (document.service ?? ""));
  if (document === undefined && (query === null || query.site !== name || query.tag !== null)) {
    yield "there is no upstream document of this name, and it is not how a service is named here";
    return;
  }
  const instances = query === null ? undefined : tables.service.get(query.key);
  // A service that nobody has asked for yet is unknown.
  if (query !== null && instances === undefined) return;
  const known = new Set(
    document === undefined
      ? instances?.map(({ address: host, port }) => formatAddress({ host, port }))
      : upstreamLevels(document, tables, names).flat().map(formatAddress),
  );
  for (const address of addresses)
    if (!known.has(address)) yield `${address}: is no peer of it now`;
}

/** Servers that an earlier level has. */
function* repeated({ levels }: UpstreamDocument): Generator<string> {
  const address = ({ host, port }: Server) => formatAddress({ host, port });
  const earlier = new Set<string>();
  for (const [at, { servers }] of levels.entries()) {
    for (const one of servers)
      if (earlier.has(address(one)))
        yield `cluster[${at}]: ${address(one)} is in an earlier level, and left out here`;
    for (const one of servers) earlier.add(address(one));
  }
}

/** The upstream document that holds for a service: the one named as its site is, else the first in the alphabet. */
function holdsFor(site: string, { upstream }: Tables, names: SiteNames): string {
  const spelt = names.spellingsOf(site).filter((name) => upstream.has(name));
  return spelt.includes(site) ? site : (spelt.sort()[0] ?? site);
}

/** What the catalog lacks for this name; `null`: nothing, or only another datacenter could tell. */
function missingService(
  name: string,
  { catalog, datacenter }: Pick<Known, "catalog" | "datacenter">,
  names: SiteNames,
): string | null {
  const query = names.find(name);
  if (query === null) return "the name is not a service's";
  if (query.datacenter !== null) {
    const isKnown = datacenter.size === 0 || datacenter.has(query.datacenter);
    return isKnown ? null : `Consul knows no datacenter ${query.datacenter}`;
  }
  const tags = catalog.get(query.name);
  if (tags === undefined) return `the catalog has no service ${query.name}`;
  const { tag } = query;
  if (tag === null || tags.some((one) => one.toLowerCase() === tag)) return null;
  return `service ${query.name} has no tag ${tag}`;
}

/** Every text that may run, now or when its schedule opens. */
function* sourcesIn({ script, trial, closed, module }: Tables): Generator<Source> {
  yield* script.values();
  yield* module.values();
  for (const { source } of trial.values()) yield source;
  for (const one of closed.values()) {
    if (one.script !== null) yield one.script;
    if (one.trial !== null) yield one.trial.source;
  }
}

function unreadSettings({ setting }: Tables, sources: readonly Source[]): readonly string[] {
  if (setting.size === 0) return [];
  // Where no script runs yet there is nobody to read them.
  if (sources.length === 0 || sources.some(({ isUnexamined }) => isUnexamined)) return [];
  const read = sources.map(settingsReadBy);
  if (read.includes(null)) return [];
  const all = new Set(read.flatMap((names) => [...(names ?? [])]));
  return [...setting.keys()].filter((name) => !all.has(name));
}

/** By source, which never changes. */
const known = new WeakMap<Source, ReadonlySet<string> | null>();
const mention =
  /\bsettings\b(?:\s*\??\.\s*([A-Za-z_$][\w$]*)|\s*(?:\?\.)?\[\s*(["'])([^"'\\]*)\2\s*\])?/g;

/** The settings that a text names; `null`: it takes them otherwise than by name, so that nobody can tell. */
function settingsReadBy(source: Source): ReadonlySet<string> | null {
  const before = known.get(source);
  if (before !== undefined) return before;
  const names = new Set<string>();
  let isKnown = true;
  for (const [, dotted, , quoted] of source.text.matchAll(mention)) {
    const name = dotted ?? quoted;
    if (name === undefined) isKnown = false;
    else names.add(name);
  }
  const read = isKnown ? names : null;
  known.set(source, read);
  return read;
}
