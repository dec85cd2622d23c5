/** What a client may do on one connection of HTTP/2. */
import type { EngineLimits } from "../../engine.ts";
import type { ConnectionOptions } from "../../http2/connection.ts";
import { initialWindowBytes } from "../../http2/frames.ts";
import type { WriteTurn } from "../../http2/write-turn.ts";
import type { ClientHost } from "../session.ts";

/**
 * How much a client may send on all streams of a connection before it is read. One stream has the protocol's 65535
 * bytes.
 */
const connectionWindowBytes = 524_288;
/** Method, scheme, authority and path. Clients also send one cookie as several fields, which needs room too. */
const maxPseudoFields = 4;
/** What RFC 9113 section 6.5.2 counts for a field in addition to its name and value. */
const fieldOverheadBytes = 32;

/** `isEncrypted`: over TLS. */
export function connectionOptions(
  { clock, limits }: ClientHost,
  turn: WriteTurn,
  isEncrypted: boolean,
): ConnectionOptions {
  return {
    ...{ role: "server", clock, turn, ...headBounds(limits) },
    maxStreams: limits.maxStreams,
    streamWindowBytes: initialWindowBytes,
    connectionWindowBytes,
    withholds: true,
    isEncrypted,
  };
}

/** Twice what is allowed: up to here the client gets a 431, and beyond it the stream is reset. */
function headBounds(limits: EngineLimits): Pick<ConnectionOptions, "maxListBytes" | "maxFields"> {
  const maxFields = 2 * (limits.maxHeaders + maxPseudoFields);
  return { maxListBytes: 2 * limits.maxHeadBytes + fieldOverheadBytes * maxFields, maxFields };
}
