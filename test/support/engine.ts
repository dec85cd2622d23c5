/**
 * The engine with the simplest gateway around it: a handler that picks the first peer not yet tried
 * and writes down what happened, with a hook for each phase.
 */
import type {
  Engine,
  EngineLimits,
  EngineOptions,
  EngineStats,
  Exchange,
  FailureCode,
  Handler,
  ListenerOptions,
  PeerFailure,
} from "../../gateway/engine/engine.ts";
import { Peer, Target } from "../../gateway/engine/engine.ts";
import { createHttpEngine } from "../../gateway/engine/index.ts";
import { until } from "./conditions.ts";
import { LoopClock } from "./loop-clock.ts";

/** What the test handler keeps for a request. */
export interface TestContext {
  readonly failures: PeerFailure[];
}

export type TestExchange = Exchange<TestContext>;

/** What an exchange was when it ended. */
export interface Ended {
  readonly id: string;
  readonly method: string;
  readonly status: number;
  readonly errorCode: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly tries: number;
  readonly durationMs: number;
  readonly failures: readonly PeerFailure[];
}

/** A handler's phases, some of them in the words that suit tests. */
export interface Hooks extends Partial<Omit<Handler<TestContext>, "onPick">> {
  /** A peer stands for a target that leaves all to the engine's limits. */
  readonly onPick?: (exchange: TestExchange) => Peer | Target | null;
  /** A peer, or what the gateway itself lacks, failed a try before its answer. */
  readonly onPeerFailure?: (exchange: TestExchange, peer: Peer, failure: PeerFailure) => void;
}

export interface GatewayOptions {
  readonly peers?: readonly Peer[];
  readonly limits?: Partial<EngineLimits>;
  /** Each runs after the test handler's own phase; `onPick` replaces it. */
  readonly hooks?: Hooks;
  readonly trusts?: (clientAddress: string) => boolean;
  readonly forbids?: (address: string, port: number) => string | null;
  readonly forwardedPath?: "normal" | "raw";
  readonly listeners?: readonly ListenerOptions[];
  /** Default: any that is free. */
  readonly port?: number;
  readonly engine?: (options: EngineOptions<TestContext>) => Engine;
  /** The engine's time. Default: a clock of its own. */
  readonly clock?: LoopClock;
}

export class TestGateway {
  readonly engine: Engine;
  readonly port: number;
  readonly ended: readonly Ended[];
  /** What the handler threw. */
  readonly handlerErrors: readonly unknown[];
  /** By which its deadlines pass. */
  readonly clock: LoopClock;

  constructor(
    engine: Engine,
    port: number,
    ended: readonly Ended[],
    handlerErrors: readonly unknown[],
    clock: LoopClock,
  ) {
    this.engine = engine;
    this.port = port;
    this.ended = ended;
    this.handlerErrors = handlerErrors;
    this.clock = clock;
  }

  /** The only exchange, once it is over. */
  async outcome(): Promise<Ended> {
    await until("an exchange ended", () => this.ended.length > 0);
    const [first] = this.ended;
    if (!first || this.ended.length > 1) throw new Error(`${this.ended.length} exchanges ended`);
    return first;
  }

  /** The n-th exchange to end, once it has. */
  async outcomeOf(index: number): Promise<Ended> {
    await until(`exchange ${index} ended`, () => this.ended.length > index);
    return this.ended[index] as Ended;
  }
}

export async function startGateway(options: GatewayOptions): Promise<TestGateway> {
  const ended: Ended[] = [];
  const handlerErrors: unknown[] = [];
  const clock = options.clock ?? new LoopClock();
  const engine = (options.engine ?? createHttpEngine)({
    handler: recordingHandler(options, ended),
    idPrefix: "test",
    onError: (error) => handlerErrors.push(error),
    now: clock.now,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.trusts === undefined ? {} : { trusts: options.trusts }),
    ...(options.forbids === undefined ? {} : { forbids: options.forbids }),
    ...(options.forwardedPath === undefined ? {} : { forwardedPath: options.forwardedPath }),
    ...(options.listeners === undefined ? {} : { listeners: options.listeners }),
  });
  const { port } = await engine.listen({ host: "127.0.0.1", port: options.port ?? 0 });
  return new TestGateway(engine, port, ended, handlerErrors, clock);
}

/** What is no event of its own, but the consequence of one that was told of, or of a limit. */
const untold: ReadonlySet<FailureCode> = new Set([
  "connect_overdue",
  "queue_full",
  "queue_timeout",
]);

const targets = new WeakMap<Peer, Target>();

/** The peer's target without options: always the same one. */
function targetOf(peer: Peer): Target {
  const known = targets.get(peer) ?? new Target(peer);
  targets.set(peer, known);
  return known;
}

function recordingHandler(options: GatewayOptions, ended: Ended[]): Handler<TestContext> {
  const { peers = [], hooks = {} } = options;
  return {
    onRequest(exchange) {
      exchange.context ??= { failures: [] };
      hooks.onRequest?.(exchange);
    },
    onPick(exchange) {
      const picked = hooks.onPick
        ? hooks.onPick(exchange)
        : peers.find((peer) => !exchange.tried(peer));
      return picked instanceof Peer ? targetOf(picked) : (picked ?? null);
    },
    onTryEnd(exchange, target, status, failure, durationMs) {
      if (failure !== null && status === 0 && !untold.has(failure.code)) {
        exchange.context?.failures.push({ code: failure.code, message: failure.message });
        hooks.onPeerFailure?.(exchange, target.peer, failure);
      }
      hooks.onTryEnd?.(exchange, target, status, failure, durationMs);
    },
    onResponse(exchange) {
      hooks.onResponse?.(exchange);
    },
    onEnd(exchange) {
      hooks.onEnd?.(exchange);
      ended.push({
        id: exchange.id,
        method: exchange.method,
        status: exchange.status,
        errorCode: exchange.errorCode,
        bytesIn: exchange.bytesIn,
        bytesOut: exchange.bytesOut,
        tries: exchange.tries,
        durationMs: exchange.durationMs,
        failures: exchange.context?.failures ?? [],
      });
    },
  };
}

/** Waits until the engine holds no exchange and no connection any more, and rejects if it keeps one. */
export async function expectIdle(engine: Engine): Promise<void> {
  let stats: EngineStats = engine.stats();
  await until(
    "the engine let go of every exchange and connection",
    () => {
      stats = engine.stats();
      return stats.exchanges === 0 && stats.clientConnections === 0 && stats.peerConnections === 0;
    },
    { describe: () => stats },
  );
}
