/**
 * The settings of a gateway, read and checked: default < file < environment < flag. Reads neither argv nor the
 * process's environment by itself.
 */

import { readFile } from "node:fs/promises";
import { z } from "zod";
import { nearName } from "./documents/index.ts";
import type { EngineLimits } from "./engine/engine.ts";
import { describeFileError } from "./file-errors.ts";
import type { Exposure, TenantPolicy } from "./model/index.ts";
import { type AcmeSettings, acmeDefinitions, acmeFrom, eabKeyVariable } from "./settings-acme.ts";
import { type AdminSettings, clientVariables, tokenVariable } from "./settings-admin.ts";
import { type HealthSettings, zoneFrom } from "./settings-health.ts";
import { engineLimits } from "./settings-limits.ts";
import {
  type CertificateSettings,
  type ListenerSettings,
  listenersFrom,
  sealingKeyVariable,
  sharedName,
} from "./settings-listeners.ts";
import {
  type Definition,
  flagOf,
  type SettingKey,
  type SettingValues,
  settingKeys,
  settingsTable,
  variableOf,
} from "./settings-table.ts";
import type { Address, PortRange } from "./settings-values.ts";

export interface Settings {
  readonly consul: {
    /** As a flag, `SLUICE_CONSUL` or the file has it; `null`: Consul's own variables and default decide. */
    readonly url: string | null;
    /** Of Consul Enterprise; `null`: Consul's own variables decide. */
    readonly namespace: string | null;
    readonly partition: string | null;
    /** False when nobody named one and the default is tried. */
    readonly named: boolean;
  };
  /** Where the gateway listens, each with a name of its own. */
  readonly listeners: readonly ListenerSettings[];
  readonly certificates: CertificateSettings;
  /** `null`: the gateway orders no certificates. */
  readonly acme: AcmeSettings | null;
  /** Which ports listeners in Consul may open. */
  readonly kvListenerPorts: readonly PortRange[];
  /** What the listeners expose that no list describes. */
  readonly expose: Exposure;
  readonly admin: Address;
  readonly adminAccess: AdminSettings;
  readonly workers: number;
  readonly dataDir: string | null;
  /** Ends in `/`. */
  readonly prefix: string;
  /** What the gateway registers itself as; `null`: it does not. */
  readonly serviceName: string | null;
  readonly engine: "http1" | "reference";
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal";
  /** A file, `-` for standard output, `null` for none. */
  readonly accessLog: string | null;
  readonly trustedProxies: readonly string[];
  readonly forwardedPath: "normal" | "raw";
  readonly drainTimeoutMs: number;
  readonly watchTimeoutMs: number;
  readonly maxServiceWatches: number;
  readonly consulReads: "stale" | "default" | "consistent";
  /** 0: a service stays in use. */
  readonly forgetServicesAfterMs: number;
  /** What one update may take away of a service before it is asked about again. */
  readonly guard: { readonly share: number; readonly forMs: number };
  readonly script: {
    readonly memoryMb: number;
    readonly callTimeoutMs: number;
    readonly maxIsolates: number;
  };
  readonly health: HealthSettings;
  /** Who may use what; `null`: there is one tenant. */
  readonly tenants: TenantPolicy | null;
  readonly limits: EngineLimits;
  /** What was set and has no effect. */
  readonly warnings: readonly SettingWarning[];
}

export interface SettingWarning {
  /** The flag, the variable or the field of the file. */
  readonly key: string;
  readonly warning: string;
}

/** One line that names the flag, the variable or the field of the file, and says what is wrong. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
}

const consulVariable = "CONSUL_HTTP_ADDR";

/** Variables that begin with `SLUICE_` and are read by the registrator or the project's tests. */
const notSettings = /^SLUICE_(REGISTRATOR_.*|REQUIRE_REAL|PEBBLE|CHAOS_.*)$/;
/** Variables that have no flag and no field. */
const variablesAlone: readonly string[] = [
  tokenVariable,
  sealingKeyVariable,
  eabKeyVariable,
  ...Object.values(clientVariables),
];

