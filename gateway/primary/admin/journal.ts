/** One line of the log for each write to the admin API: who, from where, what, and how it ended. */
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import type { Log } from "../../observability/logger.ts";

/** What a caller says of itself, for the history of scripts; nobody has checked it. */
export const whoHeader = "sluice-by";

const longestName = 200;
const longestPath = 300;
/** Refusals are logged only this often: whoever has no token must not fill the disk. */
const refusalsPerMinute = 30;

export interface Journal {
  note(request: IncomingMessage, status: number): void;
}

/** `ticks`: milliseconds on a clock that never goes back. */
export function createJournal(log: Log, ticks: () => number): Journal {
  let minuteMs = Number.NEGATIVE_INFINITY;
  let refusals = 0;

  function mayComplain(): boolean {
    if (ticks() - minuteMs >= 60_000) {
      if (refusals > refusalsPerMinute) {
        const more = refusals - refusalsPerMinute;
        log.warn({ more }, `admin API: ${more} more writes were refused in that minute`);
      }
      minuteMs = ticks();
      refusals = 0;
    }
    refusals += 1;
    return refusals <= refusalsPerMinute;
  }

  return {
    note(request, status) {
      const isRefused = status === 401 || status === 403;
      if (isRefused && !mayComplain()) return;
      const { socket, method = "" } = request;
      const path = (request.url ?? "").split("?", 1)[0]?.slice(0, longestPath) ?? "";
      const from = socket.remoteAddress ?? "a closed connection";
      const certificate = subjectOf(socket);
      const says = String(request.headers[whoHeader] ?? "").slice(0, longestName);
      const who = certificate ?? (says === "" ? from : `${says} (${from})`);
      const fields = { method, path, status, from, by: says || null, certificate };
      const line = `admin API: ${method} ${path} by ${who}: ${status}`;
      if (isRefused) log.warn(fields, line);
      else log.info(fields, line);
    },
  };
}

/** The common name of a client's certificate; `null` when it showed none. */
function subjectOf(socket: IncomingMessage["socket"]): string | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const { subject } = socket.getPeerCertificate();
  return subject === undefined ? null : String(subject.CN ?? "a certificate without a name");
}
