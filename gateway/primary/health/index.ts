/** The door of the primary's health room: what is known of the health of peers. */
export { type Claim, type Claimant, PeerHealthBook } from "./peer-health.ts";
