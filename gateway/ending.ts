/** How a command ends: after what it printed is written, and in bounded time when it was told to end. */
import { outputWritten, standardOutput } from "./observability/standard-output.ts";

/** npm and terminals pass one Ctrl-C on twice; a second signal within this time is the same one. */
const sameSignalMs = 250;
/** For the last lines of a log whose reader is slow. */
const lastLinesMs = 1_000;

export type EndSignal = "SIGINT" | "SIGTERM";

/** What keeps running until it is told to stop. */
export interface Service {
  /** Rejects with why it cannot start. */
  start(): Promise<void>;
  /** Called once `start` has resolved. */
  stop(): Promise<void>;
  /** Resolves to an exit status when it cannot go on. */
  readonly failed: Promise<number>;
  /** A signal came; `isAgain`: and it is not the first. */
  onSignal(signal: EndSignal, isAgain: boolean): void;
  /** The process is about to be ended without `stop`, because that takes too long or nobody wants to wait. */
  abandon(reason: string): void;
}

/**
 * Starts, waits for SIGINT, SIGTERM or a failure, and stops. Resolves to the exit status. A start or a stop
 * that takes longer than `withinMs` after the signal, and a second signal, end the process by that signal.
 */
export async function runService(service: Service, withinMs: number): Promise<number> {
  const told = Promise.withResolvers<number>();
  let firstMs: number | null = null;
  let timer: NodeJS.Timeout | undefined;
  const giveUp = async (signal: EndSignal, reason: string) => {
    service.abandon(reason);
    await outputWritten(standardOutput(), lastLinesMs);
    endBySignal(signal);
  };
  const onSignal = (signal: EndSignal) => {
    if (firstMs === null) {
      firstMs = performance.now();
      service.onSignal(signal, false);
      told.resolve(0);
      timer = setTimeout(
        () => void giveUp(signal, `it did not end within ${withinMs} ms`),
        withinMs,
      );
    } else if (performance.now() - firstMs > sameSignalMs) {
      service.onSignal(signal, true);
      void giveUp(signal, `${signal} came again`);
    }
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    await service.start();
    const status = await Promise.race([told.promise, service.failed]);
    await service.stop();
    await outputWritten(standardOutput(), lastLinesMs);
    return status;
  } finally {
    clearTimeout(timer);
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

/**
 * `process.exit` waits for the threads that read and write files, which a file system may hold up for ever;
 * a signal does not.
 */
function endBySignal(signal: EndSignal): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // The first process of a container is not ended by a signal of its own.
  process.exit(signal === "SIGINT" ? 130 : 143);
}
