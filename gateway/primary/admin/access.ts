/** Who may use the admin API: what each request must bring, and the connection that it comes by. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { foreignRequest, HostList } from "../../foreign-requests.ts";
import { type Failure, failure } from "./failures.ts";

export interface AdminTls {
  readonly cert: string;
  readonly key: string;
  /** `null`: clients need no certificate. */
  readonly clientCa: string | null;
}

export interface AdminAccess {
  /** `null`: a client's certificate takes its place, so the server must ask for one. */
  readonly token: string | null;
  /** An operator named the token; otherwise the gateway has made it. */
  readonly isGiven: boolean;
  readonly tls: AdminTls | null;
  /** Names, addresses and blocks that `Host` may have beside this machine's own. */
  readonly hosts: readonly string[];
  /** Whoever reaches the API may read `/metrics`. */
  readonly openMetrics: boolean;
  /** Whoever reaches the API may write. Only where other machines do not reach it. */
  readonly openWrites: boolean;
}

/** Probes of balancers and orchestrators, which bring no token. */
const probes: readonly string[] = ["/healthz", "/readyz"];

export function isWrite({ method }: { readonly method?: string | undefined }): boolean {
  return method !== "GET" && method !== "HEAD";
}

/**
 * A test of requests: gives why one is refused, or `null`. `isExposed`: other machines reach the API, so
 * that reads need the token, too.
 */
export function createGuard(
  { token, tls, hosts, openMetrics, openWrites }: AdminAccess,
  isExposed: boolean,
): (request: IncomingMessage) => Failure | null {
  const list = new HostList(hosts);
  const open: ReadonlySet<string> = new Set(openMetrics ? [...probes, "/metrics"] : probes);
  const hasCertificate = tls !== null && tls.clientCa !== null;
  const expected = token === null ? null : digest(`Bearer ${token}`);
  return (request) => {
    const foreign = foreignRequest(request, list);
    if (foreign !== null) {
      const advice = foreign.error === "foreign_host" ? "; --admin-hosts adds names" : "";
      return failure(403, foreign.error, foreign.message + advice);
    }
    const { url = "/", headers } = request;
    if (!url.startsWith("/")) return failure(400, "bad_request", "the target is not a path");
    const isRead = !isWrite(request);
    if (!isExposed && openWrites) return null;
    if (isRead && (!isExposed || open.has(url.split("?", 1)[0] ?? ""))) return null;
    if (expected === null && hasCertificate) return null;
    // The scheme's name is case-insensitive (RFC 9110 section 11.1).
    const given = digest((headers.authorization ?? "").replace(/^bearer /i, "Bearer "));
    // Of equal length whatever was given, so that the time tells nothing.
    if (expected !== null && timingSafeEqual(given, expected)) return null;
    const what = isExposed ? "the admin API needs" : "writes need";
    const message = `${what} this gateway's token: Authorization: Bearer TOKEN`;
    return failure(401, "unauthorized", message);
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
