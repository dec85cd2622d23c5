/** What a client may do on one connection, as nghttp2 and Node enforce it. */
import type { ServerSessionOptions } from "node:http2";
import type { EngineLimits } from "../../engine.ts";

/** Frames that break a rule without being an error, and empty ones. */
const maxInvalidFrames = 100;
/** Method, scheme, authority and path; and one cookie is mostly sent as several fields. */
const maxPseudoFields = 4;
/** What RFC 9113 section 6.5.2 counts for a field beyond its name and value. */
const fieldOverheadBytes = 32;

export function sessionOptions(limits: EngineLimits): ServerSessionOptions {
  // Twice what is allowed: up to there a client is answered with 431, beyond it the stream is reset.
  const maxFields = 2 * (limits.maxHeaders + maxPseudoFields);
  return {
    settings: {
      maxConcurrentStreams: limits.maxStreams,
      maxHeaderListSize: 2 * limits.maxHeadBytes + fieldOverheadBytes * maxFields,
    },
    maxHeaderListPairs: maxFields,
    maxSendHeaderBlockLength: 2 * limits.maxHeadBytes,
    maxSessionInvalidFrames: maxInvalidFrames,
    // An origin's answer may repeat a field; it is passed on as it is over HTTP/1 too.
    strictSingleValueFields: false,
  };
}
