/**
 * How the gateway's own failures reach gRPC clients: they look for the status in a field, so the gateway puts it
 * there (gRPC over HTTP/2, "Responses"; "HTTP to gRPC Status Code Mapping").
 */
import type { Answer } from "../engine.ts";

/** gRPC's numbers for the gateway's statuses. Everything else is UNKNOWN. */
const statuses: Readonly<Record<number, number>> = {
  // INTERNAL: something on the way made the request invalid.
  400: 13,
  // UNAUTHENTICATED and PERMISSION_DENIED.
  401: 16,
  403: 7,
  // UNIMPLEMENTED: there is no such service here.
  404: 12,
  // CANCELLED: the client did not go on with its request.
  408: 1,
  // RESOURCE_EXHAUSTED: too large or too many. A call that may be tried again later gets UNAVAILABLE.
  413: 8,
  431: 8,
  429: 14,
  500: 13,
  502: 14,
  503: 14,
  // DEADLINE_EXCEEDED
  504: 4,
};
const unknown = 2;

/** HTTP's statuses for gRPC's, by number: what a peer's health is judged by, as in Envoy's outlier detection. */
const httpStatuses: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];
const statusLinePattern = /^grpc-status:[ \t]*([0-9]{1,2})[ \t]*$/im;

const unitsMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};
/** The largest number that a `grpc-timeout` may have. */
const maxTimeout = 99_999_999;

/** Whether a request with this `Content-Type` is a gRPC call. */
export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?:[+;]|$)/i.test(contentType);
}

/** The answer for a call that failed in the gateway with this HTTP status. */
export function grpcFailure(
  status: number,
  code: string,
  message: string,
  more: Readonly<Record<string, string>> = {},
): Answer {
  return {
    status: 200,
    headers: {
      "content-type": "application/grpc",
      "grpc-status": String(statuses[status] ?? unknown),
      "grpc-message": percentEncoded(`${code}: ${message}`),
      ...more,
    },
  };
}

/** The trailer, as field lines, that ends a call whose answer has begun, as `grpcFailure` ends one that has not. */
export function grpcFailureTrailer(status: number, code: string, message: string): string {
  const number = statuses[status] ?? unknown;
  return `grpc-status: ${number}\r\ngrpc-message: ${percentEncoded(`${code}: ${message}`)}\r\n`;
}

/** Reads a `grpc-timeout` (gRPC over HTTP/2, "Requests"). Returns milliseconds, or `null` when it is malformed. */
export function grpcTimeoutMs(value: string): number | null {
  if (!/^[0-9]{1,8}[HMSmun]$/.test(value)) return null;
  return Number(value.slice(0, -1)) * (unitsMs[value.slice(-1)] ?? 0);
}

/** Writes a `grpc-timeout`, rounded up: the peer must not give up before the client does. */
export function grpcTimeout(ms: number): string {
  for (const unit of ["m", "S", "M"]) {
    const count = Math.max(1, Math.ceil(ms / (unitsMs[unit] ?? 1)));
    if (count <= maxTimeout) return `${count}${unit}`;
  }
  return `${Math.min(maxTimeout, Math.ceil(ms / 3_600_000))}H`;
}

/**
 * The HTTP status that stands for the `grpc-status` in these field lines. 200 when they have none: then the call's
 * status is yet to come.
 */
export function httpStatusOfCall(lines: string): number {
  const status = statusLinePattern.exec(lines)?.[1];
  // gRPC's clients take a number that they do not know for UNKNOWN.
  return status === undefined ? 200 : (httpStatuses[Number(status)] ?? 500);
}

/** Encodes every byte of UTF-8 except printable ASCII other than `%`. */
function percentEncoded(text: string): string {
  return text.replace(/[^ -$&-~]+/g, (part) =>
    Array.from(
      Buffer.from(part),
      (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
    ).join(""),
  );
}
