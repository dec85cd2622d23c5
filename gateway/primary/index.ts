/** The door of the primary room: the control plane, and what it shows of itself. */
export { cannotListen, StartError } from "./addresses.ts";
export type { AdminAccess, AdminTls } from "./admin/access.ts";
export { inspect as inspectCertificate } from "./certificates/inspect.ts";
export { systemClock } from "./clock.ts";
export type { FleetAnswer, ShownGateway } from "./fleet/fleet.ts";
export { takeHeldSockets } from "./held-sockets.ts";
export type { HostsAnswer, ShownHost } from "./host-view.ts";
export type { PeerByHand } from "./known-peers.ts";
export type { PrimaryParts } from "./parts.ts";
export { Primary } from "./primary.ts";
export { runUntilSignal } from "./signals.ts";
export type { Status } from "./status.ts";
export type { ShownUpstream, UpstreamsAnswer } from "./upstream-view.ts";
export { missingUpstreams } from "./without-effect.ts";
