/**
 * The door of the routing room: host and path -> upstream. A router is one immutable table; a new
 * version of the state makes a new router that shares what did not change.
 */
export type { RouterOptions } from "./router.ts";
export { Router } from "./router.ts";
