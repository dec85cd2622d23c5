/**
 * The contract of the sandbox room: rewrite scripts in isolates. The rest of the gateway sees these
 * types only; what runs inside an isolate never touches an object of the gateway's.
 */
import type { Exchange } from "../engine/engine.ts";
import type {
  FailedRequest,
  Json,
  ScriptCost,
  ScriptReport,
  Source,
  Trial,
} from "../model/index.ts";
import type { Declared } from "./run/declared.ts";

/** Where a script is wrong. Lines and columns count from 1; 0 when unknown. */
export interface ScriptFault {
  /** The KV key that is at fault: `scripts/<host>` or `modules/<name>`. */
  readonly key: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** The case of the script's own `tests` that failed. */
  readonly test?: FailedCase;
}

export interface FailedCase {
  readonly name: string;
  /** Both as JSON of the form that `expect` has. */
  readonly expected: string;
  readonly actual: string;
}

/** Everything that scripts are made of, of one version of the state. */
export interface ScriptTables {
  readonly script: ReadonlyMap<string, Source>;
  readonly module: ReadonlyMap<string, Source>;
  readonly setting: ReadonlyMap<string, Json>;
  /** Versions that get a share of a host's requests; the rest go to `script`. Default: none. */
  readonly trial?: ReadonlyMap<string, Trial>;
}

export interface SandboxLimits {
  /** Megabytes of heap per isolate; at least 8. Default 16. */
  readonly memoryMb: number;
  /** Milliseconds of processor time per call, however long a busy machine takes to give it that. Default 10. */
  readonly callTimeoutMs: number;
  /** Isolates at once; beyond, the least recently used one is put away. Default 200. */
  readonly maxIsolates?: number;
}

/** One host's script, ready to run in this process. */
export interface Script {
  /** What it is kept under: a host or `*.domain`. */
  readonly host: string;
  readonly version: string;
  /**
   * True when the request has to wait for its turn, because other scripts took too much time: it is held, and this is
   * asked again when it goes on, which is within two seconds.
   */
  waits(exchange: Exchange<unknown>): boolean;
  /** Runs on this request? From `export const match`, outside the isolate. */
  matches(exchange: Exchange<unknown>): boolean;
  /** Whether `match` looks at the path; known when `matches` has been asked. */
  readonly matchesByPath: boolean;
  /**
   * Runs the default export, if there is one. Changes the exchange, answers it, or leaves it. A script that throws,
   * times out or returns what is not allowed ends the exchange with 500 `script_error` (unless it says
   * `onError = "skip"`) and is counted.
   */
  onRequest(exchange: Exchange<unknown>, steering: Steering): void;
  /** Whether the script exports `onResponse`. */
  readonly hasOnResponse: boolean;
  /** May change the answer's headers. An error is counted and logged; the answer goes out unchanged. */
  onResponse(exchange: Exchange<unknown>): void;
  /** The same version with an isolate of its own: what it does there is not counted and is gone with it. */
  rehearsal(): RehearsedScript;
  /** The host that it gave the request leads nowhere: ends the exchange with 508 and is counted as its error. */
  refuseRewrite(exchange: Exchange<unknown>, message: string): void;
}

export interface RehearsedScript extends Script {
  /** Why it failed; `null`: it did not. */
  readonly lastError: string | null;
  /** Frees the isolate. */
  putAway(): void;
}

/** What is kept for one host or `*.domain`: its script, and perhaps a version on trial. */
export interface HostScripts {
  /** A host or `*.domain`. */
  readonly host: string;
  /** Whether every request gets a version here; else only those in the share of the one on trial. */
  readonly isForAll: boolean;
  /** The version that is live for all; `null`: none is. */
  readonly script: Script | null;
  /** The version for this request; `null`: it is not in the share of the only one. */
  choose(exchange: Exchange<unknown>): Script | null;
}

/** What a script decides about routing; filled by `onRequest`. */
export interface Steering {
  /** The upstream to use instead of the routed one; empty: none chosen. */
  upstream: string;
  /** The same text goes to the same peer; empty: peers take turns. */
  hashKey: string;
  /** What a script gave the request as another host, for the script of that one; empty: it is the client's. */
  authority: string;
}

/** Called for each `log.*` of a script, and for each error. */
export type ScriptLog = (
  level: "debug" | "info" | "warn" | "error",
  host: string,
  version: string,
  message: string,
) => void;

/** A process's scripts. `createSandbox` in `for-workers.ts` makes one. */
export interface Sandbox {
  /**
   * Swaps to these tables at once. Scripts whose source and modules are the same keep their isolate
   * and their counters; settings are brought up to date in place.
   */
  apply(tables: ScriptTables): void;
  /** What calls of scripts take in other workers: such a script is no newcomer here. */
  learn(costs: readonly ScriptCost[]): void;
  /** By host or `*.domain`; the same objects as long as nothing changes for that key. */
  readonly hosts: ReadonlyMap<string, HostScripts>;
  /** A request came for a host without scripts: those whose calls are heavy are not alone. */
  sawOther(): void;
  reports(): readonly ScriptReport[];
  dispose(): void;
}

/** What a throw-away isolate says of a script. */
export interface Examination {
  /** `null` when it is good. */
  readonly fault: ScriptFault | null;
  /** What it declares as data; `null` when it does not load. */
  readonly declared: Declared | null;
  /** By key, what is put into the script and its modules before they run: `Source.checks`. Default: nothing. */
  readonly checks?: ReadonlyMap<string, string>;
  /** How many cases of its `tests` passed. */
  readonly passed: number;
  /** What became of the requests that it was called with instead of its tests. */
  readonly replayed?: readonly ReplayOutcome[];
}

/** What a version does with a request: lets it go on, answers it, refuses it (400 and more), or fails. */
export type ReplayOutcome = "passed" | "answered" | "refused" | "failed";

/**
 * Calls a script of these tables with requests on which some version failed, where it does no harm. Resolves
 * to what became of the first of them, in their order; `null` when it does not load or takes too long. Does not reject.
 */
export type ReplayScript = (
  host: string,
  tables: ScriptTables,
  requests: readonly FailedRequest[],
) => Promise<readonly ReplayOutcome[] | null>;

/**
 * Compiles and evaluates a script with its modules in a throw-away isolate and runs the cases of its
 * `tests`, as the primary does before a version goes live. Does not reject. When its turn comes it asks
 * `isWanted`: what was replaced meanwhile is not examined, and what it resolves to then means nothing.
 */
export type ExamineScript = (
  host: string,
  tables: ScriptTables,
  isWanted?: () => boolean,
) => Promise<Examination>;

/** As `ExamineScript`, of which it is the fault. Resolves to `null` when the script is good. */
export type CheckScript = (
  host: string,
  tables: ScriptTables,
  isWanted?: () => boolean,
) => Promise<ScriptFault | null>;
