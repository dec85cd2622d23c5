/**
 * The streams of a worker: connects the stream engine to the worker, and opens the listeners that the primary hands
 * over.
 */
import { Socket as DatagramSocket } from "node:dgram";
import { type Descriptors, defaultLimits } from "../engine/engine.ts";
import type { ListenerTerms, ToWorker, WorkerSettings } from "../model/index.ts";
import { StreamTraffic } from "../observability/stream-traffic.ts";
import type { Router } from "../sites/index.ts";
import { StreamEngine } from "../streams/index.ts";
import type { HiddenServices } from "./hidden-services.ts";
import { StreamObservation, type StreamObservationOptions } from "./stream-observation.ts";
import { StreamRoutes } from "./stream-routes.ts";

export interface WorkerStreamsOptions extends Omit<StreamObservationOptions, "streams"> {
  readonly settings: Pick<WorkerSettings, "limits" | "watchTimeoutMs">;
  /** Returns the current version's router. */
  readonly router: () => Router;
  readonly hidden: HiddenServices;
  readonly forbids: (address: string, port: number) => string | null;
  readonly ask: (awaited: string) => void;
  /** Asks the primary to hand over this listener's socket again. */
  readonly reopen: (listener: number) => void;
  /** The worker cannot accept on this listener. */
  readonly onUnable: (listener: number, error: NodeJS.ErrnoException) => void;
  readonly onError: (error: unknown) => void;
  readonly descriptors: Descriptors | null;
  /** How many connections may wait to be accepted. */
  readonly backlog: number;
  readonly now: () => number;
}

type Opening = Extract<ToWorker, { readonly type: "openListener" }>;

/** A socket that could not be received for want of descriptors is asked for again after so long. */
const askAgainMs = 5_000;

export class WorkerStreams {
  readonly engine: StreamEngine;
  readonly traffic = new StreamTraffic();
  readonly #options: WorkerStreamsOptions;
  /** Listeners that were handed over before the worker listens; `null` from then on. */
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
        // The greeting is to a connection what the head is to a request.
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

  /** There are routes now: opens the listeners that were handed over before. */
  begin(): void {
    const early = this.#early ?? [];
    this.#early = null;
    for (const { opening, handle } of early) void this.open(opening, handle);
  }

  /** `handle`: the socket that came with the message. */
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

  setTerms(listener: number, terms: ListenerTerms): void {
    this.#early =
      this.#early?.map(({ opening, handle }) => ({
        opening: opening.listener === listener ? { ...opening, terms } : opening,
        handle,
      })) ?? null;
    this.engine.setTerms(listener, terms);
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
