/** What `GET /hosts` shows: of each host what decides its requests, and how they ended. */
import {
  type HostDocument,
  otherLabel,
  ownDatacenter,
  SiteNames,
  statusClasses,
  type Tables,
  WildcardIndex,
} from "../model/index.ts";
import type { Metrics } from "./metrics/index.ts";
import type { RouteTotals } from "./metrics/totals.ts";
import type { Unanswered } from "./questions.ts";
import type { Status } from "./status.ts";
import type { Workers } from "./workers.ts";

/** Since the gateway started, over all workers. */
export interface HostRequests {
  readonly total: number;
  /** Classes without requests are left out; `none`: the client had gone. */
  readonly byStatus: Readonly<Record<string, number>>;
  /** `none`: they were answered without one. */
  readonly byUpstream: Readonly<Record<string, number>>;
  /** Of a request; 0 when there was none. */
  readonly meanSeconds: number;
}

export interface ShownHost {
  /** The key of its document or script, the name of an upstream document, or a service's. */
  readonly name: string;
  /** `null`: an upstream document or a service of that name decides. */
  readonly document: HostDocument | null;
  /** `null`: it has none. */
  readonly script: Pick<
    Status["scripts"][number],
    "version" | "calls" | "errors" | "lastError" | "outOfService"
  > | null;
  readonly requests: HostRequests;
}

export interface HostsAnswer {
  readonly hosts: readonly ShownHost[];
  /** Workers whose last second is not counted yet. */
  readonly unanswered: readonly Unanswered[];
}

export interface HostViewOptions {
  readonly tables: () => Tables;
  readonly status: () => Pick<Status, "scripts">;
  readonly workers: Pick<Workers, "ask">;
  readonly metrics: Pick<Metrics, "routes">;
}

export class HostView {
  readonly #options: HostViewOptions;

  constructor(options: HostViewOptions) {
    this.#options = options;
  }

  /**
   * All that have a document, a script or had a request; or the one that decides requests for this name, which may be
   * a wildcard. `null`: there is none.
   */
  async show(name: string | null): Promise<HostsAnswer | null> {
    const { workers, status } = this.#options;
    const { unanswered } = await workers.ask("report", null);
    const routes = this.#routes();
    const scripts = new Map(status().scripts.map((script) => [script.host, script]));
    const names = new Set([...this.#options.tables().host.keys(), ...scripts.keys()]);
    for (const host of routes.keys()) names.add(host);
    names.delete(otherLabel);
    const wanted = name === null ? [...names].sort() : this.#deciding(name, names);
    if (name !== null && wanted.length === 0) return null;
    const hosts = wanted.map((host): ShownHost => {
      const script = scripts.get(host);
      return {
        name: host,
        document: this.#options.tables().host.get(host) ?? null,
        script: script === undefined ? null : shownScript(script),
        requests: sumOf(routes.get(host) ?? []),
      };
    });
    return { hosts, unanswered };
  }

  #routes(): ReadonlyMap<string, readonly RouteTotals[]> {
    const routes = new Map<string, RouteTotals[]>();
    for (const route of this.#options.metrics.routes()) {
      const known = routes.get(route.host);
      if (known === undefined) routes.set(route.host, [route]);
      else known.push(route);
    }
    return routes;
  }

  #deciding(name: string, names: ReadonlySet<string>): readonly string[] {
    const sites = new SiteNames(ownDatacenter(this.#options.tables()));
    if (names.has(sites.nameOf(name))) return [sites.nameOf(name)];
    const wildcards = new WildcardIndex<string>();
    for (const known of names) if (known.startsWith("*.")) wildcards.set(known, known);
    const service = sites.find(name);
    const found = wildcards.find(service?.full ?? name);
    if (found !== null) return [found];
    const { upstream, service: services } = this.#options.tables();
    if (service !== null && services.has(service.key)) return [service.site];
    return upstream.has(name) ? [name] : [];
  }
}

function shownScript(script: Status["scripts"][number]): NonNullable<ShownHost["script"]> {
  const { version, calls, errors, lastError, outOfService } = script;
  return { version, calls, errors, lastError, outOfService };
}

function sumOf(routes: readonly RouteTotals[]): HostRequests {
  const byStatus: Record<string, number> = {};
  const byUpstream: Record<string, number> = {};
  let total = 0;
  let seconds = 0;
  for (const { upstream, classes, seconds: took } of routes) {
    let requests = 0;
    for (const [at, name] of statusClasses.entries()) {
      const count = classes[at] ?? 0;
      if (count > 0) byStatus[name] = (byStatus[name] ?? 0) + count;
      requests += count;
    }
    byUpstream[upstream] = requests;
    total += requests;
    seconds += took;
  }
  return { total, byStatus, byUpstream, meanSeconds: total === 0 ? 0 : seconds / total };
}
