/** The settings that are limits of the HTTP engine, as rows of the table in `settings-table.ts`. */
import type { z } from "zod";
import { defaultLimits, type EngineLimits } from "./engine/engine.ts";
import type { Definition } from "./settings-table.ts";
import { bytes, duration, integer, oneOf } from "./settings-values.ts";

/** A limit of the engine's as an operator would write it. */
function ms(limit: number): string {
  if (limit % 3_600_000 === 0) return `${limit / 3_600_000}h`;
  return limit % 1000 === 0 ? `${limit / 1000}s` : `${limit}ms`;
}

export const limitDefinitions = {
  maxHeadBytes: {
    argument: "SIZE",
    meaning: "Head of a request (above: 431) or an answer (above: 502).",
    fallback: String(defaultLimits.maxHeadBytes),
    schema: bytes(256),
  },
  maxHeaders: {
    argument: "N",
    meaning: "Header lines of a request; above: 431.",
    fallback: String(defaultLimits.maxHeaders),
    schema: integer(1, 10_000),
  },
  maxTargetBytes: {
    argument: "SIZE",
    meaning: "Target of a request; above: 414.",
    fallback: String(defaultLimits.maxTargetBytes),
    schema: bytes(16),
  },
  maxBodyBytes: {
    argument: "SIZE",
    meaning: "Body of a request, 0 for no limit; above: 413.",
    fallback: String(defaultLimits.maxBodyBytes),
    schema: bytes(0),
  },
  headTimeout: {
    argument: "DURATION",
    meaning: "From the first byte of a head to its end; then 408.",
    fallback: ms(defaultLimits.headTimeoutMs),
    schema: duration(),
  },
  idleTimeout: {
    argument: "DURATION",
    meaning: "A client's connection without a request is closed after this.",
    fallback: ms(defaultLimits.idleTimeoutMs),
    schema: duration(),
  },
  maxRequestsPerConnection: {
    argument: "N",
    meaning: "Requests on one client connection, which then is closed; 0 for no limit.",
    fallback: String(defaultLimits.maxRequestsPerConnection),
    schema: integer(0, 1_000_000_000),
  },
  maxConnections: {
    argument: "N",
    meaning: "Client connections of a worker at once, 0 for no limit; above: 503.",
    fallback: String(defaultLimits.maxConnections),
    schema: integer(0, 1_000_000),
  },
  maxConnectionsPerAddress: {
    argument: "N",
    meaning: "The same from one client address, 0 for no limit; above: 503.",
    fallback: String(defaultLimits.maxConnectionsPerAddress),
    schema: integer(0, 1_000_000),
  },
  http2: {
    argument: "on|off",
    meaning:
      "Let clients speak HTTP/2: over TLS by ALPN, and in clear when they begin with it (prior knowledge). Off, and the reference engine, refuse the latter with 505.",
    fallback: defaultLimits.http2 ? "on" : "off",
    schema: oneOf("on", "off"),
  },
  maxStreams: {
    argument: "N",
    meaning: "Requests at once on one client connection that speaks HTTP/2; above: refused.",
    fallback: String(defaultLimits.maxStreams),
    schema: integer(1, 10_000),
  },
  halfClosed: {
    argument: "WHAT",
    meaning:
      "A client that closes its sending side while it waits: cancel its request, or serve it.",
    fallback: defaultLimits.servesHalfClosed ? "serve" : "cancel",
    schema: oneOf("cancel", "serve"),
  },
  underscoresInHeaders: {
    argument: "on|off",
    meaning: "Pass on request headers whose names have underscores; off drops and counts them.",
    fallback: defaultLimits.underscoresInHeaders ? "on" : "off",
    schema: oneOf("on", "off"),
  },
  ignoreInvalidHeaders: {
    argument: "on|off",
    meaning:
      "Drop and count request headers with any other character in their names than letters, digits and hyphens.",
    fallback: defaultLimits.ignoreInvalidHeaders ? "on" : "off",
    schema: oneOf("on", "off"),
  },
  connectTimeout: {
    argument: "DURATION",
    meaning: "To connect to a peer; then another peer, or 504.",
    fallback: ms(defaultLimits.connectTimeoutMs),
    schema: duration(),
  },
  responseTimeout: {
    argument: "DURATION",
    meaning: "From the whole request sent to the head of the answer; then 504.",
    fallback: ms(defaultLimits.responseTimeoutMs),
    schema: duration(),
  },
  bodyTimeout: {
    argument: "DURATION",
    meaning: "No byte of a body either way for this long ends the exchange.",
    fallback: ms(defaultLimits.bodyTimeoutMs),
    schema: duration(),
  },
  tunnelTimeout: {
    argument: "DURATION",
    meaning: "No byte either way on an upgraded connection for this long ends it.",
    fallback: ms(defaultLimits.tunnelTimeoutMs),
    schema: duration(),
  },
  maxTries: {
    argument: "N",
    meaning:
      "Tries per request, the first included, in which something may have been sent; an upstream's try overrides it.",
    fallback: String(defaultLimits.maxTries),
    schema: integer(1, 100),
  },
  tryTimeout: {
    argument: "DURATION",
    meaning:
      "This long after a request's first try began no other begins, 0s for no limit; try_timeout overrides it.",
    fallback: ms(defaultLimits.tryTimeoutMs),
    schema: duration(0),
  },
  maxIdlePerPeer: {
    argument: "N",
    meaning: "Idle connections kept for each peer.",
    fallback: String(defaultLimits.maxIdlePerPeer),
    schema: integer(0, 65_535),
  },
  maxConnectionsPerPeer: {
    argument: "N",
    meaning: "Connections of a worker to a peer at once, 0 for no limit; above, requests wait.",
    fallback: String(defaultLimits.maxConnectionsPerPeer),
    schema: integer(0, 65_535),
  },
  maxWaitingPerPeer: {
    argument: "N",
    meaning:
      "Requests that may wait for a peer's connections when all it may have are busy; above: another peer, or 503 at once.",
    fallback: String(defaultLimits.maxWaitingPerPeer),
    schema: integer(0, 1_000_000),
  },
  queueTimeout: {
    argument: "DURATION",
    meaning: "How long such a request waits; then 503.",
    fallback: ms(defaultLimits.queueTimeoutMs),
    schema: duration(),
  },
  peerIdleTimeout: {
    argument: "DURATION",
    meaning: "A pooled connection to a peer is closed after this long without a request.",
    fallback: ms(defaultLimits.peerIdleTimeoutMs),
    schema: duration(),
  },
} as const satisfies Readonly<Record<string, Definition>>;

