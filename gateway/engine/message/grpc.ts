/**
 * Calls of gRPC as the gateway's own failures concern them: a client of gRPC looks for the status in a field, and is told
 * it there (gRPC over HTTP/2, "Responses"; "HTTP to gRPC Status Code Mapping").
 */
import type { Answer } from "../engine.ts";

/** gRPC's numbers for what the gateway says. Everything else is UNKNOWN. */
const statuses: Readonly<Record<number, number>> = {
  // INTERNAL: what is wrong was made on the way.
  400: 13,
  // UNAUTHENTICATED and PERMISSION_DENIED.
  401: 16,
  403: 7,
  // UNIMPLEMENTED: there is no such service here.
  404: 12,
  // CANCELLED: the client did not go on.
  408: 1,
  // RESOURCE_EXHAUSTED: too large or too much. A call that may be tried again later is UNAVAILABLE.
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

/** Whether a request with this `Content-Type` is a call. */
export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?:[+;]|$)/i.test(contentType);
}

/** The answer to a call that failed with an HTTP status of the gateway's. */
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

/** Printable ASCII but `%` stands for itself; every other byte of UTF-8 is encoded. */
function percentEncoded(text: string): string {
  return text.replace(/[^ -$&-~]+/g, (part) =>
    Array.from(
      Buffer.from(part),
      (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
    ).join(""),
  );
}
