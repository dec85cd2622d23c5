/** The streams of a worker, put together of what the worker has, and the listeners that it is handed for them. */
import { Socket as DatagramSocket } from "node:dgram";
import { type Descriptors, defaultLimits } from "../engine/engine.ts";
import type { ToWorker, WorkerSettings } from "../model/index.ts";
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
  /** The socket of this listener is to be handed again. */
  readonly reopen: (listener: number) => void;
  /** The worker cannot accept on this listener. */
  readonly onUnable: (listener: number, error: NodeJS.ErrnoException) => void;
  readonly onError: (error: unknown) => void;
  readonly descriptors: Descriptors | null;
  /** Connections that may wait to be accepted. */
  readonly backlog: number;
  readonly now: () => number;
}

type Opening = Extract<ToWorker, { readonly type: "openListener" }>;

/** After this the socket is asked for that could not be received for want of descriptors. */
const askAgainMs = 5_000;

export class WorkerStreams {
  readonly engine: StreamEngine;
  readonly traffic = new StreamTraffic();
  readonly #options: WorkerStreamsOptions;
  /** Until the worker listens; `null` from then on. */
  #early: { readonly opening: Opening; readonly handle: unknown }[] | null = [];
  readonly #lacking = new Set<number>();

  constructor(options: WorkerStreamsOptions) {
    this.#options = options;
    const { settings, router, hidden, forbids, ask, onError, descriptors, now } = options;
    const limits = { ...defaultLimits, ...settings.limits };
    this.engine = new StreamEngine({
      routes: new StreamRoutes(router, hidden),
      observer: new StreamObservation({ ...options, streams: this.traffic }),
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
  }

  /** There are routes now: opens what was handed before. */
  begin(): void {
    const early = this.#early ?? [];
    this.#early = null;
    for (const { opening, handle } of early) void this.open(opening, handle);
  }

  /** `handle`: what came beside the message. */
  async open(opening: Opening, handle: unknown): Promise<void> {
    const { listener, terms } = opening;
    if (this.#early !== null) {
      this.#early.push({ opening, handle });
      return;
    }
    try {
      if (handle instanceof DatagramSocket) this.engine.receive(handle, listener, terms);
      else if (typeof handle === "object" && handle !== null)
        await this.engine.listen({ handle, backlog: this.#options.backlog }, listener, terms);
      else this.#askLater(listener);
    } catch (error) {
      this.#options.onUnable(listener, error as NodeJS.ErrnoException);
    }
  }

  close(listener: number, deadlineMs: number): void {
    this.#early = this.#early?.filter(({ opening }) => opening.listener !== listener) ?? null;
    this.engine.close(listener, deadlineMs);
  }

  #askLater(listener: number): void {
    if (this.#lacking.has(listener)) return;
    this.#lacking.add(listener);
    setTimeout(() => {
      this.#lacking.delete(listener);
      this.#options.reopen(listener);
    }, askAgainMs);
  }
}
