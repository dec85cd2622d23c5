/** The door of the primary's health room: active checks, and what is known of the health of peers. */
export { ActiveChecks, type ActiveChecksStatus } from "./active-checks.ts";
export { Drains } from "./drains.ts";
export { PeerHealthBook, type UnwellPeers } from "./peer-health.ts";
export { PeerSweep } from "./peer-sweep.ts";
export { createProbe } from "./probe.ts";
