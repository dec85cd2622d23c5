/**
 * The door of the routing room: host and path -> upstream. A router is one immutable table; a new
 * version of the state makes a new router that shares what did not change.
 */
export { decideByDocument } from "./document-decision.ts";
export { HostRules } from "./host-rules.ts";
export type { RouterOptions } from "./router.ts";
export { Router } from "./router.ts";
