/**
 * `sluice explain`: asks a running gateway what would become of a request, and formats the answer for people.
 */
import type {
  BoundsStatus,
  ExplainedOutcome,
  ExplainedShare,
  Explanation,
} from "../model/index.ts";
import { loadSettings } from "../settings.ts";
import { AdminClient, messageIn } from "./admin-client.ts";
import { CommandError } from "./command-error.ts";
import type { Output } from "./printable.ts";
import { table } from "./table.ts";

export interface ExplainFlags extends Readonly<Record<string, unknown>> {
  readonly header?: readonly string[];
  readonly listener?: string;
  readonly client?: string;
  readonly json?: boolean;
}

export async function runExplain(
  method: string,
  url: string,
  flags: ExplainFlags,
  env: Readonly<Record<string, string | undefined>>,
  { print, printText }: Output,
): Promise<number> {
  const settings = await loadSettings(flags, env);
  const query = new URLSearchParams({ method, url });
  for (const header of flags.header ?? []) query.append("header", header);
  if (flags.listener !== undefined) query.set("listener", flags.listener);
  if (flags.client !== undefined) query.set("client", flags.client);
  const { status, body } = await (await AdminClient.create(settings, env)).read(
    `/explain?${query}`,
  );
  if (status !== 200) throw new CommandError(`the gateway answers ${status}: ${messageIn(body)}`);
  if (flags.json === true) printText(body.trimEnd());
  // The gateway that answers may be another version than this one; its shape is taken as it comes.
  else {
    const explained = JSON.parse(body) as Explanation & { readonly local?: readonly string[] };
    for (const line of describe(explained)) print(line);
    const local = explained.local ?? [];
    if (local.length > 0) print(`on this gateway alone, until it ends: ${local.join(", ")}`);
  }
  return 0;
}

/** Lines for people: what the request meets, and what becomes of it. */
export function describe({ version, request, sites, outcome }: Explanation): readonly string[] {
  const { method, host, path, query } = request;
  const lines = [`${method} ${host}${path}${query === "" ? "" : `?${query}`}, version ${version}`];
  for (const { host: at, document, service, phases } of sites) {
    const what = [document, service === null ? null : `service ${service}`].filter((one) => one);
    lines.push(
      "",
      `site ${at}: ${what.length === 0 ? "no document, no service" : what.join(", ")}`,
    );
    for (const { name, says, changes } of phases) {
      lines.push(`  ${name}: ${says.join("; ") || (changes.length === 0 ? "lets it pass" : "")}`);
      for (const change of changes) lines.push(`    ${change}`);
    }
  }
  return [...lines, "", ...describeOutcome(outcome)];
}

function describeOutcome(outcome: ExplainedOutcome): readonly string[] {
  switch (outcome.kind) {
    case "held":
      return [`it is held ${outcome.by}`];
    case "ended":
      return [`the gateway ends it, ${outcome.code}: ${outcome.message}`];
    case "answer": {
      const { status, code, message, headers } = outcome;
      const why = code === null ? "" : ` ${code}: ${message}`;
      const fields = Object.entries(headers).map(
        ([name, value]) => `  ${name}: ${[value].flat().join(", ")}`,
      );
      return [`the gateway answers ${status}${why}`, ...fields];
    }
    case "forward": {
      const { by, rule, passedOver = [], side = null, sticky = null, shares } = outcome;
      const where = rule?.startsWith("/") ? `path ${rule}` : rule;
      const first = `${by}${where === null ? "" : `, ${where}`} sends it to`;
      return [
        ...passedOver.map(({ route, why }) => `${by}, ${route} does not match: ${why}`),
        first,
        ...shares.flatMap(describeShare),
        ...(side === null ? [] : [`it belongs to ${side.name}: ${sideWords[side.by]}`]),
        ...(sticky === null
          ? []
          : [`its client stays with its ${sticky.to} by ${sticky.by}: ${sticky.says}`]),
      ];
    }
  }
}

const sideWords = {
  forced: "the request meets what the side forces",
  cookie: "its cookie says so",
  hash: "its hash falls there",
} as const;

/** Nothing that a request would not notice has a line. */
function describeBounds({ requests, breaker, retries }: BoundsStatus): string[] {
  const lines: string[] = [];
  if (requests !== null) {
    const { inFlight, elsewhere, most, waiting, queue } = requests;
    const room = most === null ? "" : ` of ${most}`;
    lines.push(
      `requests ${inFlight + elsewhere}${room}; ${waiting} of ${queue} wait in this worker`,
    );
  }
  if (breaker !== null) {
    const { state, openForMs } = breaker;
    const rest = state === "open" ? `, for ${Math.ceil(openForMs / 100) / 10} s more` : "";
    lines.push(`circuit breaker ${state.replace("_", " ")}${rest}`);
  }
  if (retries !== null && retries.taken >= retries.most)
    lines.push(`no retry for now: ${retries.taken} in the last seconds`);
  return lines;
}

function describeShare(share: ExplainedShare): string[] {
  const { upstream, percent, policy, why, limits, bounds, peers, next, host = null } = share;
  const lines = [
    `  ${upstream}, ${percent} % of requests${policy === null ? "" : `, by ${policy}`}${why === null ? "" : `: ${why}`}`,
  ];
  const rows = peers.map(({ address, level, weight, state, inFlight, reason }) => [
    address === next ? "next" : "",
    address,
    `level ${level}`,
    `weight ${weight}`,
    state,
    `${inFlight} in flight`,
    reason,
  ]);
  lines.push(...table(rows).map((line) => `    ${line}`));
  if (host !== null) lines.push(`    Host: ${host}`);
  if (limits !== null) {
    const { maxTries, ...times } = limits;
    const names = {
      tryTimeoutMs: "all tries",
      connectTimeoutMs: "connect",
      sendTimeoutMs: "send",
      readTimeoutMs: "read",
    };
    const own = (by: string) => (by === "upstream" ? " (its own)" : "");
    const told = Object.entries(names).map(([key, name]) => {
      const { value, by } = times[key as keyof typeof names];
      return `${name} ${value === 0 ? "no limit" : `${value / 1000} s`}${own(by)}`;
    });
    lines.push(`    tries ${maxTries.value}${own(maxTries.by)}; ${told.join(", ")}`);
  }
  if (bounds !== null) lines.push(...describeBounds(bounds).map((line) => `    ${line}`));
  return lines;
}
