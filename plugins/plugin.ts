/**
 * The contract of plugins: optional phases that operators switch on for a host or a path. A plugin sees an
 * exchange, its options and its tools; it knows no other room. `index.ts` has what workers run. `schemas.ts`
 * has what the primary checks options with, so that workers need not load the library for schemas.
 */
import type { Exchange } from "../gateway/engine/engine.ts";
import type { Slots } from "./slots.ts";

/** A plugin. `Options` are plain data: what its schema made of the document. */
export interface Plugin<Options> {
  /** As documents name it. */
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  /** Called when a version is applied that has new options for it, never for a request. Must not throw. */
  create(options: Options, tools: PluginTools): PluginPhases;
}

/**
 * The phases that a plugin takes part in. They run on the path of a request: no promise, timer or closure for each
 * request, and no exception. One object serves many requests at once, so it keeps nothing of any of them.
 */
export interface PluginPhases {
  /**
   * The request's head is there, and nothing was sent to a peer. May change the exchange. Returns `false` when it
   * has ended the exchange (`answer`, `fail`) or holds it (`hold`): after `resume` the request goes on behind this plugin.
   */
  onRequest?(exchange: Exchange<unknown>): boolean;
  /**
   * As `onRequest`, for a request that nobody sent (`sluice explain`): changes nothing that outlives it, and may say why it
   * does what it does. Without it `onRequest` is called.
   */
  rehearse?(exchange: Exchange<unknown>, say: (text: string) => void): boolean;
  /** The head of an origin's final answer is there; called for the last plugin first. */
  onResponse?(exchange: Exchange<unknown>): void;
}

/** A use of a plugin: its name, and its options as its schema made them of the document. */
export interface CheckedUse {
  readonly name: string;
  readonly options: unknown;
}

/** What a plugin may use beside the exchange. */
export interface PluginTools {
  /** A test for addresses and CIDR blocks that were checked with `isAddressBlock`. */
  addresses(blocks: readonly string[]): (address: string) => boolean;
  /** Whom an address stands for: an IPv6 client has a whole /64. */
  clientOf(address: string): string;
  /** A limit that all workers of this gateway keep to together. */
  limit(rate: Rate): Limit;
  /** Slots for work that costs memory while it runs. All uses of plugins in this worker share them. */
  readonly slots: Slots;
}

/** A token bucket for each key: it fills at a steady rate up to its burst, and each request takes one token. */
export interface Rate {
  /** Tokens a second, above 0. */
  readonly perSecond: number;
  /** Tokens in a full bucket, 1 and up. */
  readonly burst: number;
}

/** The answer of a `Limit`: there was a token, or the time until there is one. */
export interface Limit {
  /**
   * Takes a token for `key`. 0: there was one. Above 0: milliseconds until there is one. -1: this worker does not know;
   * `ask` does.
   */
  take(key: string): number;
  /**
   * Takes a token as the whole gateway counts; `onAnswer` is called later, once, with the milliseconds until there is one, or
   * 0 when one was taken.
   */
  ask(key: string, onAnswer: (waitMs: number) => void): void;
}
