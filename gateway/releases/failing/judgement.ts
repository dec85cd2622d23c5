/**
 * Whether a version that fails too often is taken back, by what it and the version before it do with requests on
 * which it failed. Pure.
 */
import type { ReplayOutcome } from "../../sandbox/index.ts";

export interface Comparison {
  /** The version ends requests by itself and has not said that they may pass when it fails. */
  readonly mustRefuse: boolean;
  /** What the failing version did with the requests; `null`: it could not be tried. */
  readonly failing: readonly ReplayOutcome[] | null;
  /** What the version before it did; `null`: it could not be tried, or there is none. */
  readonly before: readonly ReplayOutcome[] | null;
}

/** Why the version stays; `null`: it is taken back. */
export function reasonToStay({ mustRefuse, failing, before }: Comparison): string | null {
  if (before === null) return mustRefuse ? incomparable : null;
  const shown = failing?.map((outcome) => outcome === "failed") ?? [];
  const isShown = shown.includes(true);
  const concerned = isShown ? before.filter((_, at) => shown[at]) : before;
  if (concerned.length > 0 && concerned.every((outcome) => outcome === "failed")) {
    return "the version before it fails on the same requests";
  }
  if (!mustRefuse) return null;
  if (before.includes("passed")) return "the version before it lets pass what it fails on";
  if (!isShown) return incomparable;
  // With the version before, these requests would get no further, and others might get through.
  const isNoUse = concerned.every((outcome) => outcome === "failed" || outcome === "refused");
  return isNoUse ? "the version before it refuses what it fails on" : null;
}

const incomparable =
  "it refuses requests, and how the version before it treats those on which it fails is not known";
