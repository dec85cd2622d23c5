/** The streams of a worker, put together of what the worker has: its routes, its limits, its logs. */
import { type Descriptors, defaultLimits } from "../engine/engine.ts";
import type { WorkerSettings } from "../model/index.ts";
import { StreamTraffic } from "../observability/stream-traffic.ts";
import type { Router } from "../sites/index.ts";
import { StreamEngine } from "../streams/index.ts";
import type { HiddenServices } from "./hidden-services.ts";
import { StreamObservation, type StreamObservationOptions } from "./stream-observation.ts";
import { StreamRoutes } from "./stream-routes.ts";

export interface WorkerStreamsOptions extends Omit<StreamObservationOptions, "streams"> {
  readonly settings: Pick<WorkerSettings, "limits" | "watchTimeoutMs">;
  /** Those of the current version. */
  readonly router: () => Router;
  readonly hidden: HiddenServices;
  readonly forbids: (address: string, port: number) => string | null;
  readonly ask: (awaited: string) => void;
  readonly onError: (error: unknown) => void;
  readonly descriptors: Descriptors | null;
  readonly now: () => number;
}

export interface WorkerStreams {
  readonly engine: StreamEngine;
  readonly traffic: StreamTraffic;
}

export function createStreams(options: WorkerStreamsOptions): WorkerStreams {
  const { settings, router, hidden, forbids, ask, onError, descriptors, now } = options;
  const traffic = new StreamTraffic();
  const limits = { ...defaultLimits, ...settings.limits };
  const engine = new StreamEngine({
    routes: new StreamRoutes(router, hidden),
    observer: new StreamObservation({ ...options, streams: traffic }),
    limits: {
      maxConnections: limits.maxConnections,
      // The first words of a connection are its head.
      greetingTimeoutMs: limits.headTimeoutMs,
      connectTimeoutMs: limits.connectTimeoutMs,
      tryTimeoutMs: limits.tryTimeoutMs,
      watchTimeoutMs: settings.watchTimeoutMs,
    },
    forbids,
    ask,
    onError,
    ...(descriptors === null ? {} : { descriptors }),
    now,
  });
  return { engine, traffic };
}
