/**
 * Puts a worker together: engine, streams, sandbox, the book of peers and what looks after them, each given what it
 * needs of the others. Accepts nothing yet, and reads no message.
 */
import { Slots } from "../../plugins/index.ts";
import { PeerBook } from "../balancing/index.ts";
import {
  type Descriptors,
  defaultLimits,
  type Engine,
  type ListenerOptions,
} from "../engine/engine.ts";
import { addressTest } from "../engine/message/address-blocks.ts";
import { RateLimits } from "../limits/index.ts";
import {
  type HostDocument,
  type ListenerTerms,
  lastWordsDescriptor,
  type PeerFinding,
  type Served,
  type ToPrimary,
  type WorkerSettings,
} from "../model/index.ts";
import { AccessLog } from "../observability/access-log.ts";
import { createLogger, type Log } from "../observability/logger.ts";
import { Traffic } from "../observability/traffic.ts";
import { OwnAddresses } from "../own-addresses.ts";
import { createSandbox } from "../sandbox/for-workers.ts";
import type { Sandbox } from "../sandbox/index.ts";
import { Router } from "../sites/index.ts";
import type { Answering } from "./answers.ts";
import { type DescriptorLimit, descriptorLimit, watchDescriptors } from "./descriptors.ts";
import { createEngine } from "./engine-choice.ts";
import { explain } from "./explain.ts";
import { explainStream } from "./explain-stream.ts";
import { FailureLog } from "./failure-log.ts";
import { Gateway } from "./gateway.ts";
import { HiddenServices } from "./hidden-services.ts";
import { LoadShare } from "./load-share.ts";
import { pluginPhases } from "./plugin-phases.ts";
import { Replica } from "./replica.ts";
import { Reporter } from "./reporter.ts";
import { WorkerStreams } from "./streams.ts";
import { TlsRoom } from "./tls/tls-room.ts";

/** The parts of a worker. */
export interface WorkerParts {
  readonly log: Log;
  readonly replica: Replica;
  readonly book: PeerBook;
  readonly loads: LoadShare;
  readonly sandbox: Sandbox;
  readonly limits: RateLimits;
  /** `null`: requests are not noted. */
  readonly accessLog: AccessLog | null;
  readonly gateway: Gateway;
  readonly reporter: Reporter;
  /** What the primary may ask about. */
  readonly answering: Answering;
  readonly engine: Engine;
  readonly streams: WorkerStreams;
  readonly ownAddresses: OwnAddresses;
  readonly tls: TlsRoom;
  /** Makes the router of the replica's version. `before`: the one that it replaces; see `Router.build`. */
  readonly route: (before: Router | null, changes: readonly Served[] | null) => Router;
}

/** How many answers may be compressed at once. Each takes about a mebibyte for as long as its client reads. */
const pluginSlots = 256;

const now = () => performance.now();

/**
 * @param backlog how many connections may wait to be accepted.
 * @param send tells the primary.
 */
