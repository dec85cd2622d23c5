/** What scripts are held to, beside memory and time: sizes, counts, and the headers that are not theirs. */
import type { SandboxLimits } from "./sandbox.ts";

export const defaultSandboxLimits = {
  memoryMb: 16,
  callTimeoutMs: 10,
  maxIsolates: 200,
} as const satisfies SandboxLimits;

/** Evaluating a script's top level may take this many times as long as a call. */
export const loadTimeoutFactor = 10;

/** Time limits are processor time. While that is not known yet, a call ends after this many times its limit on the wall. */
export const wallFactor = 10;

/** Bounds on what one call brings out. Lengths are in characters inside the isolate, bytes outside. */
export const outputLimits = {
  maxBodyBytes: 1_048_576,
  maxHeaders: 100,
  maxHeaderBytes: 8_192,
  maxTotalHeaderBytes: 32_768,
  maxLogLines: 20,
  maxLogLength: 1_000,
} as const;

/**
 * Headers that the gateway vouches for, in lower case: framing and hop-by-hop (RFC 9110 section
 * 7.6.1), and what it tells origins about the client. A script can read them but not change them;
 * `host` is changed by `request.host`.
 */
export const vouchedHeaders: readonly string[] = [
  "connection",
  "content-length",
  "expect",
  "forwarded",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "x-request-id",
];
export const vouchedPrefix = "x-forwarded-";

/** A script may remove the fields in which the gateway reports the client, but not write them. */
export function isRemovableHeader(lowerCaseName: string): boolean {
  return !isOwnHeader(lowerCaseName) || tellsOfClient(lowerCaseName);
}

function tellsOfClient(lowerCaseName: string): boolean {
  return lowerCaseName.startsWith(vouchedPrefix) || lowerCaseName === "forwarded";
}

/** True also for a name that origins may take for one of these: many read `x_forwarded_for` as `x-forwarded-for`. */
export function isVouchedHeader(lowerCaseName: string): boolean {
  return isOwnHeader(lowerCaseName.replace(/[^a-z0-9]/g, "-"));
}

function isOwnHeader(lowerCaseName: string): boolean {
  return lowerCaseName.startsWith(vouchedPrefix) || vouchedHeaders.includes(lowerCaseName);
}
