/** The messages between the primary and a worker, over the worker's IPC channel. */
import type { EngineLimits, ForwardedPath } from "../engine/engine.ts";
import type { ImaginedRequest } from "../engine/rehearsal.ts";
import type { OwnAddress } from "../own-addresses.ts";
import type { Delta, Snapshot } from "./change.ts";
import type { WorkerCounts } from "./counts.ts";
import type { NearZone } from "./documents.ts";
import type { OutOfService } from "./entries.ts";
import type { Explanation, ImaginedStream } from "./explanation.ts";
import type { ListenerTerms } from "./listeners.ts";
import type { PeerFinding } from "./peer-health.ts";
import type { TenantPolicy } from "./tenants.ts";
import type { Loads, RoutedUpstream, UpstreamKeys, UpstreamLoad } from "./upstream-status.ts";

/** The settings that a worker needs. Times are in milliseconds. */
export interface WorkerSettings {
  readonly engine: "http1" | "reference";
  readonly limits: Partial<EngineLimits>;
  /** Whether there are other workers, who are told how many requests are on each peer. */
  readonly hasOthers: boolean;
  /** Default `normal`. */
  readonly forwardedPath?: ForwardedPath;
  /** A file, `-` for standard output, `null` for none. */
  readonly accessLog: string | null;
  /** Proxies whose words about their clients are believed: addresses or CIDR blocks. Default: none. */
  readonly trustedProxies: readonly string[];
  /** Addresses where no peer may be. */
  readonly ownAddresses: readonly OwnAddress[];
  /** Its listeners, in the order of their descriptors; see `listeningDescriptors`. */
  readonly listeners: readonly ListenerTerms[];
  readonly script: {
    readonly memoryMb: number;
    readonly callTimeoutMs: number;
    readonly maxIsolates: number;
  };
  /** Which script may use what. Default, or `null`: every script may use everything. */
  readonly tenants?: TenantPolicy | null;
  /** How long a request may wait for a service that nobody watches yet. Default 2000. */
  readonly watchTimeoutMs: number;
  /** Default, or `null`: no server is nearer than another. */
  readonly zone?: NearZone | null;
  readonly logLevel: string;
  /** Prefix of the request ids that this worker makes. */
  readonly idPrefix: string;
  /** How the worker goes on when its primary is gone; `null`: it ends. */
  readonly succession: {
    /** The address where the next gateway announces that it serves. */
    readonly name: string;
    /** How long running requests may then take to finish. */
    readonly drainTimeoutMs: number;
  } | null;
}

/**
 * What the primary may ask a worker: each question's name, with the types of what is asked and of what is answered. A
 * new question is one more entry here and a handler in `worker/answers.ts`; `Workers.ask` asks it. A worker serves no
 * requests while it answers, so a question must name a bounded part of the state.
 */
interface Questions {
  /** The live state of these upstreams' peers. */
  upstreams: { readonly asked: UpstreamKeys; readonly answered: readonly RoutedUpstream[] };
  /** The same, in a few numbers. */
  loads: { readonly asked: UpstreamKeys; readonly answered: readonly UpstreamLoad[] };
  /** What would become of a request. */
  explain: { readonly asked: ImaginedRequest; readonly answered: Explanation };
  /** The same for a connection, or a session of datagrams. */
  explainStream: { readonly asked: ImaginedStream; readonly answered: Explanation };
  /** Send counts and a report now; both arrive before the answer. */
  report: { readonly asked: null; readonly answered: null };
  /** Does the worker answer at all? */
  alive: { readonly asked: null; readonly answered: null };
}

export type QuestionName = keyof Questions;
export type Asked<N extends QuestionName> = Questions[N]["asked"];
export type Answered<N extends QuestionName> = Questions[N]["answered"];

/** A question on its way. The answer brings back its `id`. */
export type Question = {
  readonly [N in QuestionName]: {
    readonly type: "question";
    readonly id: number;
    readonly name: N;
    readonly asked: Asked<N>;
  };
}[QuestionName];

/** Tokens from a rate limit that a worker asks for. */
export interface TokenAsk {
  /** The use of a plugin that sets the limit. Two with the same name have the same rate. */
  readonly limit: string;
  /** The client, or whatever else the limit counts separately. */
  readonly key: string;
  /** Tokens per second, above 0. */
  readonly perSecond: number;
  /** Tokens in a full bucket, at least 1. */
  readonly burst: number;
  /** How many requests wait for a token now. */
  readonly wanted: number;
}

export interface TokenGrant {
  /** As many tokens as are wanted, or more in advance; 0: there is none. */
  readonly tokens: number;
  /** Milliseconds until there is one more than was granted; 0: there is one now. */
  readonly waitMs: number;
}

export type ToWorker =
  /** The first message, with the worker's settings. */
  | { readonly type: "start"; readonly settings: WorkerSettings }
  | { readonly type: "snapshot"; readonly snapshot: Snapshot }
  | { readonly type: "delta"; readonly delta: Delta }
  /** Sent once a second: the counter itself, so that a worker that lost a message notices. */
  | { readonly type: "counter"; readonly boot: string; readonly version: number }
  /** One of the sockets again. The handle comes with the message. */
  | { readonly type: "socket"; readonly listener: number }
  /**
   * A listener that was added after the worker was forked, with a number that no other listener has had. A handle for
   * its socket comes with the message; for a TCP socket the message comes several times.
   */
  | { readonly type: "openListener"; readonly listener: number; readonly terms: ListenerTerms }
  /** The terms for later connections on such a listener. */
  | { readonly type: "listenerTerms"; readonly listener: number; readonly terms: ListenerTerms }
  /** Accept no more there. What runs may take as long as when a worker ends. */
  | { readonly type: "closeListener"; readonly listener: number; readonly deadlineMs: number }
  /** The log files were moved away: open them again. */
  | { readonly type: "reopenLogs" }
  | Question
  /** The tokens for the asks in a batch, in the same order. */
  | { readonly type: "tokens"; readonly batch: number; readonly grants: readonly TokenGrant[] }
  /** How many requests all other workers together have, wherever that number has changed. */
  | { readonly type: "loads"; readonly loads: Loads }
  /** What other workers, or the one before, found out about scripts: at first all of it, then only what is new. */
  | { readonly type: "scriptCosts"; readonly costs: readonly ScriptCost[] }
  /** Finish what runs and exit. */
  | { readonly type: "drain"; readonly deadlineMs: number };

