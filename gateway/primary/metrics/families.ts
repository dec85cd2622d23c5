/** The metrics of a gateway, family by family; docs/metrics.md has them in the same order. */
import {
  delayBounds,
  durationBounds,
  statusClasses,
  type UpstreamLoad,
} from "../../model/index.ts";
import type { HostCount } from "../../releases/index.ts";
import type { Version } from "../../version.ts";
import type { Status } from "../status.ts";
import { type Family, histogram, type Sample } from "./exposition.ts";
import type { Totals } from "./totals.ts";

/** What the families are made of. */
export interface Observed {
  readonly version: Version;
  readonly startedAtMs: number;
  readonly nowMs: number;
  readonly status: Status;
  readonly totals: Totals;
  readonly restarts: number;
  /** Workers that did not tell what they have counted last. */
  readonly unanswered: number;
  readonly loads: readonly UpstreamLoad[];
  readonly scripts: ReadonlyMap<string, HostCount>;
  readonly watchErrors: ReadonlyMap<string, number>;
  /** Of the primary. */
  readonly residentBytes: number;
}

/** Watches of the same sort have one series: there is one for each service in use. */
export function watchLabel(name: string): string {
  if (name.startsWith("service ")) return "services";
  return name.startsWith("catalog of ") ? "catalogs" : name;
}

export function familiesOf(observed: Observed): readonly Family[] {
  return [
    ...ofRequests(observed),
    ...ofStreams(observed),
    ...ofUpstreams(observed),
    ...ofHealth(observed),
    ...ofScripts(observed),
    ...ofState(observed),
    ...ofWatches(observed),
    ...ofProcesses(observed),
  ];
}

function ofRequests({ totals, status }: Observed): readonly Family[] {
  const routes = [...totals.routes()];
  const labelsOf = ({ host, upstream }: { readonly host: string; readonly upstream: string }) => ({
    host,
    upstream,
  });
  return [
    counter(
      "sluice_requests_total",
      "Requests that are over, by the first digit of their status; none: the client had gone.",
      routes.flatMap((route) =>
        statusClasses.flatMap((status, at) => {
          const value = route.classes[at] ?? 0;
          return value === 0 ? [] : [{ labels: { ...labelsOf(route), status }, value }];
        }),
      ),
    ),
    {
      name: "sluice_request_duration_seconds",
      help: "From the head of a request to the end of its answer.",
      type: "histogram",
      samples: routes.flatMap((route) =>
        histogram(labelsOf(route), durationBounds, route.durations, route.seconds),
      ),
    },
    counter(
      "sluice_request_body_bytes_total",
      "Bytes of request bodies that were taken from clients.",
      routes.map((route) => ({ labels: labelsOf(route), value: route.bytesIn })),
    ),
    counter(
      "sluice_response_body_bytes_total",
      "Bytes of response bodies that were given to clients.",
      routes.map((route) => ({ labels: labelsOf(route), value: route.bytesOut })),
    ),
    counter(
      "sluice_tries_total",
      "Peers that requests were tried on, the first try of each included.",
      routes.map((route) => ({ labels: labelsOf(route), value: route.tries })),
    ),
    counter(
      "sluice_request_failures_total",
      "Requests that ended with an error of the gateway's, by its code.",
      byCode(totals.failures),
    ),
    counter(
      "sluice_refused_heads_total",
      "Request heads that were refused before there was a request, by code.",
      byCode(totals.refused),
    ),
    counter(
      "sluice_dropped_header_lines_total",
      "Header and trailer lines of requests that were dropped because of their names.",
      [{ value: totals.droppedHeaders }],
    ),
    gauge("sluice_requests_in_flight", "Requests that are being served.", [
      { value: sum(status.workers.map(({ inFlight }) => inFlight)) },
    ]),
    gauge("sluice_client_connections", "Connections of clients that are open.", [
      { value: sum(status.workers.map(({ connections }) => connections)) },
    ]),
    gauge("sluice_peer_connections", "Connections to peers that are open, idle ones included.", [
      { value: sum(status.workers.map(({ peerConnections }) => peerConnections)) },
    ]),
  ];
}

