/**
 * The table of every setting of the gateway: the names, the default, the check and the words for `--help` and
 * `docs/settings.md`. Where values come from, `settings.ts` decides.
 */
import { availableParallelism } from "node:os";
import type { z } from "zod";
import { acmeDefinitions } from "./settings-acme.ts";
import { adminDefinitions } from "./settings-admin.ts";
import { healthDefinitions } from "./settings-health.ts";
import { limitDefinitions } from "./settings-limits.ts";
import { listenerDefinitions } from "./settings-listeners.ts";
import { tenantDefinitions } from "./settings-tenants.ts";
import {
  address,
  consulAddress,
  duration,
  integer,
  keyPrefix,
  networks,
  oneOf,
  serviceName,
  text,
} from "./settings-values.ts";

/** A row of the table. */
export interface Definition {
  /** How `--help` names the value. */
  readonly argument: string;
  /** One sentence for `--help` and the page of settings. */
  readonly meaning: string;
  /** As an operator would write it; `null`: not set. */
  readonly fallback: string | (() => string) | null;
  /** Shown instead of a default that depends on the machine. */
  readonly fallbackText?: string;
  /** The flag may stand alone, for `on`. */
  readonly isSwitch?: true;
  readonly schema: z.ZodType;
}

/** The key is the field in the file; the flag and the variable are made from it. */
export const settingsTable = {
  config: {
    argument: "FILE",
    meaning: "A JSON file with any of these settings.",
    fallback: null,
    schema: text(),
  },
  consul: {
    argument: "URL",
    meaning: "Consul's HTTP API; without it CONSUL_HTTP_ADDR, as for Consul's own commands.",
    fallback: null,
    fallbackText: "http://127.0.0.1:8500",
    schema: consulAddress(),
  },
  ...listenerDefinitions,
  ...acmeDefinitions,
  admin: {
    argument: "ADDRESS:PORT",
    meaning:
      "Where the admin API is. Other than on loopback it needs a token or client certificates.",
    fallback: "127.0.0.1:1995",
    schema: address(),
  },
  ...adminDefinitions,
  workers: {
    argument: "N",
    meaning: "Worker processes.",
    fallback: () => String(availableParallelism()),
    fallbackText: "one per core",
    schema: integer(1, 256),
  },
  dataDir: {
    argument: "DIR",
    meaning:
      "Keeps the last known good state here, to start from while Consul is down. For one gateway alone.",
    fallback: null,
    schema: text(),
  },
  prefix: {
    argument: "PREFIX",
    meaning: "The prefix of all keys in Consul KV.",
    fallback: "sluice/",
    schema: keyPrefix(),
  },
  serviceName: {
    argument: "NAME",
    meaning:
      "The service that the gateway registers itself as in Consul, with its admin address; off: it registers none.",
    fallback: "sluice",
    schema: serviceName(),
  },
  engine: {
    argument: "NAME",
    meaning:
      "The HTTP engine: the gateway's own, or the same exchange on node:http to compare with.",
    fallback: "http1",
    schema: oneOf("http1", "reference"),
  },
  logLevel: {
    argument: "LEVEL",
    meaning: "The least severe level that is logged: trace, debug, info, warn, error or fatal.",
    fallback: "info",
    schema: oneOf("trace", "debug", "info", "warn", "error", "fatal"),
  },
  accessLog: {
    argument: "FILE",
    meaning: "Where each request is noted as a JSON line: a file, - for standard output, or off.",
    fallback: "off",
    schema: text(),
  },
  trustedProxies: {
    argument: "LIST",
    meaning: "Addresses or blocks of proxies that are believed about their clients.",
    fallback: "",
    schema: networks(),
  },
  forwardedPath: {
    argument: "WHAT",
    meaning:
      "The path that goes to an origin: in normal form, which everything decides by, or raw, as the client wrote it.",
    fallback: "normal",
    schema: oneOf("normal", "raw"),
  },
  drainTimeout: {
    argument: "DURATION",
    meaning: "How long running requests may take to finish when a worker ends.",
    fallback: "30s",
    schema: duration(0),
  },
  watchTimeout: {
    argument: "DURATION",
    meaning: "How long the first request for a service may wait for its instances.",
    fallback: "2s",
    schema: duration(),
  },
  maxServiceWatches: {
    argument: "N",
    meaning:
      "Blocking queries for services: one each, or with more services in use than this mostly one for each node.",
    fallback: "100",
    schema: integer(1, 100_000),
  },
  consulNamespace: {
    argument: "NAME",
    meaning:
      "The namespace of Consul Enterprise in which everything is; without it CONSUL_NAMESPACE.",
    fallback: null,
    schema: text(),
  },
  consulPartition: {
    argument: "NAME",
    meaning: "The partition of Consul Enterprise; without it CONSUL_PARTITION.",
    fallback: null,
    schema: text(),
  },
  consulReads: {
    argument: "MODE",
    meaning:
      "How the catalog and instances are read: stale (by any server), default (by the leader) or consistent (by a leader that makes sure that it still leads).",
    fallback: "stale",
    schema: oneOf("stale", "default", "consistent"),
  },
  forgetServicesAfter: {
    argument: "DURATION",
    meaning:
      "A service that no document or route names leaves the watch after this time without a request; 0s keeps it.",
    fallback: "1h",
    schema: duration(0),
  },
  guardLoss: {
    argument: "PERCENT",
    meaning:
      "When one update takes away more than this of a service's instances, they are kept until Consul confirms it.",
    fallback: "50",
    schema: integer(0, 100),
  },
  guardTime: {
    argument: "DURATION",
    meaning: "How long they are kept before Consul is asked to; 0s believes every update at once.",
    fallback: "10s",
    schema: duration(0),
  },
  scriptMemory: {
    argument: "MB",
    meaning: "Megabytes of heap for each script.",
    fallback: "16",
    schema: integer(8, 4096),
  },
  scriptIsolates: {
    argument: "N",
    meaning: "Scripts of a worker that are kept ready at once, each with 2 to 4 MB of its own.",
    fallback: "200",
    schema: integer(1, 100_000),
  },
  scriptTimeout: {
    argument: "DURATION",
    meaning: "How long one call of a script may take.",
    fallback: "10ms",
    schema: duration(),
  },
  ...healthDefinitions,
  ...tenantDefinitions,
  ...limitDefinitions,
} as const satisfies Readonly<Record<string, Definition>>;