export type ToPrimary =
  /** The worker is up and wants a snapshot, or has found a gap and wants one. */
  | { readonly type: "resync"; readonly reason: string }
  | { readonly type: "ack"; readonly boot: string; readonly version: number }
  /** The addresses where it accepts, in the order of the listeners. */
  | { readonly type: "listening"; readonly addresses: readonly ListeningAddress[] }
  /**
   * A request asks for a service that nobody watches yet. `service` is a `serviceKey`, or `@` and the name of a
   * datacenter whose catalog first has to show whether there is such a service.
   */
  | { readonly type: "watch"; readonly service: string }
  /** The worker closed this listener's sockets for want of descriptors, and has room again. */
  | { readonly type: "reopen"; readonly listener: number }
  /** The worker needs tokens from rate limits that all workers share. */
  | { readonly type: "takeTokens"; readonly batch: number; readonly asks: readonly TokenAsk[] }
  /** How many requests the worker has, wherever another worker depends on that number and it has changed. */
  | { readonly type: "loads"; readonly loads: Loads }
  /**
   * What the worker has found out about peers, sent at once; the primary tells all workers through the kind `health`.
   */
  | { readonly type: "peers"; readonly findings: readonly PeerFinding[] }
  | { readonly type: "answer"; readonly id: number; readonly answer: Answered<QuestionName> }
  /** Why the question could not be answered. */
  | { readonly type: "noAnswer"; readonly id: number; readonly reason: string }
  /** What was counted since the last time, sent once a second before the report. */
  | { readonly type: "counts"; readonly counts: WorkerCounts }
  /** Once a second; also the heartbeat. */
  | { readonly type: "report"; readonly report: WorkerReport }
  /** The socket's error, and the listener that it concerns; `code` is empty when the error has none. */
  | {
      readonly type: "cannotListen";
      readonly listener: number;
      readonly code: string;
      readonly message: string;
    };

export interface ListeningAddress {
  readonly address: string;
  readonly port: number;
}

/**
 * Where a worker writes its last words: a pipe to the primary beside the channel, because the thread that has the
 * channel may be stuck. The lines are JSON: a `LastWords` at the end, and before that an `InsideWords` for each
 * script that it has been in for long, because its end may come without a word.
 */
export const lastWordsDescriptor = 4;

/** A worker starts with so many descriptors for each socket that all workers accept from. */
export const descriptorsPerListener = 8;

/** A worker's descriptors for one of these sockets, which are numbered from 0. */
export function listeningDescriptors(listener: number): readonly number[] {
  const first = lastWordsDescriptor + 1 + listener * descriptorsPerListener;
  return Array.from({ length: descriptorsPerListener }, (_, at) => first + at);
}

/** The script that the worker has been in for longer than any should take; `null`: it has come out of it. */
export interface InsideWords {
  readonly inside: LastWords | null;
}

/** The script that the worker cannot get out of. */
export interface LastWords {
  readonly host: string;
  readonly version: string;
  readonly out: OutOfService;
}

export interface ScriptReport {
  readonly host: string;
  readonly version: string;
  readonly calls: number;
  readonly errors: number;
  readonly lastError: string | null;
  /** Milliseconds that its calls took, estimated from those that were measured; left out when none was. */
  readonly ranMs?: number;
  /** What one call usually takes; left out while too few were measured. */
  readonly usualMs?: number;
  /**
   * Some of the clients that called it lately, enough to recognise one among many. Addresses; IPv6 ones by their /64.
   */
  readonly callers?: readonly string[];
  /** Only when something failed lately. It stays in memory, because it contains what clients sent. */
  readonly failed?: FailureEvidence;
}

/** What a call of a version usually takes where it was called. */
export interface ScriptCost {
  readonly host: string;
  readonly version: string;
  readonly usualMs: number;
}

/** The clients on whose requests a version failed in a worker. */
export interface FailureEvidence {
  /** Each client with the number of its last error, counted as `errors` is. */
  readonly clients: readonly (readonly [client: string, error: number])[];
  readonly samples: readonly FailedRequest[];
}

/** A request on which a version failed. */
export interface FailedRequest {
  /** The number of the error. */
  readonly error: number;
  /**
   * The request as the script saw it: method, scheme, host, path, raw path, query, client, id, one line each, and
   * headers.
   */
  readonly request: string;
  /** The answer on which `onResponse` failed; `null` when the script failed on the request. */
  readonly response: { readonly status: number; readonly rawHeaders: string } | null;
}

export interface WorkerReport {
  /** The prefix of the request ids that this worker makes. */
  readonly idPrefix: string;
  readonly requests: number;
  readonly exchanges: number;
  readonly clientConnections: number;
  readonly peerConnections: number;
  /** TCP connections and sessions of datagrams that are open. */
  readonly streams: number;
  /** How many header and trailer lines of requests were dropped because of their names. */
  readonly droppedHeaders: number;
  readonly residentBytes: number;
  readonly scripts: readonly ScriptReport[];
}