function ofStreams({ totals, status }: Observed): readonly Family[] {
  const streams = [...totals.streams()];
  const samples = (value: "ended" | "bytesIn" | "bytesOut"): readonly Sample[] =>
    streams.map((stream) => ({
      labels: { listener: stream.listener, upstream: stream.upstream },
      value: stream[value],
    }));
  return [
    counter(
      "sluice_stream_connections_total",
      "TCP connections, and sessions of datagrams, that are over.",
      samples("ended"),
    ),
    counter(
      "sluice_stream_received_bytes_total",
      "Bytes that clients sent over TCP and UDP.",
      samples("bytesIn"),
    ),
    counter(
      "sluice_stream_sent_bytes_total",
      "Bytes that clients were sent over TCP and UDP.",
      samples("bytesOut"),
    ),
    counter(
      "sluice_stream_failures_total",
      "Connections and sessions that ended otherwise than by both sides closing them, by the reason.",
      streams.flatMap(({ listener, upstream, failures }) =>
        Array.from(failures, ([code, value]) => ({ labels: { listener, upstream, code }, value })),
      ),
    ),
    gauge("sluice_streams", "TCP connections and sessions of datagrams that are open.", [
      { value: sum(status.workers.map(({ streams: open }) => open)) },
    ]),
  ];
}

function ofUpstreams({ totals, loads }: Observed): readonly Family[] {
  return [
    counter(
      "sluice_peer_failures_total",
      "Tries on a peer that brought no answer, by the reason.",
      Array.from(totals.peerFailures(), ({ upstream, code, count }) => ({
        labels: { upstream, code },
        value: count,
      })),
    ),
    gauge(
      "sluice_upstream_peers",
      "Peers of an upstream; down: as many as the worker that has taken out most has taken out.",
      loads.flatMap(({ name: upstream, peers, down }) => [
        { labels: { upstream, state: "up" }, value: peers - down },
        { labels: { upstream, state: "down" }, value: down },
      ]),
    ),
    gauge(
      "sluice_upstream_requests_in_flight",
      "Requests that are on an upstream's peers.",
      loads.map(({ name: upstream, inFlight }) => ({ labels: { upstream }, value: inFlight })),
    ),
  ];
}

function ofHealth({ status: { health } }: Observed): readonly Family[] {
  const { checks } = health;
  return [
    gauge("sluice_unwell_peers", "Addresses that are not simply well, by their state.", [
      { labels: { state: "err" }, value: health.err },
      { labels: { state: "unstable" }, value: health.unstable },
    ]),
    counter("sluice_peer_health_changes_total", "Changes of the state of an address.", [
      { value: health.changes },
    ]),
    gauge("sluice_checked_servers", "Servers that active checks are made of.", [
      { value: checks.servers },
    ]),
    counter("sluice_checks_total", "Active checks that are over, by their result.", [
      { labels: { result: "good" }, value: checks.done - checks.failed },
      { labels: { result: "failed" }, value: checks.failed },
    ]),
  ];
}

function ofScripts({ scripts }: Observed): readonly Family[] {
  const samples = (value: (count: HostCount) => number): readonly Sample[] =>
    Array.from(scripts, ([host, count]) => ({ labels: { host }, value: value(count) }));
  return [
    counter(
      "sluice_script_calls_total",
      "Calls of a host's rewrite script.",
      samples(({ calls }) => calls),
    ),
    counter(
      "sluice_script_errors_total",
      "Calls of a host's rewrite script that failed.",
      samples(({ errors }) => errors),
    ),
    counter(
      "sluice_script_seconds_total",
      "Time that the calls of a host's rewrite script took, estimated from those that are measured.",
      samples(({ ranMs }) => ranMs / 1_000),
    ),
  ];
}

function ofState({ status, version, unanswered }: Observed): readonly Family[] {
  const { workers } = status;
  const current = workers.filter(({ state }) => state !== "draining");
  return [
    gauge("sluice_build_info", "Always 1; the labels say which build this is.", [
      {
        labels: { version: version.version, commit: version.commit ?? "", node: process.version },
        value: 1,
      },
    ]),
    gauge("sluice_ready", "Whether /readyz answers 200.", [
      { value: status.notReady === null ? 1 : 0 },
    ]),
    gauge(
      "sluice_certificate_expiry_timestamp_seconds",
      "When a certificate that is served expires, in seconds since 1970.",
      status.certificates.map(({ key: certificate, notAfter }) => ({
        labels: { certificate },
        value: Date.parse(notAfter) / 1_000,
      })),
    ),
    counter(
      "sluice_acme_orders_total",
      "Orders of certificates that this gateway made by ACME, by how they ended.",
      Object.entries(status.acme?.orders ?? {}).map(([outcome, value]) => ({
        labels: { outcome },
        value,
      })),
    ),
    gauge("sluice_state_version", "The version of the state that the primary has.", [
      { value: status.version },
    ]),
    gauge(
      "sluice_worker_state_version",
      "The version of the state that a worker has.",
      current.map(({ slot, version }) => ({
        labels: { process: workerLabel(slot) },
        value: version ?? 0,
      })),
    ),
    gauge(
      "sluice_worker_lag_seconds",
      "For how long a worker has not acknowledged a version that was published; 0: it has all.",
      current.map(({ slot, lagMs }) => ({
        labels: { process: workerLabel(slot) },
        value: lagMs / 1_000,
      })),
    ),
    gauge(
      "sluice_refused_entries",
      "Scripts, documents and settings in Consul that are not used because they are faulty.",
      [{ value: status.refused.length }],
    ),
    gauge("sluice_warnings", "Warnings in /status.", [{ value: status.warnings.length }]),
    gauge(
      "sluice_held_entries",
      "Entries that Consul no longer has and the gateway keeps until it is told to let go.",
      [{ value: status.held.length }],
    ),
    gauge(
      "sluice_unanswered_workers",
      "Workers that were asked for this answer and did not report in time; their last report counts.",
      [{ value: unanswered }],
    ),
  ];
}

