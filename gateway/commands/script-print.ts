/** What the `script` commands print: plain lines for people. */

import type { Status } from "../primary/index.ts";
import type { History, Listed } from "../releases/index.ts";
import type { Gateway, Whereabouts } from "./everywhere.ts";
import { table } from "./table.ts";

const short = (version: string | null) => version?.slice(0, 12) ?? "-";

export function listLines(listed: readonly Listed[]): readonly string[] {
  if (listed.length === 0) return ["there are none"];
  return table([
    ["name", "version", "bytes"],
    ...listed.map(({ name, version, bytes }) => [name, short(version), String(bytes)]),
  ]);
}

export function historyLines(history: History): readonly string[] {
  if (history.length === 0) return ["there is no history"];
  return table([
    ["version", "came", "by", "", "since", ""],
    ...history.map(({ version, at, by, outcome, since, detail }) => [
      short(version),
      at,
      by,
      outcome,
      since,
      detail ?? "",
    ]),
  ]);
}

export function whereLines(where: readonly Whereabouts[]): readonly string[] {
  if (where.length === 0) return ["no gateway is registered; it goes live when one starts"];
  return table(
    where.map(({ gateway, isGood, says }) => [
      isGood ? "ok" : "NOT",
      gateway.name,
      gateway.admin,
      says,
    ]),
  );
}

/** One gateway's scripts: what is live, on its way, taken back, and refused with its failed case. */
export function statusLines(gateway: Gateway, status: Status, prefix: string): readonly string[] {
  const rows = status.scripts.map((script) => {
    const { host, version, trial, life, calls, errors, lastError, outOfService } = script;
    const states = [
      ...(outOfService === null ? [version === null ? "no version is live" : "live"] : []),
      ...(outOfService === null ? [] : [`out of service: ${outOfService}`]),
      ...(life.failing === null ? [] : [`fails too often (${life.failing})`]),
      ...(trial === null || life.rollout === null
        ? []
        : [
            `${short(trial.version)} has ${life.rollout.percent} % until ${life.rollout.nextStepAt}`,
          ]),
      ...(life.closedUntil === null ? [] : [`closed until ${life.closedUntil}`]),
      ...life.takenBack
        .filter((one) => one.version === life.accepted && one.version !== version)
        .map((one) => `${short(one.version)} was taken back at ${one.at}: ${one.reason}`),
    ];
    const all = [calls + (trial?.calls ?? 0), errors + (trial?.errors ?? 0)].map(String);
    return [host, short(version), ...all, states.join("; "), lastError ?? ""];
  });
  const lines = [`gateway ${gateway.name} (${gateway.admin})`];
  if (rows.length === 0) lines.push("  no script is live");
  else {
    const head = ["host", "version", "calls", "errors", "", "last error"];
    lines.push(...table([head, ...rows]).map((line) => `  ${line}`));
  }
  const isSource = (key: string) => /^(scripts|modules)\//.test(key.slice(prefix.length));
  for (const refusal of status.refused.filter(({ key }) => isSource(key))) {
    const place = "line" in refusal && refusal.line > 0 ? `:${refusal.line}:${refusal.column}` : "";
    lines.push(`  refused: ${refusal.key}${place} since ${refusal.since}: ${refusal.error}`);
    const test = "test" in refusal ? refusal.test : undefined;
    if (test === undefined) continue;
    lines.push(`    test      ${test.name}`, `    expected  ${test.expected}`);
    lines.push(`    actual    ${test.actual}`);
  }
  return lines;
}
