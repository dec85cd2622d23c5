/** A check by gRPC's own protocol for health (`grpc.health.v1.Health/Check`), over HTTP/2. */
import { type IncomingHttpHeaders, connect as openSession } from "node:http2";
import type { Peer } from "../../engine/engine.ts";
import type { HealthCheck } from "../../model/index.ts";
import { reasonOf, shown, type Verdict } from "./judges.ts";
import type { Connect } from "./probe.ts";

/** Of `HealthCheckResponse.ServingStatus`, by number. */
const states = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/** A frame of five bytes and a message with one small number; more than this is none of it. */
const maxAnswerBytes = 256;
const notGrpc = "the answer is not of gRPC's health";

/** As `Probe`. */
export function probeGrpc(
  connect: Connect,
  peer: Peer,
  check: HealthCheck,
  done: (verdict: Verdict) => void,
): () => void {
  const { service, timeoutMs } = check;
  let isDone = false;
  let isConnected = false;
  let fields: IncomingHttpHeaders = {};
  let answer: Buffer = Buffer.alloc(0);
  const socket = connect(peer, check, "h2");
  const scheme = check.tls === undefined ? "http" : "https";
  const session = openSession(`${scheme}://${peer.key}`, { createConnection: () => socket });
  const close = () => {
    isDone = true;
    clearTimeout(timer);
    session.destroy();
  };
  const end = (verdict: Verdict) => {
    if (isDone) return;
    close();
    done(verdict);
  };
  const timer = setTimeout(() => {
    end(`${isConnected ? "no whole answer" : "no connection"} within ${timeoutMs} ms`);
  }, timeoutMs);
  const fail = ({ code, message }: NodeJS.ErrnoException) => end(reasonOf(code, message));
  session.once("connect", () => {
    isConnected = true;
  });
  // Both stay: what comes after the end must find somebody who takes it.
  session.on("error", fail);
  session.once("close", () => end("it closed the connection without an answer"));
  const stream = session.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/grpc",
    te: "trailers",
    "user-agent": "sluice-check",
  });
  // Where the session failed, its error is the cause of the stream's.
  stream.on("error", (error) => fail(error.cause instanceof Error ? error.cause : error));
  stream.once("response", (head) => {
    fields = head;
  });
  stream.once("trailers", (trailers) => {
    fields = { ...fields, ...trailers };
  });
  stream.on("data", (piece: Buffer) => {
    if (answer.length + piece.length > maxAnswerBytes) end(notGrpc);
    else answer = Buffer.concat([answer, piece]);
  });
  stream.once("end", () => end(verdictOf(fields, answer)));
  stream.end(requestFor(service ?? ""));
  return close;
}

/** The frame of a `HealthCheckRequest`; the name is ASCII and shorter than 128 characters. */
function requestFor(service: string): Buffer {
  const message =
    service === ""
      ? Buffer.alloc(0)
      : Buffer.from(`\n${String.fromCharCode(service.length)}${service}`);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function verdictOf(fields: IncomingHttpHeaders, answer: Buffer): Verdict {
  const status = fields["grpc-status"];
  if (status === undefined) return notGrpc;
  if (status !== "0") return `it answered with gRPC's status ${shown(String(status))}`;
  if (answer.length < 5 || answer[0] !== 0 || answer.readUInt32BE(1) !== answer.length - 5)
    return notGrpc;
  if (answer.length > 5 && answer[5] !== 8) return notGrpc;
  const state = states[answer[6] ?? 0] ?? "of no known state";
  return state === "SERVING" ? null : `it is ${state}`;
}
