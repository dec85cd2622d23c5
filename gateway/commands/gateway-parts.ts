/** The real rooms behind the primary: Consul, the sandbox and the worker. */
import { fileURLToPath } from "node:url";
import type { ConsulAddress } from "../../consul/api/environment.ts";
import {
  ConsulClient,
  ConsulError,
  ConsulSources,
  KvStore,
  Presence,
  readServiceEntries,
  SelfRegistration,
  SessionLock,
} from "../../consul/index.ts";
import { foreignIn, foreignRoute } from "../documents/index.ts";
import type { Log } from "../observability/logger.ts";
import type { PrimaryParts } from "../primary/index.ts";
import { defaultSandboxLimits, Examiner } from "../sandbox/index.ts";
import type { Settings } from "../settings.ts";

const worker = fileURLToPath(new URL("../worker/worker.ts", import.meta.url));
const reachTimeoutMs = 3000;

export interface GatewayPartsOptions {
  readonly settings: Settings;
  readonly address: ConsulAddress;
  readonly log: Log;
  readonly clock: {
    now(): number;
    after(ms: number, callback: () => void): () => void;
  };
}

export function gatewayParts({ settings, address, log, clock }: GatewayPartsOptions): PrimaryParts {
  const consul = new ConsulClient(address);
  // A script must load within the limits that it will run with.
  const { tenants } = settings;
  const examiner = new Examiner({ ...defaultSandboxLimits, ...settings.script }, { tenants });
  return {
    workerEntry: worker,
    examine: (host, tables, isWanted) => examiner.examine(host, tables, isWanted),
    replay: (host, tables, requests) => examiner.replay(host, tables, requests),
    consul: {
      url: consul.url,
      reach: () => reach(consul),
      kv: new KvStore(consul),
      lock: (key, value) => new SessionLock({ consul, key, value, clock }),
      present: (key, value) => new Presence({ consul, key, value, log, clock }),
      register: (service) => new SelfRegistration({ consul, service, log, clock }),
      registered: (service) => readServiceEntries(consul, service),
      close: () => consul.close(),
    },
    createSources: ({ emit, previous, memory, onMemory }) =>
      new ConsulSources({
        consul,
        prefix: settings.prefix,
        foreignIn: foreignIn(tenants),
        foreignRoute: foreignRoute(tenants),
        maxServiceWatches: settings.maxServiceWatches,
        forgetServicesMs: settings.forgetServicesAfterMs,
        reads: settings.consulReads,
        log,
        clock,
        random: Math.random,
        emit,
        previous,
        memory,
        onMemory,
        guard: settings.guard,
      }),
  };
}

/** `null` when Consul answers, even with a refusal; else why it does not. */
async function reach(consul: ConsulClient): Promise<string | null> {
  try {
    await consul.read({ path: "/status/leader", withinMs: reachTimeoutMs });
    return null;
  } catch (error) {
    if (!(error instanceof ConsulError)) throw error;
    return error.code === "unreachable" || error.code === "timeout" ? error.message : null;
  }
}
