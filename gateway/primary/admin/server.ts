/**
 * The admin HTTP API: what the gateway says of itself, and the few things an operator may tell it.
 * Shows what it is given; knows nothing of workers or Consul.
 */
import fastify, { type FastifyInstance } from "fastify";
import type { Operations } from "../../life/index.ts";
import type { Status } from "../status.ts";
import { failure, failureOf } from "./failures.ts";
import { addSources } from "./sources.ts";

export interface AdminOptions {
  readonly status: () => Status;
  /** Why the gateway is not ready; `null` when it is. */
  readonly notReady: () => string | null;
  /** Accepts what Consul has now; returns how many entries were let go. */
  readonly release: () => number;
  readonly operations: Operations;
}

/** An instance that does not listen yet. Every answer, errors included, is JSON. */
export function createAdmin(options: AdminOptions): FastifyInstance {
  const { status, notReady, release, operations } = options;
  const server = fastify({
    logger: false,
    // An admin connection that does nothing holds up no shutdown.
    forceCloseConnections: true,
    requestTimeout: 10_000,
    bodyLimit: 64 * 1024,
    // What the router itself refuses.
    frameworkErrors: (error, _request, reply) => {
      const answer = failureOf(error);
      const type = { "content-type": "application/json; charset=utf-8" };
      reply.raw.writeHead(answer.status, type).end(JSON.stringify(answer));
    },
  });

  server.addHook("onRequest", async (request, reply) => {
    // A page in an operator's browser may reach this port, but must not be able to change anything.
    const { origin, host } = request.headers;
    if (request.method === "GET" || request.method === "HEAD" || origin === undefined) return;
    if (!URL.canParse(origin) || new URL(origin).host !== host) {
      await reply
        .code(403)
        .send(failure(403, "foreign_origin", "the request comes from a web page"));
    }
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

  server.get("/status", () => status());
  server.get("/healthz", () => ({ status: "ok" }));
  server.get("/readyz", (_request, reply) => {
    const reason = notReady();
    if (reason === null) return { status: "ok" };
    return reply.code(503).send(failure(503, "not_ready", reason));
  });
  server.post("/resync", () => ({ released: release() }));
  addSources(server, operations);
  return server;
}
