/** The messages between the primary and a worker, over the worker's IPC channel. */
import type { EngineLimits, ForwardedPath } from "../engine/engine.ts";
import type { ImaginedRequest } from "../engine/rehearsal.ts";
import type { OwnAddress } from "../own-addresses.ts";
import type { Delta, Snapshot } from "./change.ts";
import type { WorkerCounts } from "./counts.ts";
import type { NearZone } from "./documents.ts";
import type { OutOfService } from "./entries.ts";
import type { Explanation } from "./explanation.ts";
import type { ListenerTerms } from "./listeners.ts";
import type { PeerFinding } from "./peer-health.ts";
import type { TenantPolicy } from "./tenants.ts";
import type { Loads, RoutedUpstream, UpstreamKeys, UpstreamLoad } from "./upstream-status.ts";

/** What a worker needs of the settings. Times in milliseconds. */
export interface WorkerSettings {
  readonly engine: "http1" | "reference";
  readonly limits: Partial<EngineLimits>;
  /** Whether there are others, who are told how many requests are where. */
  readonly hasOthers: boolean;
  /** Default `normal`. */
  readonly forwardedPath?: ForwardedPath;
  /** A file, `-` for standard output, `null` for none. */
  readonly accessLog: string | null;
  /** Proxies that are believed about their clients: addresses or CIDR blocks. Default none. */
  readonly trustedProxies: readonly string[];
  /** Where no peer may be. */
  readonly ownAddresses: readonly OwnAddress[];
  /** Its listeners, in the order of their descriptors; see `listeningDescriptors`. */
  readonly listeners: readonly ListenerTerms[];
  readonly script: {
    readonly memoryMb: number;
    readonly callTimeoutMs: number;
    readonly maxIsolates: number;
  };
  /** Which script may use what. Default, or `null`: each may use all. */
  readonly tenants?: TenantPolicy | null;
  /** How long a request for a service that nobody watches yet may wait. Default 2000. */
  readonly watchTimeoutMs: number;
  /** Default, or `null`: no server is nearer than another. */
  readonly zone?: NearZone | null;
  readonly logLevel: string;
  /** Prefix of the request ids that this worker makes. */
  readonly idPrefix: string;
  /** How it goes on when its primary is gone; `null`: it ends. */
  readonly succession: {
    /** The address where the next gateway says that it serves. */
    readonly name: string;
    /** How long what runs may take then. */
    readonly drainTimeoutMs: number;
  } | null;
}

/**
 * What the primary may ask a worker: each question's name with the type of what is asked and of what is answered.
 * Another question is one more entry here and its handler in `worker/answers.ts`; it is asked with
 * `Workers.ask`. A worker serves nobody while it answers, so a question names a bounded part of the state.
 */
interface Questions {
  /** The live state of the peers of these upstreams. */
  upstreams: { readonly asked: UpstreamKeys; readonly answered: readonly RoutedUpstream[] };
  /** The same in a few numbers. */
  loads: { readonly asked: UpstreamKeys; readonly answered: readonly UpstreamLoad[] };
  /** What would become of a request. */
  explain: { readonly asked: ImaginedRequest; readonly answered: Explanation };
  /** To send what was counted and a report now; both arrive before the answer. */
  report: { readonly asked: null; readonly answered: null };
  /** Whether it answers at all. */
  alive: { readonly asked: null; readonly answered: null };
}

export type QuestionName = keyof Questions;
export type Asked<N extends QuestionName> = Questions[N]["asked"];
export type Answered<N extends QuestionName> = Questions[N]["answered"];

/** A question on its way; the answer brings back its `id`. */
export type Question = {
  readonly [N in QuestionName]: {
    readonly type: "question";
    readonly id: number;
    readonly name: N;
    readonly asked: Asked<N>;
  };
}[QuestionName];

/** Tokens of a rate limit that a worker asks for. */
export interface TokenAsk {
  /** The use of a plugin that limits. Two of one name have the same rate. */
  readonly limit: string;
  /** Whom it limits. */
  readonly key: string;
  /** Tokens a second, above 0. */
  readonly perSecond: number;
  /** Tokens in a full bucket, 1 and up. */
  readonly burst: number;
  /** Requests that wait for one now. */
  readonly wanted: number;
}

export interface TokenGrant {
  /** As many as are wanted, or more in advance; 0: there is none. */
  readonly tokens: number;
  /** Milliseconds until there is one more than was granted; 0: there is. */
  readonly waitMs: number;
}

