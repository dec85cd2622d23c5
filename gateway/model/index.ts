/**
 * The door of the model room: the state as plain data, and the messages about it. It is light on purpose, because
 * every worker loads it.
 */

export type { ImaginedRequest } from "../engine/rehearsal.ts";
export type { Agreement, Closed, NextVersion, TakenBack, Trial } from "./agreement.ts";
export { maxRolloutSteps, maxStepMs } from "./agreement.ts";
export {
  type Certificate,
  type CertificateFacts,
  namedCertificate,
  namedMaterials,
  type TicketKeyList,
} from "./certificates.ts";
export {
  type Challenge,
  type ChallengeType,
  challengePath,
  challengeProtocol,
  challengeTypes,
} from "./challenges.ts";
export type {
  Candidate,
  Delta,
  DocumentCandidate,
  MutableTables,
  Observed,
  Served,
  Snapshot,
  Straight,
  Tables,
  VersionedKind,
} from "./change.ts";
export { applyChange, byWay, changesOf, copyTables, emptyTables, isVersioned } from "./change.ts";
export {
  type DelayCounts,
  delayBounds,
  durationBounds,
  noUpstream,
  otherLabel,
  type PeerFailureCounts,
  type RouteCounts,
  type StreamCounts,
  statusClasses,
  type TrafficCounts,
  type WorkerCounts,
} from "./counts.ts";
export type {
  Conditions,
  Destination,
  PathRule,
  PathTest,
  Ramp,
  RouteRule,
  SentHost,
  Share,
  Sticky,
  StickyCookie,
  Subset,
  TextTest,
  ValueCondition,
} from "./destinations.ts";
export { destinationsOf, needsStickyKey, stickyKeyName } from "./destinations.ts";
export type {
  BreakerAnswer,
  BreakerOptions,
  ClientCertificateRule,
  GateOptions,
  HashBy,
  HostDocument,
  HstsRule,
  IgnoredField,
  Level,
  NearZone,
  OutlierOptions,
  PluginUse,
  PolicyName,
  RetryBudgetOptions,
  RouteOutcome,
  RouteTest,
  Server,
  Transport,
  UpstreamDocument,
  UpstreamRetries,
  UpstreamTimeouts,
} from "./documents.ts";
export { clientRuleId, policyNames, upstreamProtocols } from "./documents.ts";
export type { Datacenter, Instance, Json, OutOfService, ServiceQuery, Source } from "./entries.ts";
export { serviceKey, versionOf } from "./entries.ts";
export { entryName } from "./entry-name.ts";
export type {
  ExplainedLimits,
  ExplainedOutcome,
  ExplainedPhase,
  ExplainedRequest,
  ExplainedRoute,
  ExplainedShare,
  ExplainedSite,
  ExplainedSticky,
  Explanation,
  ImaginedStream,
} from "./explanation.ts";
export { type Exposure, exposures, isExposed, type Reach, reachOf } from "./exposure.ts";
export {
  type CheckType,
  checkTypes,
  type DatagramCheck,
  type HealthCheck,
  type HttpCheck,
} from "./health-check.ts";
export type {
  DocumentKind,
  Entries,
  KeyName,
  Kind,
  KindEntry,
  ObservedKind,
  ServedKind,
} from "./kinds.ts";
export { documentKinds, isAppliedTo, kinds, servedKinds } from "./kinds.ts";
export { LayeredMap } from "./layered-map.ts";
export {
  defaultDatagramTerms,
  defaultStreamTerms,
  isHttp,
  type ListenerDocument,
  type ListenerLimits,
  type ListenerProtocol,
  type ListenerTerms,
  type ListenerTlsTerms,
  listenerProtocols,
  noListenerLimits,
  type StreamTerms,
} from "./listeners.ts";
export type {
  Answered,
  Asked,
  FailedRequest,
  FailureEvidence,
  InsideWords,
  LastWords,
  ListeningAddress,
  Question,
  QuestionName,
  ScriptCost,
  ScriptReport,
  TokenAsk,
  TokenGrant,
  ToPrimary,
  ToWorker,
  WorkerReport,
  WorkerSettings,
} from "./messages.ts";
export { descriptorsPerListener, lastWordsDescriptor, listeningDescriptors } from "./messages.ts";
export type {
  HealthCode,
  HealthReason,
  HealthSource,
  HealthState,
  PeerFinding,
  PeerHealth,
} from "./peer-health.ts";
export { stateOf } from "./peer-health.ts";
export type { PeerSetting, PeerSettings } from "./peer-settings.ts";
export { detached, RecentMap } from "./recent-map.ts";
export { parseServiceName } from "./service-name.ts";
export { failoverKeys, ownDatacenter, type ServiceSite, SiteNames } from "./sites.ts";
export { defaultPriority, type TagRoute, type TagShare } from "./tag-route.ts";
export {
  type Border,
  defaultTenant,
  type TenantKind,
  type TenantNames,
  type TenantPolicy,
  Tenants,
} from "./tenants.ts";
export type {
  BoundsStatus,
  Load,
  Loads,
  PeerStatus,
  RoutedUpstream,
  UpstreamKeys,
  UpstreamLoad,
  UpstreamStatus,
} from "./upstream-status.ts";
export { WildcardIndex } from "./wildcard-index.ts";
