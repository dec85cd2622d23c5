/** What a client may do on one connection, as nghttp2 and Node enforce it. */
import type { ServerSessionOptions } from "node:http2";
import type { EngineLimits } from "../../engine.ts";

/** How many frames may break a rule without being an error, or be empty. */
const maxInvalidFrames = 100;
/** Method, scheme, authority and path. Clients also send one cookie as several fields, which needs room too. */
const maxPseudoFields = 4;
/** What RFC 9113 section 6.5.2 counts for a field in addition to its name and value. */
const fieldOverheadBytes = 32;

export function sessionOptions(limits: EngineLimits): ServerSessionOptions {
  // Twice what is allowed: up to here the client gets a 431, and beyond it nghttp2 resets the stream.
  const maxFields = 2 * (limits.maxHeaders + maxPseudoFields);
  return {
    settings: {
      maxConcurrentStreams: limits.maxStreams,
      maxHeaderListSize: 2 * limits.maxHeadBytes + fieldOverheadBytes * maxFields,
    },
    maxHeaderListPairs: maxFields,
    maxSendHeaderBlockLength: 2 * limits.maxHeadBytes,
    maxSessionInvalidFrames: maxInvalidFrames,
    // An origin's answer may repeat a field, and is passed on unchanged, as over HTTP/1.
    strictSingleValueFields: false,
  };
}