type LimitKey = keyof typeof limitDefinitions;
type LimitValues = { readonly [K in LimitKey]: z.output<(typeof limitDefinitions)[K]["schema"]> };

/** The engine's limits out of the settings; `get` reads one setting, checked by its schema. */
export function engineLimits(get: (key: LimitKey) => unknown): EngineLimits {
  const names = Object.keys(limitDefinitions) as LimitKey[];
  // Each value is what the schema of its key gave, which a loop over keys cannot tell the checker.
  const values = Object.fromEntries(names.map((key) => [key, get(key)])) as LimitValues;
  return {
    maxHeadBytes: values.maxHeadBytes,
    maxHeaders: values.maxHeaders,
    maxTargetBytes: values.maxTargetBytes,
    maxBodyBytes: values.maxBodyBytes,
    headTimeoutMs: values.headTimeout,
    idleTimeoutMs: values.idleTimeout,
    maxRequestsPerConnection: values.maxRequestsPerConnection,
    maxConnections: values.maxConnections,
    maxConnectionsPerAddress: values.maxConnectionsPerAddress,
    http2: values.http2 === "on",
    maxStreams: values.maxStreams,
    servesHalfClosed: values.halfClosed === "serve",
    underscoresInHeaders: values.underscoresInHeaders === "on",
    ignoreInvalidHeaders: values.ignoreInvalidHeaders === "on",
    connectTimeoutMs: values.connectTimeout,
    responseTimeoutMs: values.responseTimeout,
    bodyTimeoutMs: values.bodyTimeout,
    tunnelTimeoutMs: values.tunnelTimeout,
    maxTries: values.maxTries,
    tryTimeoutMs: values.tryTimeout,
    maxIdlePerPeer: values.maxIdlePerPeer,
    maxConnectionsPerPeer: values.maxConnectionsPerPeer,
    maxWaitingPerPeer: values.maxWaitingPerPeer,
    queueTimeoutMs: values.queueTimeout,
    peerIdleTimeoutMs: values.peerIdleTimeout,
  };
}
