/**
 * What Slardar's own tools read of `/status` and `/upstreams`, under its keys and in its words, beside what
 * Sluice shows. It covers upstream documents alone, since Slardar has no others, and only what the primary
 * knows: it asks no worker.
 */
import { peerKey } from "../engine/peer.ts";
import {
  ownDatacenter,
  type PeerHealth,
  type PeerSettings,
  type Server,
  SiteNames,
  stateOf,
  type Tables,
} from "../model/index.ts";
import { upstreamLevels } from "./upstream-levels.ts";

/** A server of a level. */
export interface SlardarServer {
  /** `<upstream>:<host>:<port>`. */
  readonly server: string;
  readonly weight: number;
  readonly max_fails: number;
  readonly fail_timeout: number;
  readonly status: "ok" | "unstable" | "err";
  /** Why it is not `ok`. */
  readonly msg?: string;
}

type Levels = readonly (readonly SlardarServer[])[];

export interface SlardarStatus {
  readonly [cluster: `cls:${string}`]: Levels;
  /** `YYYY-MM-DD HH:MM:SS`, in the zone of this machine. */
  readonly start_time: string;
  /** Increases whenever an upstream changes, and with whatever else the workers are told. */
  readonly shd_config_version: number;
  /** `null`: no active check is over yet. */
  readonly last_check_time: string | null;
  readonly checkup_timer_alive: boolean;
}

export interface SlardarUpstream {
  readonly cluster: readonly {
    readonly servers: readonly {
      readonly host: string;
      readonly port: number;
      readonly weight: number;
      readonly max_fails: number;
      readonly fail_timeout: number;
    }[];
  }[];
}

type StatusTables = Pick<Tables, "upstream" | "service" | "datacenter" | "peer">;

export interface SlardarStatusOptions {
  readonly tables: StatusTables;
  readonly version: number;
  readonly startedAtMs: number;
  /** ISO 8601. */
  readonly lastCheckAt: string | null;
  readonly healthOf: (address: string) => PeerHealth | null;
}

export function slardarStatus(options: SlardarStatusOptions): SlardarStatus {
  const { tables, version, startedAtMs, lastCheckAt, healthOf } = options;
  const names = new SiteNames(ownDatacenter(tables));
  const clusters: Record<`cls:${string}`, Levels> = {};
  for (const [name, document] of tables.upstream) {
    const levels = upstreamLevels(document, tables, names);
    clusters[`cls:${name}`] = levelsAt(
      name,
      levels,
      tables.peer.get(name) ?? {},
      document.isProtected ?? true,
      healthOf,
    );
  }
  return {
    ...clusters,
    start_time: localTime(startedAtMs),
    shd_config_version: version,
    last_check_time: lastCheckAt === null ? null : localTime(Date.parse(lastCheckAt)),
    checkup_timer_alive: true,
  };
}

/** Upstream documents by their names, as Slardar lists them. */
export function slardarUpstreams(
  tables: Omit<StatusTables, "peer">,
  only: string | null,
): Readonly<Record<string, SlardarUpstream>> {
  const names = new SiteNames(ownDatacenter(tables));
  const documents = [...tables.upstream].filter(([name]) => only === null || name === only);
  return Object.fromEntries(
    documents.map(([name, document]) => {
      const cluster = upstreamLevels(document, tables, names).map((servers) => ({
        servers: servers.map((one) => ({ host: one.host, port: one.port, ...termsOf(one) })),
      }));
      return [name, { cluster }] as const;
    }),
  );
}

function termsOf({ weight, maxFails, failTimeoutMs }: Server) {
  return { weight, max_fails: maxFails, fail_timeout: failTimeoutMs / 1000 };
}

function levelsAt(
  name: string,
  levels: readonly (readonly Server[])[],
  byHand: PeerSettings,
  isProtected: boolean,
  healthOf: (address: string) => PeerHealth | null,
): Levels {
  const shown = levels.map((servers) =>
    servers.map((server) => {
      const address = peerKey(server.host, server.port);
      const health = healthOf(address);
      const setting = byHand[address];
      // So are nearly all, of thousands.
      if (health === null && setting === undefined && server.down !== true)
        return { server, address, isKept: false, status: "ok", msg: "" } as const;
      const reasons = (health?.reasons ?? []).filter(
        ({ upstream }) => upstream === null || upstream === name,
      );
      const isErr = reasons.some(({ code }) => stateOf(code) === "err");
      const isKept = server.down === true || setting?.isDrained === true;
      const status = isErr || isKept ? "err" : reasons.length > 0 ? "unstable" : "ok";
      const why = reasons.map(({ code, message }) => `${code}: ${message}`);
      if (server.down === true) why.unshift("down in its document");
      const weighed = { ...server, weight: setting?.weight ?? server.weight };
      return { server: weighed, address, isKept, status, msg: why.join("; ") } as const;
    }),
  );
  // As in Slardar, where the last one is never taken out: when all are out, none is `err`.
  const isLastResort =
    isProtected && shown.every((level) => level.every(({ status }) => status === "err"));
  return shown.map((servers) =>
    servers.map(({ server, address, isKept, status, msg }): SlardarServer => {
      const said = isLastResort && !isKept ? "unstable" : status;
      const { weight, maxFails, failTimeoutMs } = server;
      return {
        server: `${name}:${address}`,
        weight,
        max_fails: maxFails,
        fail_timeout: failTimeoutMs / 1000,
        status: said,
        ...(msg === "" ? {} : { msg }),
      };
    }),
  );
}

function localTime(ms: number): string {
  const date = new Date(ms);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${day} ${time}`;
}
