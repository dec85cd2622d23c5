/** One line of the log for each write to the admin API: who, from where, what, and how it ended. */
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { DocumentError, parseUpstreamDocument } from "../../documents/index.ts";
import { versionOf } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import type { Subject } from "../../releases/index.ts";
import { formatAddress } from "../../settings-values.ts";

/** The name that a caller gives itself, for the history of scripts; nobody has checked it. */
export const whoHeader = "sluice-by";

const longestName = 200;
const longestPath = 300;
/** Refusals are logged only this often: whoever has no token must not fill the disk. */
const refusalsPerMinute = 30;

export interface Journal {
  /** What a write changed, for its line. */
  detail(request: IncomingMessage, fields: object): void;
  note(request: IncomingMessage, status: number): void;
}

/** `ticks`: milliseconds on a clock that never goes back. */
export function createJournal(log: Log, ticks: () => number): Journal {
  let minuteMs = Number.NEGATIVE_INFINITY;
  let refusals = 0;
  const details = new WeakMap<IncomingMessage, object>();

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
    detail(request, fields) {
      details.set(request, fields);
    },
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
      const more = details.get(request) ?? {};
      const line = `admin API: ${method} ${path} by ${who}: ${status}`;
      if (isRefused) log.warn(fields, line);
      else log.info({ ...fields, ...more }, line);
    },
  };
}

/** Servers of an upstream that a line of the log names. */
const mostServers = 20;

/**
 * A document for the log: its version, by which its text is in the history, and the servers of an upstream. The text
 * itself is left out: options of plugins may be secrets.
 */
export function summaryOf(subject: Subject, text: string): object {
  const version = versionOf(text);
  if (!subject.startsWith("upstreams/")) return { version };
  try {
    const { levels, service } = parseUpstreamDocument(subject, text);
    if (service !== null) return { version, service };
    const servers = levels.flatMap((level) =>
      level.servers.map(({ host, port }) => formatAddress({ host, port })),
    );
    const more = servers.length - mostServers;
    const shown = servers.slice(0, mostServers);
    return { version, servers: more > 0 ? [...shown, `and ${more} more`] : shown };
  } catch (error) {
    // What was there before need not be a document.
    if (error instanceof DocumentError) return { version };
    throw error;
  }
}

/** The common name of a client's certificate; `null` when it showed none. */
export function subjectOf(socket: IncomingMessage["socket"]): string | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const { subject } = socket.getPeerCertificate();
  return subject === undefined ? null : String(subject.CN ?? "a certificate without a name");
}
