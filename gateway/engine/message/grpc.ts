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

/** Encodes every byte of UTF-8 except printable ASCII other than `%`. */
function percentEncoded(text: string): string {
  return text.replace(/[^ -$&-~]+/g, (part) =>
    Array.from(
      Buffer.from(part),
      (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
    ).join(""),
  );
}