export function assemble(
  settings: WorkerSettings,
  backlog: number,
  send: (message: ToPrimary) => void,
): WorkerParts {
  const descriptors = descriptorLimit();
  const replica = new Replica();
  const log = createLogger({ name: "sluice-worker", level: settings.logLevel });
  const tell = findingsTeller((findings) => send({ type: "peers", findings }));
  const book = new PeerBook({
    onRetired: (peer) => engine.retire(peer),
    random: Math.random,
    now,
    onFinding: tell,
    zone: settings.zone ?? null,
  });
  const sandbox = createSandbox({
    limits: settings.script,
    tenants: settings.tenants ?? null,
    lastWordsDescriptor,
    log: (level, host, version, message) => log[level]({ script: host, version }, message),
    logLevel: settings.logLevel,
  });
  const limits = new RateLimits({
    send: (batch, asks) => send({ type: "takeTokens", batch, asks }),
    now,
    log,
  });
  const pluginRoom = { limits, slots: new Slots(pluginSlots) };
  const phasesOf = (key: string, document: HostDocument) => pluginPhases(key, document, pluginRoom);
  const route: WorkerParts["route"] = (before, changes) => {
    // The hosts with scripts are others after each `apply`.
    const options = { random: Math.random, now, scripts: sandbox.hosts, phasesOf };
    return Router.build(replica.tables, book, options, before, changes);
  };
  const accessLog =
    settings.accessLog === null
      ? null
      : new AccessLog({
          target: settings.accessLog,
          onTrouble: (message) => log.error({}, message),
        });
  const traffic = new Traffic();
  const failures = new FailureLog(log, now, descriptors?.limit ?? null);
  const hidden = new HiddenServices(log, now);
  const exposes = settings.listeners.map((terms) => terms.exposes);
  const ask = (service: string) => send({ type: "watch", service });
  const reopen = (listener: number) => send({ type: "reopen", listener });
  const onError = (error: unknown) => gateway.onError(error);
  const gateway = new Gateway({
    router: route(null, null),
    sandbox,
    log,
    accessLog,
    traffic,
    failures,
    hidden,
    exposes,
    now,
    watchTimeoutMs: settings.watchTimeoutMs,
    askForService: ask,
  });
  const loads = new LoadShare({
    book,
    gates: () => gateway.router.gates,
    send: (some) => send({ type: "loads", loads: some }),
  });
  const ownAddresses = new OwnAddresses(settings.ownAddresses);
  const forbids = (address: string, port: number) => ownAddresses.find(address, port);
  const tls = new TlsRoom({
    ruleOf: (host, exposed) =>
      gateway.router.site(host, exposed).rules?.document.clientCertificate ?? null,
    http2: settings.limits.http2 ?? defaultLimits.http2,
    onError,
  });
  /** @param others returns how many descriptors another engine uses. */
  const watch = (limit: DescriptorLimit, others: () => number): Descriptors =>
    watchDescriptors(limit, {
      log,
      others,
      connections: () => connectionsOf(engine) + streams.engine.descriptors,
      reopen,
      now,
    });
  const engine = createEngine(settings.engine, {
    handler: gateway,
    limits: settings.limits,
    forwardedPath: settings.forwardedPath ?? "normal",
    idPrefix: settings.idPrefix,
    trusts: addressTest(settings.trustedProxies),
    listeners: settings.listeners.map((terms) => listenerOptions(terms, tls)),
    peerMaterials: tls.peerMaterials,
    forbids,
    onError,
    now,
    ...(descriptors === null
      ? {}
      : { descriptors: watch(descriptors, () => streams.engine.descriptors) }),
  });
  const streams = new WorkerStreams({
    settings,
    router: () => gateway.router,
    accessLog,
    failures,
    hidden,
    traffic,
    forbids,
    ask,
    reopen,
    onUnable: (listener, { code = "", message }) =>
      send({ type: "cannotListen", listener, code, message }),
    onError,
    backlog,
    descriptors: descriptors === null ? null : watch(descriptors, () => connectionsOf(engine)),
    now,
  });
  const reporter = new Reporter({
    idPrefix: settings.idPrefix,
    engine,
    traffic,
    streams,
    scripts: () => sandbox.reports(),
    log,
    now,
  });
  const answering: Answering = {
    gateway,
    reporter,
    explainStream: (asked) =>
      explainStream(asked, { router: gateway.router, version: replica.version, nowMs: now() }),
    explain: (asked) =>
      explain(asked, {
        router: gateway.router,
        version: replica.version,
        exposes,
        limits: settings.limits,
        now,
      }),
  };
  return {
    log,
    replica,
    book,
    loads,
    sandbox,
    limits,
    accessLog,
    gateway,
    reporter,
    answering,
    engine,
    streams,
    ownAddresses,
    tls,
    route,
  };
}

/** Connections from clients and to peers. */
function connectionsOf(engine: Engine): number {
  const { clientConnections, peerConnections } = engine.stats();
  return clientConnections + peerConnections;
}

function listenerOptions(
  { tls, exposes, proxyProtocol, limits }: ListenerTerms,
  room: TlsRoom,
): ListenerOptions {
  return {
    tls: tls === null ? null : room.listener(tls, exposes),
    proxied: proxyProtocol.length === 0 ? null : addressTest(proxyProtocol),
    ...limits,
  };
}

/**
 * Sends all findings from one turn of the event loop in one message: a service that dies takes its peers with it.
 */
function findingsTeller(
  send: (findings: readonly PeerFinding[]) => void,
): (finding: PeerFinding) => void {
  let findings: PeerFinding[] = [];
  return (finding) => {
    findings.push(finding);
    if (findings.length > 1) return;
    setImmediate(() => {
      const some = findings;
      findings = [];
      send(some);
    });
  };
}
