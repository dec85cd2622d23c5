/** What all exchanges of an engine have in common. */
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import type { EngineLimits, ForwardedPath, Handler } from "../engine.ts";
import type { Connector } from "./ports.ts";

export interface ExchangeCore<C> {
  readonly handler: Handler<C>;
  readonly limits: EngineLimits;
  readonly forwardedPath: ForwardedPath;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly connector: Connector;
  /** Told of what a handler or a tap threw. */
  readonly onError: (error: unknown) => void;
  /** Another id of a request. */
  readonly nextId: () => string;
}
