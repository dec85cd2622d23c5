/** A check by HTTP of servers that speak HTTP/2. */
import type { IncomingHttpStatusHeader } from "node:http2";
import type { Peer } from "../../engine/engine.ts";
import type { HealthCheck, HttpCheck } from "../../model/index.ts";
import { BodyText, verdictOnStatus } from "./body-text.ts";
import { askHttp2 } from "./http2-request.ts";
import type { Verdict } from "./judges.ts";
import type { Reach } from "./probe.ts";

const nothing = Buffer.alloc(0);

/** As `Probe`. */
export function probeHttp2(
  reach: Reach,
  peer: Peer,
  check: HealthCheck,
  { statuses, body }: HttpCheck,
  fields: readonly string[],
  done: (verdict: Verdict) => void,
): () => void {
  const text = body === null ? null : new BodyText(body);
  const judge = {
    head({ ":status": status }: IncomingHttpStatusHeader) {
      const verdict = verdictOnStatus(status ?? 0, statuses);
      return verdict !== null || text === null ? verdict : undefined;
    },
    push(piece: Buffer) {
      text?.push(piece, 0, piece.length);
      if (text?.isFound === true) return null;
      return text?.isFull === true ? text.missing : undefined;
    },
    trailers() {},
    end: () => text?.missing ?? "it closed the connection without an answer",
  };
  return askHttp2(reach, peer, check, { fields, body: nothing }, judge, done);
}
