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
  /** Receives whatever a handler or a tap threw. */
  readonly onError: (error: unknown) => void;
  /** Makes the id for the next request. */
  readonly nextId: () => string;
}
