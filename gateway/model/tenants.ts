/**
 * Who may use what: which tenant a host, module, setting or upstream belongs to, and whether another tenant may use
 * it. Built from the operator's policy; without a policy nothing asks. It knows only names, and not what they stand
 * for.
 */
import { parseServiceName } from "./service-name.ts";
import { WildcardIndex } from "./wildcard-index.ts";

/** Whole names, or beginnings of names followed by `*`. For hosts also `*.domain`. */
export interface TenantNames {
  readonly hosts: readonly string[];
  readonly modules: readonly string[];
  readonly settings: readonly string[];
  /** Names of upstream documents and services. */
  readonly upstreams: readonly string[];
}

export type TenantKind = keyof TenantNames;

/** Plain data, because it goes to other processes. */
export interface TenantPolicy {
  readonly tenants: Readonly<Record<string, TenantNames>>;
  /** What every tenant may use, whoever it belongs to. */
  readonly shared: TenantNames;
}

/** The tenant that has everything that no tenant in the policy has. */
export const defaultTenant = "default";

const oneOf: Readonly<Record<TenantKind, string>> = {
  hosts: "the host",
  modules: "the module",
  settings: "the setting",
  upstreams: "the upstream",
};

export class Tenants {
  readonly #owners: Readonly<Record<TenantKind, Names<string>>>;
  readonly #shared: Readonly<Record<TenantKind, Names<true>>>;

  constructor({ tenants, shared }: TenantPolicy) {
    const owners = (kind: TenantKind) =>
      new Names(
        kind,
        Object.entries(tenants).flatMap(([tenant, names]) =>
          names[kind].map((pattern) => [pattern, tenant] as const),
        ),
      );
    const marks = (kind: TenantKind) =>
      new Names(
        kind,
        shared[kind].map((pattern) => [pattern, true] as const),
      );
    const each = <T>(of: (kind: TenantKind) => Names<T>) => ({
      hosts: of("hosts"),
      modules: of("modules"),
      settings: of("settings"),
      upstreams: of("upstreams"),
    });
    this.#owners = each(owners);
    this.#shared = each(marks);
  }

  /**
   * The tenant to which this name belongs. A host is in lower case, without port. A service belongs to one tenant,
   * however it is spelt and whatever its datacenter.
   */
  ownerOf(kind: TenantKind, name: string): string {
    return this.#find(this.#owners, kind, name) ?? defaultTenant;
  }

  /** The tenant to which the source with this key belongs: `scripts/<host>`, `modules/<name>`. */
  ofSource(key: string): string {
    // A module is examined as the script of a host whose name is the module's key.
    const module = /^(?:scripts\/)?modules\/(.+)$/s.exec(key)?.[1];
    if (module !== undefined) return this.ownerOf("modules", module);
    return this.ownerOf("hosts", key.slice(key.indexOf("/") + 1));
  }

  /** `null` when `tenant` may use it; otherwise why it may not. */
  refusal(tenant: string, kind: TenantKind, name: string): string | null {
    const owner = this.ownerOf(kind, name);
    const isRefused = owner !== tenant && this.#find(this.#shared, kind, name) === undefined;
    return isRefused
      ? this.#say(tenant, kind, name, owner)
      : this.#refusalAsWritten(tenant, kind, name);
  }

  /** The part of all settings that a tenant's scripts see. */
  settingsOf<T>(tenant: string, settings: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
    const isSeen = ([name]: readonly [string, T]) =>
      this.refusal(tenant, "settings", name) === null;
    return new Map([...settings].filter(isSeen));
  }

  /**
   * An upstream document's name may be any spelling of a service. When the name as written belongs to another tenant,
   * it is refused even if the service itself does not.
   */
  #refusalAsWritten(tenant: string, kind: TenantKind, name: string): string | null {
    if (kind !== "upstreams") return null;
    const service = serviceOf(name);
    if (service === null || service === name) return null;
    const owner = this.#owners.upstreams.find(name);
    const isForeign = owner !== undefined && owner !== tenant;
    return isForeign && this.#shared.upstreams.find(name) === undefined
      ? this.#say(tenant, kind, name, owner)
      : null;
  }

  #say(tenant: string, kind: TenantKind, name: string, owner: string): string {
    const what = `${oneOf[kind]} ${JSON.stringify(name)}`;
    return `${what} belongs to the tenant ${owner} and is not shared with the tenant ${tenant}`;
  }

  #find<T>(
    names: Readonly<Record<TenantKind, Names<T>>>,
    kind: TenantKind,
    name: string,
  ): T | undefined {
    if (kind === "modules" || kind === "settings") return names[kind].find(name);
    const service = serviceOf(name);
    if (kind === "upstreams") return names.upstreams.find(service ?? name);
    if (service === null) return names.hosts.find(name) ?? names.hosts.findWildcard(name);
    return (
      names.hosts.find(service) ??
      names.upstreams.find(service) ??
      names.hosts.findWildcard(`${service}.service.consul`)
    );
  }
}

/** What binds one tenant's scripts. */
export interface Border {
  readonly tenants: Tenants;
  readonly tenant: string;
}

/** Values by names: whole names, beginnings of names (the longest counts), and `*.domain`. */
class Names<T> {
  readonly #whole = new Map<string, T>();
  readonly #beginnings = new Map<string, T>();
  /** The lengths of the beginnings, the longest first. */
  readonly #lengths: readonly number[];
  readonly #wildcards = new WildcardIndex<T>();

  constructor(kind: TenantKind, patterns: readonly (readonly [pattern: string, value: T])[]) {
    const isService = kind === "hosts" || kind === "upstreams";
    for (const [pattern, value] of patterns) {
      if (pattern.startsWith("*.")) this.#wildcards.set(pattern, value);
      else if (pattern.endsWith("*")) this.#beginnings.set(pattern.slice(0, -1), value);
      else this.#whole.set((isService ? serviceOf(pattern) : null) ?? pattern, value);
    }
    const lengths = new Set(Array.from(this.#beginnings.keys(), (text) => text.length));
    this.#lengths = [...lengths].sort((a, b) => b - a);
  }

  find(name: string): T | undefined {
    const whole = this.#whole.get(name);
    if (whole !== undefined) return whole;
    for (const length of this.#lengths) {
      const found = this.#beginnings.get(name.slice(0, length));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  findWildcard(host: string): T | undefined {
    return this.#wildcards.find(host) ?? undefined;
  }
}

/** The service that a name spells, in any datacenter; `null` for any other name, and for a wildcard. */
function serviceOf(name: string): string | null {
  if (name.startsWith("*.") || (!name.endsWith(".consul") && name.includes("."))) return null;
  return parseServiceName(name)?.name ?? null;
}
