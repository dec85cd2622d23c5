/** What `/status` shows. No secret is ever part of it. */
import type { ConsulSourcesStatus } from "../../consul/index.ts";
import type { TenantPolicy } from "../model/index.ts";
import type { RefusedVersion, ScriptStatus } from "../releases/index.ts";
import type { AcmeStatus } from "./acme/standing.ts";
import type { Running } from "./assembly.ts";
import type { CertificateStatus } from "./certificates/book.ts";
import type { ActiveChecksStatus, UnwellPeers } from "./health/index.ts";
import type { PeerByHand } from "./known-peers.ts";
import { type ListenerStatus, listenerStatus } from "./listener-status.ts";
import type { LocalChange } from "./local-changes.ts";
import { type SlardarStatus, slardarStatus } from "./slardar-status.ts";
import type { SnapshotFileStatus } from "./snapshot-file.ts";
import type { Warning } from "./warnings.ts";
import type { WorkerStatus } from "./worker-status.ts";

/** What the sources say of themselves. */
export type SourcesStatus = Omit<ConsulSourcesStatus, "consul">;

export interface RefusedValue {
  readonly key: string;
  readonly error: string;
  readonly since: string;
}

export interface Status extends SlardarStatus {
  readonly version: number;
  readonly boot: string;
  readonly uptimeMs: number;
  /** Why `/readyz` answers 503; `null` when it answers 200. */
  readonly notReady: string | null;
  readonly consul: { readonly url: string; readonly stale: SourcesStatus["stale"] };
  readonly watches: SourcesStatus["watches"];
  /** Services that are watched; those without a blocking query of their own are polled. */
  readonly services: { readonly inUse: number; readonly polled: number };
  /** Where it listens, but for the admin API. */
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly WorkerStatus[];
  /** What is known of peers that are not simply well, and the active checks. */
  readonly health: UnwellPeers & { readonly checks: ActiveChecksStatus };
  readonly scripts: readonly ScriptStatus[];
  /** Who may use what; `null`: there is one tenant. */
  readonly tenants: TenantPolicy | null;
  readonly modules: readonly { readonly name: string; readonly version: string }[];
  readonly refused: readonly (RefusedValue | RefusedVersion)[];
  /** Documents that hold on this gateway alone, until it ends. */
  readonly local: readonly LocalChange[];
  /** What operators set by hand for single peers. */
  readonly peers: readonly PeerByHand[];
  /** Those that are served, without their keys. */
  readonly certificates: readonly CertificateStatus[];
  /** The certificates that gateways order; `null`: this one orders none. */
  readonly acme: AcmeStatus | null;
  /** What is accepted and has no effect, or names what is not there. */
  readonly warnings: readonly Warning[];
  /** What Consul no longer has and is kept all the same until `POST /resync`. */
  readonly held: SourcesStatus["held"];
  /** Registrations of services in use that no request can be sent to, and why. */
  readonly unusable: SourcesStatus["unusable"];
  /** `null` without a data directory. */
  readonly snapshotFile: SnapshotFileStatus | null;
}

/** What the primary alone knows of itself. */
export interface StartFacts {
  readonly boot: string;
  /** Of the epoch. */
  readonly startedAtMs: number;
  readonly uptimeMs: number;
  readonly notReady: string | null;
  readonly consulUrl: string;
  readonly tenants: TenantPolicy | null;
}

export function statusOf(running: Running, facts: StartFacts): Status {
  const { state, sources, workers, releases, file, certificates } = running;
  const { boot, startedAtMs, uptimeMs, notReady, consulUrl, tenants } = facts;
  const { scripts, refused } = releases.status((host, version) =>
    workers.scriptCounters.of(host, version),
  );
  const source = sources.status();
  const checks = running.checks.status();
  return {
    ...slardarStatus({
      tables: state.tables,
      version: state.version,
      startedAtMs,
      lastCheckAt: checks.lastAt,
      healthOf: (address) => running.health.of(address),
    }),
    version: state.version,
    boot,
    uptimeMs,
    notReady,
    consul: { url: consulUrl, stale: source.stale },
    watches: source.watches,
    services: { inUse: source.servicesInUse, polled: source.polled },
    listeners: [
      ...running.listeners.map((listener) => {
        const { address, flag, socket } = listener;
        const { port } = socket.address();
        return listenerStatus(listener, { host: address.host, port }, flag);
      }),
      ...running.handed.list(),
    ],
    workers: workers.status(),
    health: { ...running.health.list(), checks },
    scripts,
    tenants,
    modules: Array.from(state.tables.module, ([name, { version }]) => ({ name, version })),
    refused: [...source.refused, ...certificates.refused(), ...refused],
    certificates: certificates.status(),
    acme: running.acme?.status() ?? null,
    local: running.local.list(),
    peers: running.knownPeers.byHand(),
    warnings: running.warnings.list(),
    held: source.held,
    unusable: source.unusable,
    snapshotFile: file?.status() ?? null,
  };
}
