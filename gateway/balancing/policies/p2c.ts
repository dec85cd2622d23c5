/** Picks, of two drawn slots, the one with fewer requests in flight for its weight. */
import type { IsBetter } from "./policy.ts";

export const isLessLoaded: IsBetter = (second, first) =>
  second.peer.load * first.weight < first.peer.load * second.weight;