function ofWatches({ status, watchErrors, nowMs }: Observed): readonly Family[] {
  const ages = new Map<string, number>();
  const states = new Map<string, Map<string, number>>();
  for (const { name, state, since, lastAnswerAt } of status.watches) {
    const watch = watchLabel(name);
    const age = Math.max(0, nowMs - Date.parse(lastAnswerAt ?? since)) / 1_000;
    ages.set(watch, Math.max(age, ages.get(watch) ?? 0));
    const known = states.get(watch) ?? new Map([...watchStates].map((name) => [name, 0]));
    states.set(watch, known.set(state, (known.get(state) ?? 0) + 1));
  }
  return [
    gauge(
      "sluice_watches",
      "Watches of Consul, by what they watch and by their state.",
      [...states].flatMap(([watch, counts]) =>
        Array.from(counts, ([state, value]) => ({ labels: { watch, state }, value })),
      ),
    ),
    gauge(
      "sluice_watch_age_seconds",
      "Time since Consul last answered a watch; of several watches, of the one that waits longest.",
      Array.from(ages, ([watch, value]) => ({ labels: { watch }, value })),
    ),
    counter(
      "sluice_watch_errors_total",
      "Queries of a watch that Consul did not answer well.",
      Array.from(watchErrors, ([watch, value]) => ({ labels: { watch }, value })),
    ),
    gauge("sluice_services_in_use", "Services whose instances are watched or polled.", [
      { value: status.services.inUse },
    ]),
  ];
}

const watchStates = ["starting", "ok", "failing"] as const;

function ofProcesses(observed: Observed): readonly Family[] {
  const { status, totals, restarts, residentBytes, startedAtMs } = observed;
  const processes = [...totals.processes()];
  const states = ["starting", "listening", "draining"] as const;
  return [
    gauge(
      "sluice_workers",
      "Worker processes, by their state.",
      states.map((state) => ({
        labels: { state },
        value: status.workers.filter((worker) => worker.state === state).length,
      })),
    ),
    counter(
      "sluice_worker_restarts_total",
      "Workers that ended although nobody asked them to, and were replaced.",
      [{ value: restarts }],
    ),
    gauge("sluice_resident_memory_bytes", "Resident memory of a process.", [
      { labels: { process: "primary" }, value: residentBytes },
      ...status.workers
        .filter(({ state }) => state !== "draining")
        .map((worker) => ({
          labels: { process: workerLabel(worker.slot) },
          value: worker.residentBytes,
        })),
    ]),
    counter(
      "sluice_processor_seconds_total",
      "Processor time that a process and its predecessors took.",
      processes.map(([process, { processorSeconds }]) => ({
        labels: { process },
        value: processorSeconds,
      })),
    ),
    {
      name: "sluice_event_loop_delay_seconds",
      help: "How late the event loop of a process is, sampled ten times a second.",
      type: "histogram",
      samples: processes.flatMap(([process, { delays }]) =>
        histogram({ process }, delayBounds, delays.buckets, delays.seconds),
      ),
    },
    gauge("process_start_time_seconds", "When the gateway started, in seconds since 1970.", [
      { value: startedAtMs / 1_000 },
    ]),
  ];
}

/** The label of the worker in a place, and of those that had the place before. */
export function workerLabel(slot: number): string {
  return `worker-${slot}`;
}

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: "counter", samples };
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: "gauge", samples };
}

function byCode(counts: ReadonlyMap<string, number>): readonly Sample[] {
  return Array.from(counts, ([code, value]) => ({ labels: { code }, value }));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
