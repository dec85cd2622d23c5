/** `sluice status`: asks a running gateway's admin API and formats the answer for people. */

import type { TenantNames } from "../model/index.ts";
import type { FleetAnswer, ShownGateway, Status } from "../primary/index.ts";
import { loadSettings } from "../settings.ts";
import { AdminClient, messageIn } from "./admin-client.ts";
import { CommandError } from "./command-error.ts";
import type { Output } from "./printable.ts";
import { table } from "./table.ts";

export async function showStatus(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  { print, printText }: Output,
): Promise<number> {
  const client = await AdminClient.create(await loadSettings(flags, env), env);
  const isFleet = flags.fleet === true;
  const body = isFleet ? await fleetOf(client) : await client.status();
  if (flags.json === true) {
    printText(body.trimEnd());
    return 0;
  }
  // The gateway that answers may be another version than this one; its shape is taken as it comes.
  const shown: unknown = JSON.parse(body);
  const lines = isFleet ? describeFleet(shown as FleetAnswer) : describe(shown as Status);
  for (const line of lines) print(line);
  return 0;
}

async function fleetOf(client: AdminClient): Promise<string> {
  const { status, type, body } = await client.read("/fleet");
  if (status !== 200 || !type.startsWith("application/json")) {
    throw new CommandError(`the gateway answers ${status}: ${messageIn(body)}`);
  }
  return body;
}

/** One line for each gateway, and under it the entries where it differs from Consul. */
export function describeFleet(fleet: FleetAnswer): string[] {
  const { service, wanted, gateways, faults } = fleet;
  const rows = gateways.map((gateway) => [
    `${gateway.name}${gateway.self ? " *" : ""}`,
    gateway.admin,
    gateway.node ?? "-",
    gateway.state,
    gateway.software ?? "-",
    gateway.current === null ? "-" : `${gateway.current} of ${wanted}`,
    gateway.state === "passing" ? "" : gateway.note,
  ]);
  const [head = "", ...lines] = table([
    ["gateway", "admin", "node", "state", "version", "current", ""],
    ...rows,
  ]);
  const named = service === null ? "they register no service" : `the service ${service}`;
  const count = gateways.length === 1 ? "1 gateway" : `${gateways.length} gateways`;
  const all = [`${count} (${named}); * answers`, "", head];
  for (const [at, line] of lines.entries()) all.push(line, ...laggingLines(gateways[at]));
  if (faults.length > 0) all.push("", ...faults.map((fault) => `warning: ${fault}`));
  return all;
}

const mostLines = 10;

function laggingLines(gateway: ShownGateway | undefined): string[] {
  if (gateway === undefined) return [];
  const { behind, behindCount, refused } = gateway;
  const lines = (behind ?? [])
    .slice(0, mostLines)
    .map(
      ({ key, has, wanted }) =>
        `  behind: ${key} is ${has ?? "not there"}, Consul has ${wanted ?? "none"}`,
    );
  const left = (behindCount ?? 0) - lines.length;
  if (left > 0) lines.push(`  behind: ${left} more`);
  // A gateway of an older version does not have it.
  const alone = (gateway.local ?? []).slice(0, mostLines).map((key) => `  there alone: ${key}`);
  return [...lines, ...refused.slice(0, mostLines).map((key) => `  refused: ${key}`), ...alone];
}

