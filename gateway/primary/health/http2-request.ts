/** One request over HTTP/2 to a server, on a connection of its own, for checks. What the answer means, its judge says. */
import {
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  connect as openSession,
} from "node:http2";
import type { Peer } from "../../engine/engine.ts";
import type { HealthCheck } from "../../model/index.ts";
import type { Verdict } from "./judges.ts";
import type { Reach } from "./probe.ts";

export interface Http2Question {
  /** Names and values alternately. */
  readonly fields: readonly string[];
  readonly body: Buffer;
}

/** Looks at an answer as it comes. `undefined`: it wants more. */
export interface Http2Judge {
  head(fields: IncomingHttpHeaders & IncomingHttpStatusHeader): Verdict | undefined;
  push(piece: Buffer): Verdict | undefined;
  trailers(fields: IncomingHttpHeaders): void;
  end(): Verdict;
}

/** As `Probe`. */
export function askHttp2(
  reach: Reach,
  peer: Peer,
  check: HealthCheck,
  { fields, body }: Http2Question,
  judge: Http2Judge,
  done: (verdict: Verdict) => void,
): () => void {
  const { timeoutMs } = check;
  let isDone = false;
  let isConnected = false;
  /** Whether the server has sent its settings, with which HTTP/2 begins (RFC 9113 section 3.4). */
  let hasSpoken = false;
  const socket = reach.connect(peer, check, "h2");
  const scheme = check.tls === undefined ? "http" : "https";
  const session = openSession(`${scheme}://${peer.key}`, {
    createConnection: () => socket,
    settings: { enablePush: false },
  });
  const close = () => {
    isDone = true;
    clearTimeout(timer);
    session.destroy();
  };
  const end = (verdict: Verdict | undefined) => {
    if (isDone || verdict === undefined) return;
    close();
    done(verdict);
  };
  const timer = setTimeout(() => {
    end(`${isConnected ? "no whole answer" : reach.missing(socket)} within ${timeoutMs} ms`);
  }, timeoutMs);
  const fail = (error: NodeJS.ErrnoException) => {
    const isOther = !hasSpoken && error.code?.startsWith("ERR_HTTP2_") === true;
    end(isOther ? "it does not speak HTTP/2" : reach.whyFailed(peer, socket, error));
  };
  session.once("connect", () => {
    isConnected = true;
  });
  session.once("remoteSettings", () => {
    hasSpoken = true;
  });
  // Both stay: what comes after the end must find somebody who takes it.
  session.on("error", fail);
  session.once("close", () => end("it closed the connection without an answer"));
  const isEmpty = body.length === 0;
  const stream = session.request([...fields], { endStream: isEmpty });
  // Where the session failed, its error is the cause of the stream's.
  stream.on("error", (error) => fail(error.cause instanceof Error ? error.cause : error));
  stream.once("response", (head) => end(judge.head(head)));
  stream.once("trailers", (trailers) => judge.trailers(trailers));
  stream.on("data", (piece: Buffer) => end(judge.push(piece)));
  stream.once("end", () => end(judge.end()));
  stream.once("close", () => end("it broke the answer off"));
  if (!isEmpty) stream.end(body);
  return close;
}
