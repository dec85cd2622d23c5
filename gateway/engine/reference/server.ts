/** The `node:http` server that reads what clients of the reference engine ask, and writes the answers. */
import { createServer, type IncomingMessage } from "node:http";
import type { ClientHost } from "../downstream/session.ts";
import type { OpenClient } from "../http-engine.ts";
import { refuse } from "../message/grammar.ts";
import { RequestHead } from "../message/request-head.ts";
import { connectRefusal } from "../message/request-line.ts";
import { headText, ReferenceSession } from "./client-session.ts";

const expectationRefusal = {
  ...refuse("bad_expectation", "only 100-continue is met"),
  status: 417,
};

/** Serves the sockets that the host accepts. */
export function openClients(host: ClientHost): OpenClient {
  const { limits } = host;
  const sessions = new WeakMap<object, ReferenceSession>();
  const probe = new RequestHead();
  const asksForUpgrade = (request: IncomingMessage) => {
    const text = headText(request);
    return probe.read(text, text.length, limits) === null && probe.upgrade !== "";
  };
  const http = createServer({
    maxHeaderSize: limits.maxHeadBytes,
    // The gateway has its own limits and deadlines, with its own answers and counters.
    requireHostHeader: false,
    keepAliveTimeout: 0,
    headersTimeout: 0,
    requestTimeout: 0,
    shouldUpgradeCallback: asksForUpgrade,
  });
  http.maxHeadersCount = 0;
  Object.assign(http, { httpAllowHalfOpen: limits.servesHalfClosed });
  const find = (socket: object) => sessions.get(socket);
  http.on("request", (request, response) => find(request.socket)?.onRequest(request, response));
  // The origin decides whether the client may continue.
  http.on("checkContinue", (request, response) =>
    find(request.socket)?.onRequest(request, response),
  );
  http.on("checkExpectation", (request) => {
    request.resume();
    find(request.socket)?.onRefused(expectationRefusal, request);
  });
  http.on("upgrade", (request, socket, head) => find(socket)?.onUpgrade(request, head));
  http.on("connect", (request, socket) => find(socket)?.onRefused(connectRefusal, request));
  http.on("clientError", (error: NodeJS.ErrnoException, socket) => find(socket)?.onError(error));
  return (socket, client) => {
    const attach = () => http.emit("connection", socket);
    const session = new ReferenceSession(host, socket, attach, client);
    sessions.set(socket, session);
    return session;
  };
}