/** Aligned lines; what is empty is left out. */
export function describe(status: Status): string[] {
  const { consul, snapshotFile, notReady } = status;
  const lines = table([
    ["ready", notReady ?? "yes"],
    ["version", `${status.version} (boot ${status.boot})`],
    ["up", duration(status.uptimeMs)],
    ["consul", consul.url],
    ["services", `${status.services.inUse} in use, ${status.services.polled} of them polled`],
    ...(consul.stale === null
      ? []
      : [["stale", `since ${consul.stale.since}: ${consul.stale.error}`]]),
    ...(snapshotFile === null
      ? []
      : [["snapshot", snapshotFile.error ?? `${snapshotFile.path}, ${snapshotFile.writtenAt}`]]),
    ...(snapshotFile?.leftAlone
      ? [["", `${snapshotFile.leftAlone} has a later format and is left alone`]]
      : []),
  ]);
  const section = (title: string, rows: readonly (readonly string[])[]) => {
    if (rows.length > 0) lines.push("", title, ...table(rows).map((line) => `  ${line}`));
  };
  section("workers", [
    ["pid", "state", "version", "lag", "requests", "connections", "memory", "ids"],
    ...status.workers.map((worker) => [
      String(worker.pid),
      worker.state,
      String(worker.version ?? "-"),
      `${Math.round(worker.lagMs)} ms`,
      String(worker.requests),
      String(worker.connections),
      `${Math.round(worker.residentBytes / 1024 ** 2)} MB`,
      worker.idPrefix,
    ]),
  ]);
  // A gateway of an older version has none.
  section(
    "peers that are not well",
    (status.health?.peers ?? []).map(({ address, state, since, reasons }) => {
      const told = reasons.map(
        ({ code, message, upstream }) =>
          `${code}${upstream === null ? "" : ` (${upstream})`}: ${message}`,
      );
      return [address, state, since, told.join("; ")];
    }),
  );
  section("tenants", tenantRows(status.tenants ?? null));
  const scripts = status.scripts.map((script) => [
    script.host,
    script.version?.slice(0, 12) ?? "-",
    script.loadedAt ?? "-",
    String(script.calls),
    String(script.errors),
    script.outOfService === null
      ? (script.lastError ?? "")
      : `out of service: ${script.outOfService}`,
  ]);
  if (scripts.length > 0) {
    section("scripts", [
      ["host", "version", "loaded", "calls", "errors", "last error"],
      ...scripts,
    ]);
  }
  section(
    "refused",
    status.refused.map((refusal) => [
      refusal.key,
      place(refusal),
      refusal.error.replace(`${refusal.key}: `, ""),
      refusal.since,
    ]),
  );
  // A gateway of an older version has none.
  section(
    "cannot serve",
    (status.unusable ?? []).map(({ service, id, why }) => [service, id, why]),
  );
  section(
    "on this gateway alone, until it ends",
    (status.local ?? []).map(({ subject, by, since }) => [subject, by, since]),
  );
  section(
    "peers by hand",
    (status.peers ?? []).map(({ upstream, peer, drained, weight, by, since }) => [
      `${upstream} ${peer}`,
      [drained ? "drained" : "", weight === null ? "" : `weight ${weight}`]
        .filter((one) => one !== "")
        .join(", "),
      by,
      since,
    ]),
  );
  // A gateway of an older version has none.
  section(
    "warnings",
    (status.warnings ?? []).map(({ key, warning, since }) => [key, warning, since]),
  );
  section(
    "held (the gateway keeps these; sluice resync lets them go)",
    status.held.map(({ kind, key, since, why }) => [`${kind} ${key}`, since, why]),
  );
  return lines;
}

function place(refusal: Status["refused"][number]): string {
  return "line" in refusal && refusal.line > 0 ? `${refusal.line}:${refusal.column}` : "";
}

/** The names that each has: the operator reads the policy in the words that it was written in. */
function tenantRows(policy: Status["tenants"]): string[][] {
  if (policy === null) return [];
  const row = (tenant: string, { hosts, modules, settings, upstreams }: TenantNames) => [
    tenant,
    ...[hosts, modules, settings, upstreams].map((names) => names.join(" ")),
  ];
  return [
    ["tenant", "hosts", "modules", "settings", "upstreams"],
    ...Object.entries(policy.tenants).map(([tenant, names]) => row(tenant, names)),
    row("shared", policy.shared),
  ];
}

function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first === -1 ? 3 : first)
    .map(([count, unit]) => `${count}${unit}`)
    .join(" ");
}
