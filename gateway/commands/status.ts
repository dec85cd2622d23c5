/** `sluice status`: asks a running gateway's admin API and sets its answer for people. */
import { once } from "node:events";
import http from "node:http";
import { text as readText } from "node:stream/consumers";
import type { Status } from "../primary/index.ts";
import { type Address, address, formatAddress } from "../settings-values.ts";
import { CommandError, readFlag } from "./command-error.ts";

const timeoutMs = 5000;

export async function showStatus(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  print: (line: string) => void,
): Promise<number> {
  const [where, raw] =
    flags.admin !== undefined
      ? ["--admin", flags.admin]
      : ["SLUICE_ADMIN", env.SLUICE_ADMIN || "127.0.0.1:1995"];
  const body = await ask(readFlag(where, address(), raw));
  if (flags.json === true) print(body.trimEnd());
  // The gateway that answers may be another version than this one; its shape is taken as it comes.
  else for (const line of describe(JSON.parse(body) as Status)) print(line);
  return 0;
}

async function ask(admin: Address): Promise<string> {
  // An address that stands for all of them is no address to connect to.
  const any: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  const { port } = admin;
  const host = any[admin.host] ?? admin.host;
  const url = `http://${formatAddress({ host, port })}/status`;
  const { status, type, body } = await get(host, port).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`no gateway answers at ${url}: ${reason}`);
  });
  if (status !== 200 || !type.startsWith("application/json")) {
    throw new CommandError(`${url} answers ${status} and is no gateway's status`);
  }
  return body;
}

/** `fetch` refuses some ports that an operator may well have chosen; this does not. */
async function get(host: string, port: number) {
  const signal = AbortSignal.timeout(timeoutMs);
  const request = http.get({ host, port, path: "/status", agent: false, signal });
  const [response]: http.IncomingMessage[] = await once(request, "response");
  if (response === undefined) throw new Error("no answer");
  const body = await readText(response);
  return {
    status: response.statusCode ?? 0,
    type: response.headers["content-type"] ?? "",
    body,
  };
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
  const scripts = status.scripts.map((script) => [
    script.host,
    script.version?.slice(0, 12) ?? "-",
    script.loadedAt ?? "-",
    String(script.calls),
    String(script.errors),
    script.lastError ?? "",
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
  section(
    "held (sluice keeps these; POST /resync lets them go)",
    status.held.map(({ kind, key, since, why }) => [`${kind} ${key}`, since, why]),
  );
  return lines;
}

function place(refusal: Status["refused"][number]): string {
  return "line" in refusal && refusal.line > 0 ? `${refusal.line}:${refusal.column}` : "";
}

function table(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
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