/**
 * Reads and checks all settings. `flags` has the fields' names as keys. An empty variable counts as
 * not set, as compose files write them. Throws a `SettingsError`.
 */
export async function loadSettings(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Settings> {
  checkVariables(env);
  const fromEnv = (key: SettingKey) => env[variableOf(key)] || undefined;
  const config = flags.config ?? fromEnv("config");
  const file = config === undefined ? {} : await readSettingsFile(String(config));

  const read = <K extends SettingKey>(
    key: K,
  ): { value: SettingValues[K]; where: string | null } => {
    const { fallback }: Definition = settingsTable[key];
    const candidates: readonly (readonly [where: string, raw: unknown])[] = [
      [flagOf(key), flags[key]],
      [variableOf(key), fromEnv(key)],
      ...(key === "consul" ? [[consulVariable, env[consulVariable] || undefined] as const] : []),
      [`${config}: field "${key}"`, file[key]],
    ];
    const found = candidates.find(([, raw]) => raw !== undefined);
    const raw = found ? found[1] : typeof fallback === "function" ? fallback() : fallback;
    const value =
      found === undefined && raw === null
        ? null
        : parse(found?.[0] ?? flagOf(key), settingsTable[key].schema, raw);
    // The schema of `key` gives SettingValues[K]; TypeScript cannot follow a generic key through the table.
    return { value: value as SettingValues[K], where: found?.[0] ?? null };
  };
  const get = <K extends SettingKey>(key: K): SettingValues[K] => read(key).value;
  const givenBy = (key: SettingKey) => read(key).where ?? flagOf(key);

  const consul = read("consul");
  const listeners = checkNames(
    listenersFrom({
      http: get("http"),
      https: get("https"),
      expose: get("expose"),
      internal: get("internal"),
      tcp: get("tcp"),
      listeners: get("listeners"),
      tlsProfile: get("tlsProfile"),
      defaultCertificate: get("defaultCertificate"),
      givenBy: {
        http: givenBy("http"),
        https: givenBy("https"),
        internal: givenBy("internal"),
        tcp: givenBy("tcp"),
      },
    }),
  );
  return {
    consul: {
      namespace: get("consulNamespace"),
      partition: get("consulPartition"),
      url: consul.where === consulVariable ? null : consul.value,
      named: consul.where !== null,
    },
    listeners,
    certificates: {
      paths: get("certificates"),
      sealingKey: { file: get("certificateKeyFile"), text: env[sealingKeyVariable] || null },
    },
    acme: checkAcme(
      acmeFrom({
        directory: get("acmeDirectory"),
        email: get("acmeEmail"),
        agreesToTerms: get("acmeAgreeTerms") === "on",
        hosts: get("acmeHosts"),
        challenge: get("acmeChallenge"),
        caFile: get("acmeCaFile"),
        keyId: get("acmeEabKid"),
        key: { file: get("acmeEabKeyFile"), text: env[eabKeyVariable] || null },
        isClear: get("acmeClearKeys") === "on",
      }),
    ),
    kvListenerPorts: get("kvListenerPorts"),
    expose: get("expose"),
    admin: get("admin"),
    adminAccess: {
      tokenFile: get("adminTokenFile"),
      token: env[tokenVariable] || null,
      hosts: get("adminHosts"),
      metrics: get("adminMetrics"),
      isOpen: get("adminOpen") === "on",
      cert: get("adminCert"),
      key: get("adminKey"),
      clientCa: get("adminClientCa"),
    },
    workers: get("workers"),
    dataDir: get("dataDir"),
    prefix: get("prefix"),
    serviceName: get("serviceName"),
    engine: get("engine"),
    logLevel: get("logLevel"),
    accessLog: get("accessLog") === "off" ? null : get("accessLog"),
    trustedProxies: get("trustedProxies"),
    forwardedPath: get("forwardedPath"),
    drainTimeoutMs: get("drainTimeout"),
    watchTimeoutMs: get("watchTimeout"),
    maxServiceWatches: get("maxServiceWatches"),
    consulReads: get("consulReads"),
    forgetServicesAfterMs: get("forgetServicesAfter"),
    guard: { share: get("guardLoss") / 100, forMs: get("guardTime") },
    script: {
      memoryMb: get("scriptMemory"),
      callTimeoutMs: get("scriptTimeout"),
      maxIsolates: get("scriptIsolates"),
    },
    health: { maxChecks: get("maxChecks"), zone: zoneFrom(get("zone"), get("zoneMin")) },
    tenants: get("tenants"),
    limits: engineLimits(get),
    warnings: findWarnings(read, listeners),
  };
}

/** `read` gives a setting and where it was set; `null`: nowhere. */
function findWarnings(
  read: (
    key:
      | "maxConnectionsPerPeer"
      | "maxWaitingPerPeer"
      | "queueTimeout"
      | keyof typeof acmeDefinitions,
  ) => {
    readonly value: unknown;
    readonly where: string | null;
  },
  listeners: readonly ListenerSettings[],
): readonly SettingWarning[] {
  const warnings: SettingWarning[] = [];
  const limit = read("maxConnectionsPerPeer");
  for (const { where } of [read("maxWaitingPerPeer"), read("queueTimeout")]) {
    if (where === null || limit.value !== 0) continue;
    const warning = `has no effect: with ${limit.where} 0 no request waits for a connection`;
    warnings.push({ key: where, warning });
  }
  const directory = read("acmeDirectory");
  if (directory.where === null) {
    for (const key of Object.keys(acmeDefinitions) as (keyof typeof acmeDefinitions)[]) {
      const { where } = read(key);
      const warning = "has no effect: without --acme-directory no certificate is ordered";
      if (where !== null) warnings.push({ key: where, warning });
    }
  }
  const { value: challenge, where } = read("acmeChallenge");
  const hasTls = listeners.some(({ protocol }) => protocol === "https");
  if (directory.where !== null && where !== null && challenge === "tls-alpn-01" && !hasTls) {
    const warning = "is asked at a listener for https, which only other gateways have then";
    warnings.push({ key: where, warning });
  }
  return warnings;
}

function checkAcme(outcome: AcmeSettings | null | string): AcmeSettings | null {
  if (typeof outcome === "string") throw new SettingsError(outcome);
  return outcome;
}

function checkNames(listeners: readonly ListenerSettings[]): readonly ListenerSettings[] {
  const name = sharedName(listeners);
  if (name === null) return listeners;
  const [first, second] = listeners.filter((one) => one.name === name);
  const flags = first?.flag === second?.flag ? first?.flag : `${first?.flag} and ${second?.flag}`;
  throw new SettingsError(`${flags}: two listeners have the name ${name}`);
}

function parse(where: string, schema: z.ZodType, raw: unknown): unknown {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  throw new SettingsError(`${where}: ${result.error.issues[0]?.message ?? "is not valid"}`);
}

function checkVariables(env: Readonly<Record<string, string | undefined>>): void {
  const known = new Set([...settingKeys.map(variableOf), ...variablesAlone]);
  for (const name of Object.keys(env)) {
    if (!name.startsWith("SLUICE_") || known.has(name) || notSettings.test(name)) continue;
    throw new SettingsError(`${name}: no setting has this name (see sluice start --help)`);
  }
}

async function readSettingsFile(path: string): Promise<Readonly<Record<string, unknown>>> {
  const content = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new SettingsError(`--config: ${path} cannot be read: ${describeFileError(error)}`);
  });
  let document: unknown;
  try {
    document = JSON.parse(content);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replaceAll("\n", " ") : "";
    throw new SettingsError(`${path}: is not JSON: ${reason}`);
  }
  const fields = z.record(z.string(), z.unknown()).safeParse(document);
  if (!fields.success) throw new SettingsError(`${path}: is not a JSON object`);
  const known: ReadonlySet<string> = new Set(settingKeys.filter((key) => key !== "config"));
  for (const field of Object.keys(fields.data)) {
    if (known.has(field)) continue;
    const meant = nearName([...known], field);
    const hint = meant === null ? "" : `; did you mean "${meant}"?`;
    throw new SettingsError(`${path}: field "${field}": unknown${hint}`);
  }
  return fields.data;
}
