/** The admin API's own HTTP server, plain or TLS, with a limit and a deadline on everything it holds. */
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { limitConnections } from "../../connection-limit.ts";
import type { AdminTls } from "./access.ts";

export interface AdminLimits {
  /** Connections at once; a further one replaces the one that has been silent for longest. */
  readonly maxConnections: number;
  readonly handshakeTimeoutMs: number;
  /** From the start of a connection, or of its next request, to the end of the head. */
  readonly headTimeoutMs: number;
  /** The same to the end of the body. */
  readonly requestTimeoutMs: number;
  /** No byte either way. */
  readonly idleTimeoutMs: number;
}

export const defaultAdminLimits: AdminLimits = {
  maxConnections: 128,
  handshakeTimeoutMs: 5000,
  headTimeoutMs: 5000,
  requestTimeoutMs: 10_000,
  idleTimeoutMs: 30_000,
};

const maxHeadBytes = 16 * 1024;
const checkMs = 500;

export function createAdminListener(
  tls: AdminTls | null,
  limits: AdminLimits,
  handler: RequestListener,
): Server {
  const options = {
    maxHeaderSize: maxHeadBytes,
    headersTimeout: limits.headTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.headTimeoutMs,
    connectionsCheckingInterval: checkMs,
  };
  const server =
    tls === null
      ? createServer(options, handler)
      : createTlsServer(
          {
            ...options,
            cert: tls.cert,
            key: tls.key,
            handshakeTimeout: limits.handshakeTimeoutMs,
            minVersion: "TLSv1.2",
            ...(tls.clientCa === null
              ? {}
              : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
          },
          handler,
        );
  limitConnections(server, limits.maxConnections);
  server.setTimeout(limits.idleTimeoutMs);
  return server;
}
