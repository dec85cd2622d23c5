/** How the demo tells a child that it is on the leash. */

/** In the environment of the demo's own children, and not of theirs. */
export const leashVariable = "SLUICE_LEASH";

/** What the demo tells each child at its start. */
export interface LeashMessage {
  /** Removed by a child that outlives the demo. */
  readonly directory: string;
}
