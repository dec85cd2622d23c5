/**
 * `sluice upstream` and `sluice host`: ask a running gateway what its workers know, and format it for people.
 */
import type { Destination, RouteRule } from "../model/index.ts";
import type { HostsAnswer, ShownHost, ShownUpstream, UpstreamsAnswer } from "../primary/index.ts";
import { loadSettings } from "../settings.ts";
import { AdminClient, refusalOf } from "./admin-client.ts";
import type { Output } from "./printable.ts";
import { table } from "./table.ts";

type What = "upstreams" | "hosts";

/** @param name `null`: all. */
export async function showView(
  what: What,
  name: string | null,
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  { print, printText }: Output,
): Promise<number> {
  const client = await AdminClient.create(await loadSettings(flags, env), env);
  const query = name === null ? "" : `?${new URLSearchParams({ name })}`;
  const { status, type, body } = await client.read(`/${what}${query}`);
  const answer = type.startsWith("application/json") ? (JSON.parse(body) as unknown) : null;
  if (status !== 200 || answer === null) throw refusalOf(status, answer);
  if (flags.json === true) printText(body.trimEnd());
  // The gateway that answers may be another version than this one; its shape is taken as it comes.
  else for (const line of lines[what](answer)) print(line);
  return 0;
}

const lines: Readonly<Record<What, (answer: unknown) => readonly string[]>> = {
  upstreams: (answer) => upstreamLines(answer as UpstreamsAnswer),
  hosts: (answer) => hostLines(answer as HostsAnswer),
};

/** One block for each upstream: its peers, and under a peer whose state differs between workers each worker. */
export function upstreamLines({ upstreams, unanswered }: UpstreamsAnswer): readonly string[] {
  const blocks = upstreams.map((upstream) => [
    upstream.name === upstream.key
      ? `${upstream.name} (${upstream.kind})`
      : `${upstream.name} (${upstream.kind} ${upstream.key})`,
    ...table(peerRows(upstream)).map((line) => `  ${line}`),
  ]);
  return separated(blocks.length === 0 ? [["there are none"]] : blocks, unanswered);
}

function peerRows({ peers }: ShownUpstream): readonly (readonly string[])[] {
  if (peers.length === 0) return [["no peers"]];
  const counts = ["level", "weight", "worker", "state", "fails", "in flight"];
  const head = ["peer", ...counts, "down until", "reason"];
  const rows = peers.flatMap(({ address, level, weight, workers }) =>
    workers.map((known, at) => {
      const first = at === 0 ? [address, String(level), String(weight)] : ["", "", ""];
      const { worker, state, fails, inFlight, effectiveWeight, downUntil, reason } = known;
      const shown =
        effectiveWeight === weight || state === "err"
          ? state
          : `${state} (weight ${effectiveWeight})`;
      const counted = [String(worker), shown, String(fails), String(inFlight)];
      return [...first, ...counted, downUntil ?? "", state === "ok" ? "" : reason];
    }),
  );
  return [head, ...rows];
}

function hostLines({ hosts, unanswered }: HostsAnswer): readonly string[] {
  const blocks = hosts.map((host) => [host.name, ...hostRows(host).map((line) => `  ${line}`)]);
  return separated(blocks.length === 0 ? [["there are none"]] : blocks, unanswered);
}

function hostRows({ document, script, requests }: ShownHost): readonly string[] {
  const counts = (of: Readonly<Record<string, number>>) =>
    Object.entries(of)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ");
  const routes = (document?.routes ?? []).map((route) => [
    `${route.name}: ${matchOf(route)}`,
    targetOf(route),
  ]);
  const paths = [
    ...routes,
    ...(document?.paths ?? []).map((rule) => [rule.prefix, targetOf(rule)]),
  ];
  const mean = `${(requests.meanSeconds * 1_000).toFixed(1)} ms each`;
  return table([
    ...(document === null ? [["document", "none"]] : []),
    ...(document?.enable === false ? [["document", "switched off"]] : paths),
    ...(script === null
      ? []
      : [
          [
            "script",
            `${script.version?.slice(0, 12) ?? "-"}, ${script.calls} calls, ${script.errors} errors`,
          ],
        ]),
    ...(script !== null && script.outOfService !== null
      ? [["", `out of service: ${script.outOfService}`]]
      : []),
    ["requests", requests.total === 0 ? "0" : `${requests.total}, ${mean}`],
    ...(requests.total === 0
      ? []
      : [
          ["", counts(requests.byStatus)],
          ["", `by upstream: ${counts(requests.byUpstream)}`],
        ]),
  ]);
}

/** `POST /api, header x-beta`. */
function matchOf({ paths, conditions }: RouteRule): string {
  const { methods = [], values = [], clients = [] } = conditions;
  const where = paths.map(({ prefix, exact }) => (exact === true ? `= ${prefix}` : prefix));
  const what = [
    [methods.join("|"), where.join(" ")].filter((text) => text !== "").join(" "),
    ...values.map((value) => `${value.negated === true ? "not " : ""}${value.in} ${value.name}`),
    clients.length === 0 ? "" : `client ${clients.join(" ")}`,
  ].filter((text) => text !== "");
  return what.length === 0 ? "every request" : what.join(", ");
}

/** `v1 90, v2 10 (from 1 at ..., to 10 at ...); sticky by cookie shop`. */
function targetOf({ shares, sticky, sentHost }: Destination): string {
  const nameOf = ({ name, upstream, subset }: Destination["shares"][number]) =>
    subset === undefined ? (name ?? upstream) : `${upstream} ${name ?? ""}`.trim();
  const [only] = shares;
  const to =
    shares.length === 1 && only !== undefined
      ? nameOf(only)
      : shares
          .map(
            (share) =>
              `${nameOf(share)} ${share.weight}${rampOf(share)}${share.forced === undefined ? "" : " (or forced)"}`,
          )
          .join(", ");
  const stays =
    sticky === undefined
      ? ""
      : `; stays with its ${sticky.to} by ${"cookie" in sticky.by ? `cookie ${sticky.by.cookie.name}` : "hash"}`;
  const host =
    sentHost === undefined ? "" : `; Host ${sentHost === "peer" ? "the server's" : sentHost.name}`;
  return `${to}${stays}${host}`;
}

function rampOf({ ramp }: Destination["shares"][number]): string {
  if (ramp === undefined) return "";
  const times =
    "atMs" in ramp ? [ramp.atMs[0] ?? 0, ramp.atMs.at(-1) ?? 0] : [ramp.startMs, ramp.endMs];
  const [start, end] = times.map((ms) => new Date(ms).toISOString());
  return ` (from ${ramp.from}, ${start} to ${end})`;
}

function separated(
  blocks: readonly (readonly string[])[],
  unanswered: UpstreamsAnswer["unanswered"],
): readonly string[] {
  const missing = unanswered.map(
    ({ worker, pid, why }) => `worker ${worker} (pid ${pid}) did not answer: ${why}`,
  );
  const all = missing.length === 0 ? blocks : [...blocks, missing];
  return all.flatMap((block, at) => (at === 0 ? block : ["", ...block]));
}
