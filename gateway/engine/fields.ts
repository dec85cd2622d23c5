/** Which header fields belong to an engine, not to a handler or a client. */

/** Fields of a request that the engine writes by itself or that end at each hop (RFC 9110 section 7.6.1). */
export const requestOwned: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-request-id",
]);
/** The same of an answer. */
export const responseOwned: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Fields that `Connection` cannot remove, whatever it names (RFC 9110 section 7.6.1). */
export const unremovable: ReadonlySet<string> = new Set([
  "content-length",
  "host",
  "transfer-encoding",
  "x-request-id",
]);

/**
 * An `Upgrade` list with a protocol in it that must not be switched to through the gateway, since it
 * would hide requests from it.
 */
export const refusedUpgrades = /(?:^|,)[\t ]*(?:h2c|http\/|tls\/)/i;
