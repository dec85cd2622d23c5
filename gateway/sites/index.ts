/**
 * The door of the sites room: from a host to a site, and from a site and a path to an upstream. A router is an
 * immutable table; a new version of the state makes a new router that shares what did not change.
 */

export { decideByDocument } from "./document-decision.ts";
export { failEncodedSlash, refusesEncodedSlash } from "./encoded-slash.ts";
export { HostRules } from "./host-rules.ts";
export {
  type Choice,
  type HostPhases,
  noPhases,
  type Phase,
  type RequestContext,
  type Stop,
} from "./phase.ts";
export type { RoutedRequest } from "./request-values.ts";
export { Router } from "./router.ts";
export type { Routes } from "./routing.ts";
export type { Rule } from "./rule.ts";
export type { Site } from "./site.ts";
export type { PhasesOf } from "./site-table.ts";
export type { Stickiness } from "./stickiness.ts";
