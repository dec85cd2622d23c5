/** What a worker reports about itself, once a second and when asked: what it counted, and how it is. */
import type { Engine, EngineStats } from "../engine/engine.ts";
import type { ScriptReport } from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import { LoopDelay } from "../observability/loop-delay.ts";
import type { StreamTraffic } from "../observability/stream-traffic.ts";
import type { Traffic } from "../observability/traffic.ts";
import type { StreamEngine } from "../streams/index.ts";
import { send } from "./channel.ts";
import { DroppedHeaderLog } from "./dropped-header-log.ts";
import { ProxyHeaderLog } from "./proxy-header-log.ts";

const reportMs = 1_000;

export interface ReporterOptions {
  readonly idPrefix: string;
  readonly engine: Pick<Engine, "stats">;
  readonly traffic: Traffic;
  readonly streams: {
    readonly engine: Pick<StreamEngine, "size">;
    readonly traffic: Pick<StreamTraffic, "take">;
  };
  readonly scripts: () => readonly ScriptReport[];
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class Reporter {
  readonly #options: ReporterOptions;
  readonly #droppedHeaderLog: DroppedHeaderLog;
  readonly #proxyHeaderLog: ProxyHeaderLog;
  readonly #delay: LoopDelay;
  #told: Pick<EngineStats, "refused" | "droppedHeaders"> = { refused: {}, droppedHeaders: 0 };
  #toldProcessorMicros = 0;
  #residentBytes = 0;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#droppedHeaderLog = new DroppedHeaderLog(options.log, options.now);
    this.#proxyHeaderLog = new ProxyHeaderLog(options.log, options.now);
    this.#delay = new LoopDelay(options.now);
  }

  start(): void {
    this.#delay.start();
    setInterval(() => this.report(), reportMs);
  }

  /** Resolves when the report has been sent to the primary. */
  async report(): Promise<void> {
    const { idPrefix, engine, scripts } = this.#options;
    const stats = engine.stats();
    this.#droppedHeaderLog.report(stats.droppedHeaders);
    this.#proxyHeaderLog.report(stats);
    this.#sendCounts(stats);
    await send({
      type: "report",
      report: {
        idPrefix,
        requests: stats.requests,
        exchanges: stats.exchanges,
        clientConnections: stats.clientConnections,
        peerConnections: stats.peerConnections,
        streams: this.#options.streams.engine.size,
        droppedHeaders: stats.droppedHeaders,
        residentBytes: this.#readResidentBytes(),
        scripts: scripts(),
      },
    });
  }

  #sendCounts({ refused, droppedHeaders }: EngineStats): void {
    const { user, system } = process.cpuUsage();
    const micros = user + system;
    const counts = {
      ...this.#options.traffic.take(),
      streams: this.#options.streams.traffic.take(),
      refused: increases(refused, this.#told.refused),
      droppedHeaders: droppedHeaders - this.#told.droppedHeaders,
      processorSeconds: (micros - this.#toldProcessorMicros) / 1e6,
      delays: this.#delay.take(),
    };
    this.#told = { refused, droppedHeaders };
    this.#toldProcessorMicros = micros;
    void send({ type: "counts", counts });
  }

  /** Returns the last known value when no descriptor is left to read with. */
  #readResidentBytes(): number {
    try {
      this.#residentBytes = process.memoryUsage.rss();
    } catch (error) {
      this.#options.log.warn({ err: error }, "the resident memory of this worker cannot be read");
    }
    return this.#residentBytes;
  }
}

/** How much each number has grown; unchanged ones are left out. */
function increases(
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(now)
      .map(([code, count]) => [code, count - (before[code] ?? 0)] as const)
      .filter(([, added]) => added > 0),
  );
}
