/**
 * One check of one server: opens a connection, sends what the type of the check asks for, and judges the
 * answer.
 */
import type { Socket } from "node:net";
import type { Peer } from "../../engine/engine.ts";
import { connectTo, whyUnusable } from "../../engine/upstream/peer-socket.ts";
import { type PeerAlpn, type PeerMaterials, PeerTlsRoom } from "../../engine/upstream/peer-tls.ts";
import type { HealthCheck } from "../../model/index.ts";
import { probeDatagram } from "./datagram-probe.ts";
import { probeGrpc } from "./grpc-probe.ts";
import { HttpAnswer } from "./http-answer.ts";
import { probeHttp2 } from "./http2-probe.ts";
import { type Judge, MysqlGreeting, RedisAnswer, reasonOf, type Verdict } from "./judges.ts";

/** How checks reach servers: as upstreams do. */
export interface Reach {
  /**
   * Begins to connect to a server. Over TLS, the socket emits `secureConnect` when the server's certificate has been
   * accepted.
   */
  readonly connect: (peer: Peer, check: Pick<HealthCheck, "tls">, alpn: PeerAlpn) => Socket;
  /** What an error of the socket means, in one clause. */
  readonly whyFailed: (peer: Peer, socket: Socket, error: Error) => string;
  /** What is not there yet on a socket that is not connected. */
  readonly missing: (socket: Socket) => string;
}

/**
 * Checks one server. Returns a function that gives up. Calls `done` once, unless that function was called
 * before.
 */
export type Probe = (
  peer: Peer,
  check: HealthCheck,
  done: (verdict: Verdict) => void,
) => () => void;

/**
 * Returns the probe that checks servers as upstreams reach them. A session of TLS is resumed by the next check of the same
 * `Peer`.
 */
export function createProbe(materials: PeerMaterials): Probe {
  const tls = new PeerTlsRoom(materials);
  // The guard of addresses is about where requests of clients go; a check only looks.
  const forbids = () => null;
  const reach: Reach = {
    connect: (peer, check, alpn) => connectTo(peer, { forbids, tls }, check.tls ?? null, alpn),
    whyFailed: (peer, socket, error) =>
      tls.isHandshaking(socket)
        ? whyUnusable({ tls }, peer, socket, error).message
        : reasonOf(error),
    missing: (socket) =>
      tls.isHandshaking(socket) ? "no end of the TLS handshake" : "no connection",
  };
  return (peer, check, done) => {
    if (check.type === "grpc") return probeGrpc(reach, peer, check, done);
    const { http, datagram } = check;
    if (datagram !== undefined) return probeDatagram(peer, check, datagram, done);
    return http?.http2 === undefined
      ? probeBytes(reach, peer, check, done)
      : probeHttp2(reach, peer, check, http, http.http2, done);
  };
}

function probeBytes(
  reach: Reach,
  peer: Peer,
  check: HealthCheck,
  done: (verdict: Verdict) => void,
): () => void {
  const judge = judgeOf(check);
  let isConnected = false;
  let isDone = false;
  const socket = reach.connect(peer, check, check.http === null ? null : "http/1.1");
  const close = () => {
    isDone = true;
    clearTimeout(timer);
    // At once: a server that waits for more would keep a descriptor here for each check.
    socket.destroy();
  };
  const end = (verdict: Verdict) => {
    if (isDone) return;
    close();
    done(verdict);
  };
  const timer = setTimeout(() => {
    const what = isConnected ? "no whole answer" : reach.missing(socket);
    end(`${what} within ${check.timeoutMs} ms`);
  }, check.timeoutMs);
  socket.once(check.tls === undefined ? "connect" : "secureConnect", () => {
    isConnected = true;
    const request = requestOf(check);
    if (judge === null) end(null);
    else if (request !== "") socket.write(request, "latin1");
  });
  socket.on("data", (chunk: Buffer) => {
    const verdict = isDone ? undefined : judge?.push(chunk);
    if (verdict !== undefined) end(verdict);
  });
  socket.once("end", () => {
    if (judge !== null) end(judge.end());
  });
  // It stays: what comes after the end must find somebody who takes it.
  socket.on("error", (error) => end(reach.whyFailed(peer, socket, error)));
  return close;
}

function requestOf({ type, http }: HealthCheck): string {
  if (type === "redis") return RedisAnswer.request;
  return http?.request ?? "";
}

/** `null`: a connection is enough. */
function judgeOf({ type, http }: HealthCheck): Judge | null {
  if (type === "redis") return new RedisAnswer();
  if (type === "mysql") return new MysqlGreeting();
  return type === "general" || http === null ? null : new HttpAnswer(http);
}
