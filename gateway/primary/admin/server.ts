/**
 * The admin HTTP API: what the gateway says about itself, and what an operator may tell it.
 * Shows what it is given; knows nothing of workers or Consul.
 */
import fastify, { type FastifyInstance } from "fastify";
import type { Log } from "../../observability/logger.ts";
import type { Operations, PeerOperations } from "../../releases/index.ts";
import type { Delivery } from "../delivery.ts";
import type { Explainer } from "../explain.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { KnownPeers } from "../known-peers.ts";
import type { LocalChanges } from "../local-changes.ts";
import type { Exposition } from "../metrics/exposition.ts";
import type { Status } from "../status.ts";
import { type AdminAccess, createGuard, isWrite } from "./access.ts";
import { Arrivals } from "./arrivals.ts";
import { addExplain } from "./explain.ts";
import { failure, failureOf } from "./failures.ts";
import { createJournal, type Journal } from "./journal.ts";
import { type AdminLimits, createAdminListener, defaultAdminLimits } from "./listener.ts";
import { addOneDocument } from "./one-document.ts";
import { addOpenApi } from "./openapi.ts";
import { addSchemas, addVersioned } from "./versioned.ts";
import { addViews, type Views } from "./views.ts";

export interface AdminOptions {
  readonly status: () => Status;
  /** Why the gateway is not ready; `null` when it is. */
  readonly notReady: () => string | null;
  /** Accepts what Consul has now; returns how many entries were let go. */
  readonly release: () => number;
  readonly operations: Operations;
  readonly delivery: Pick<Delivery, "arrived" | "everywhere">;
  readonly local: LocalChanges;
  readonly peers: PeerOperations;
  readonly knownPeers: KnownPeers;
  readonly views: Views;
  readonly explainer: Pick<Explainer, "explain">;
  readonly fleet: Pick<Fleet, "show">;
  /** `isOpen`: as OpenMetrics. */
  readonly metrics: (isOpen: boolean) => Promise<Exposition>;
  readonly access: AdminAccess;
  /** Other machines reach the address that it will listen on. */
  readonly isExposed: boolean;
  readonly log: Log;
  /** Milliseconds on a clock that never goes back. */
  readonly ticks: () => number;
  readonly limits?: AdminLimits;
}

/** An instance that does not listen yet. Every answer, errors included, is JSON. */
export function createAdmin(options: AdminOptions): FastifyInstance {
  const { access, isExposed, log, ticks, limits = defaultAdminLimits } = options;
  const server = fastify({
    logger: false,
    // Idle admin connections must not delay a shutdown.
    forceCloseConnections: true,
    serverFactory: (handler) => createAdminListener(access.tls, limits, handler),
    bodyLimit: 64 * 1024,
    // What the router itself refuses.
    frameworkErrors: (error, _request, reply) => {
      const answer = failureOf(error);
      const type = { "content-type": "application/json; charset=utf-8" };
      reply.raw.writeHead(answer.status, type).end(JSON.stringify(answer));
    },
  });

  const guard = createGuard(access, isExposed);
  const journal = createJournal(log, ticks);
  server.addHook("onRequest", async (request, reply) => {
    const refusal = guard(request.raw);
    if (refusal === null) return;
    // A refused request may have a body, which nobody will read.
    reply.code(refusal.status).header("connection", "close");
    if (refusal.status === 401) reply.header("www-authenticate", 'Bearer realm="sluice"');
    await reply.send(refusal);
  });
  server.addHook("onResponse", async (request, reply) => {
    if (isWrite(request.raw)) journal.note(request.raw, reply.statusCode);
  });

  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0];
    return reply
      .code(404)
      .send(failure(404, "not_found", `${request.method} ${path} is not known`));
  });

  server.setErrorHandler((error, _request, reply) => {
    const answer = failureOf(error);
    return reply.code(answer.status).send(answer);
  });

  addRoutes(server, options, journal);
  return server;
}

/** Its routes, by method and path. */
export function addRoutes(server: FastifyInstance, options: AdminOptions, journal: Journal): void {
  const { status, notReady, release, operations, delivery, local, peers, knownPeers } = options;
  const { views, explainer, fleet, metrics } = options;
  server.get("/status", () => status());
  server.get("/fleet", () => fleet.show());
  server.get("/healthz", () => ({ status: "ok" }));
  server.get("/readyz", (_request, reply) => {
    const reason = notReady();
    if (reason === null) return { status: "ok" };
    return reply.code(503).send(failure(503, "not_ready", reason));
  });
  server.get("/metrics", async (request, reply) => {
    const isOpen = (request.headers.accept ?? "").includes("application/openmetrics-text");
    const { contentType, text } = await metrics(isOpen);
    return reply.header("content-type", contentType).send(text);
  });
  server.post("/resync", () => ({ released: release() }));
  addViews(server, views);
  addExplain(server, explainer);
  const arrivals = new Arrivals(delivery, local);
  addVersioned(server, { operations, arrivals, journal });
  addOneDocument(server, { operations, arrivals, local, journal, peers, knownPeers });
  addSchemas(server);
  addOpenApi(server);
}
