/** A check by gRPC's own protocol for health (`grpc.health.v1.Health/Check`), over HTTP/2. */
import type { IncomingHttpHeaders } from "node:http2";
import type { Peer } from "../../engine/engine.ts";
import type { HealthCheck } from "../../model/index.ts";
import { askHttp2 } from "./http2-request.ts";
import { shown, type Verdict } from "./judges.ts";
import type { Reach } from "./probe.ts";

/** Of `HealthCheckResponse.ServingStatus`, by number. */
const states = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/** A frame of five bytes and a message with one small number; more than this is none of it. */
const maxAnswerBytes = 256;
const notGrpc = "the answer is not of gRPC's health";

/** As `Probe`. */
export function probeGrpc(
  reach: Reach,
  peer: Peer,
  check: HealthCheck,
  done: (verdict: Verdict) => void,
): () => void {
  let fields: IncomingHttpHeaders = {};
  let answer: Buffer = Buffer.alloc(0);
  const question = {
    fields: [
      ...[":method", "POST", ":scheme", check.tls === undefined ? "http" : "https"],
      ...[":authority", peer.key, ":path", "/grpc.health.v1.Health/Check"],
      ...["content-type", "application/grpc", "te", "trailers", "user-agent", "sluice-check"],
    ],
    body: requestFor(check.service ?? ""),
  };
  const judge = {
    head(head: IncomingHttpHeaders) {
      fields = head;
      return undefined;
    },
    push(piece: Buffer) {
      if (answer.length + piece.length > maxAnswerBytes) return notGrpc;
      answer = Buffer.concat([answer, piece]);
      return undefined;
    },
    trailers(trailers: IncomingHttpHeaders) {
      fields = { ...fields, ...trailers };
    },
    end: () => verdictOf(fields, answer),
  };
  return askHttp2(reach, peer, check, question, judge, done);
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