export type ToWorker =
  /** The first message: what to be. */
  | { readonly type: "start"; readonly settings: WorkerSettings }
  | { readonly type: "snapshot"; readonly snapshot: Snapshot }
  | { readonly type: "delta"; readonly delta: Delta }
  /** Once a second: the counter itself, so that a worker that lost a message finds out. */
  | { readonly type: "counter"; readonly boot: string; readonly version: number }
  /** One of the sockets again; the handle comes with the message. */
  | { readonly type: "socket"; readonly listener: number }
  /**
   * A listener that was not there when the worker was forked, with a number that no other has had; a handle of its socket
   * comes with the message. That of a TCP socket comes several times.
   */
  | { readonly type: "openListener"; readonly listener: number; readonly terms: ListenerTerms }
  /** What holds from now on for new connections of such a listener. */
  | { readonly type: "listenerTerms"; readonly listener: number; readonly terms: ListenerTerms }
  /** Accept no more there; what runs may take as long as at the end of a worker. */
  | { readonly type: "closeListener"; readonly listener: number; readonly deadlineMs: number }
  /** Log files were moved away: open them anew. */
  | { readonly type: "reopenLogs" }
  | Question
  /** The tokens for the asks of a batch, in the same order. */
  | { readonly type: "tokens"; readonly batch: number; readonly grants: readonly TokenGrant[] }
  /** How many requests all other workers together have, where that is another number than before. */
  | { readonly type: "loads"; readonly loads: Loads }
  /** What other workers, or the one before, found of scripts: all of it at first, then what is new. */
  | { readonly type: "scriptCosts"; readonly costs: readonly ScriptCost[] }
  /** Finish what runs and exit. */
  | { readonly type: "drain"; readonly deadlineMs: number };

export type ToPrimary =
  /** The worker is up and wants a snapshot, or found a gap and wants one. */
  | { readonly type: "resync"; readonly reason: string }
  | { readonly type: "ack"; readonly boot: string; readonly version: number }
  /** Where it accepts, in the order of the listeners. */
  | { readonly type: "listening"; readonly addresses: readonly ListeningAddress[] }
  /**
   * A request asks for a service that nobody watches yet. `service` is a `serviceKey`, or `@` and the name of
   * a datacenter whose catalog has to tell first whether there is such a service.
   */
  | { readonly type: "watch"; readonly service: string }
  /** It closed this listener's sockets for want of descriptors and has room again. */
  | { readonly type: "reopen"; readonly listener: number }
  /** It needs tokens of rate limits that all workers keep to together. */
  | { readonly type: "takeTokens"; readonly batch: number; readonly asks: readonly TokenAsk[] }
  /** How many requests it has, where another worker decides by that, and it is another number than before. */
  | { readonly type: "loads"; readonly loads: Loads }
  /** What it has found out about peers, as soon as it has; the primary tells all workers by the kind `health`. */
  | { readonly type: "peers"; readonly findings: readonly PeerFinding[] }
  | { readonly type: "answer"; readonly id: number; readonly answer: Answered<QuestionName> }
  /** The question could not be answered, and why. */
  | { readonly type: "noAnswer"; readonly id: number; readonly reason: string }
  /** What was counted since the last time; once a second, ahead of the report. */
  | { readonly type: "counts"; readonly counts: WorkerCounts }
  /** Once a second; also the heartbeat. */
  | { readonly type: "report"; readonly report: WorkerReport }
  /** The socket's error, and of which listener; `code` is empty when it has none. */
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
 * Where a worker writes its last words: a pipe to the primary beside the channel, since the thread that
 * has the channel cannot speak any more. Lines of JSON: a `LastWords` at the end; before that an
 * `InsideWords` for each script that it is in for long, because its end may come without a word.
 */
export const lastWordsDescriptor = 4;

/** A worker is started with so many descriptors of each socket that all workers accept from. */
export const descriptorsPerListener = 8;

/** The descriptors of one of these sockets, which are numbered from 0, in a worker. */
export function listeningDescriptors(listener: number): readonly number[] {
  const first = lastWordsDescriptor + 1 + listener * descriptorsPerListener;
  return Array.from({ length: descriptorsPerListener }, (_, at) => first + at);
}

/** Which script the worker has been in for longer than any should take; `null`: it came out of it. */
export interface InsideWords {
  readonly inside: LastWords | null;
}

/** Which script the worker cannot get out of. */
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
  /** Milliseconds that its calls took, as estimated from those that were measured; left out when none was. */
  readonly ranMs?: number;
  /** What a call of it usually takes; left out while too few were measured. */
  readonly usualMs?: number;
  /** Some of the clients that called it lately, as many as it takes to tell one among many; addresses, IPv6 ones by their /64. */
  readonly callers?: readonly string[];
  /** Only when something failed of late. Stays in memory: it has what clients sent. */
  readonly failed?: FailureEvidence;
}

/** What a call of a version usually takes where it was called. */
export interface ScriptCost {
  readonly host: string;
  readonly version: string;
  readonly usualMs: number;
}

/** Whose calls of a version failed in a worker. */
export interface FailureEvidence {
  /** With the number of the last error of each, counted as `errors` is. */
  readonly clients: readonly (readonly [client: string, error: number])[];
  readonly samples: readonly FailedRequest[];
}

/** A request on which a version failed. */
export interface FailedRequest {
  /** The number of the error. */
  readonly error: number;
  /** As the script saw it: method, scheme, host, path, raw path, query, client, id, a line each, and headers. */
  readonly request: string;
  /** The answer on which `onResponse` failed; `null`: the request failed. */
  readonly response: { readonly status: number; readonly rawHeaders: string } | null;
}

export interface WorkerReport {
  /** The prefix of the request ids that this worker makes. */
  readonly idPrefix: string;
  readonly requests: number;
  readonly exchanges: number;
  readonly clientConnections: number;
  readonly peerConnections: number;
  /** TCP connections and sessions of datagrams that are passed on. */
  readonly streams: number;
  /** Header and trailer lines of requests that were dropped because of their names. */
  readonly droppedHeaders: number;
  readonly residentBytes: number;
  readonly scripts: readonly ScriptReport[];
}