/** A setting, by its field in the file. */
export type SettingKey = keyof typeof settingsTable;
/** What each setting has once it is checked. */
export type SettingValues = {
  readonly [K in SettingKey]:
    | z.output<(typeof settingsTable)[K]["schema"]>
    | ((typeof settingsTable)[K]["fallback"] extends null ? null : never);
};

/** In the order of `--help`. */
// Object.keys forgets the literal keys that `satisfies` kept.
export const settingKeys = Object.keys(settingsTable) as readonly SettingKey[];

/** What one setting is called everywhere, and what it means. */
export interface SettingNames {
  readonly flag: string;
  readonly variable: string;
  readonly field: string;
  readonly argument: string;
  /** The flag may stand alone. */
  readonly isSwitch: boolean;
  readonly meaning: string;
  /** Empty when there is none. */
  readonly fallback: string;
}

/** All settings, in the order of `--help`. */
export const settingNames: readonly SettingNames[] = settingKeys.map((key) => {
  const definition: Definition = settingsTable[key];
  const { fallback, fallbackText, argument, meaning, isSwitch = false } = definition;
  return {
    flag: flagOf(key),
    variable: variableOf(key),
    field: key,
    argument,
    isSwitch,
    meaning,
    fallback: fallbackText ?? (typeof fallback === "string" ? fallback : ""),
  };
});

export function flagOf(key: SettingKey): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

export function variableOf(key: SettingKey): string {
  return `SLUICE_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
