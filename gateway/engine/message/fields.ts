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

/**
 * What a field says of who is in front of the gateway.
 *
 * `written`: the gateway writes it itself. `address`, `scheme`, `port`: another word for what it knows.
 * `dropped`: a second story, which nobody needs. `other`: the trusted proxy's own word.
 */
export type ForwardingKind = "written" | "address" | "scheme" | "port" | "dropped" | "other";

const forwardingKinds: ReadonlyMap<string, ForwardingKind> = new Map([
  ["x-forwarded-for", "written"],
  ["x-forwarded-host", "written"],
  ["x-forwarded-proto", "written"],
  ["cf-connecting-ip", "address"],
  ["cf-connecting-ipv6", "address"],
  ["client-ip", "address"],
  ["cloudfront-viewer-address", "address"],
  ["fastly-client-ip", "address"],
  ["fly-client-ip", "address"],
  ["proxy-client-ip", "address"],
  ["true-client-ip", "address"],
  ["wl-proxy-client-ip", "address"],
  ["x-appengine-remote-addr", "address"],
  ["x-appengine-user-ip", "address"],
  ["x-azure-clientip", "address"],
  ["x-client-ip", "address"],
  ["x-cluster-client-ip", "address"],
  ["x-envoy-external-address", "address"],
  ["x-originating-ip", "address"],
  ["x-proxyuser-ip", "address"],
  ["x-real-ip", "address"],
  ["x-remote-addr", "address"],
  ["x-remote-ip", "address"],
  ["cloudfront-forwarded-proto", "scheme"],
  ["front-end-https", "scheme"],
  ["wl-proxy-ssl", "scheme"],
  ["x-forwarded-protocol", "scheme"],
  ["x-forwarded-scheme", "scheme"],
  ["x-forwarded-ssl", "scheme"],
  ["x-scheme", "scheme"],
  ["x-url-scheme", "scheme"],
  ["x-forwarded-port", "port"],
  ["forwarded", "dropped"],
  ["forwarded-for", "dropped"],
  ["x-forwarded", "dropped"],
  ["x-original-for", "dropped"],
  ["x-original-forwarded-for", "dropped"],
  ["x-original-proto", "dropped"],
  // CGI makes HTTP_PROXY of it, which programs take for their own way out ("httpoxy").
  ["proxy", "dropped"],
  // What whoever ended TLS says of the client's certificate (RFC 9440 has the first two).
  ["client-cert", "other"],
  ["client-cert-chain", "other"],
  ["x-client-cert", "other"],
  ["x-client-cert-fingerprint", "other"],
  ["x-client-cert-subject", "other"],
  ["cf-pseudo-ipv4", "other"],
  ["x-azure-socketip", "other"],
  // Another host, path or method than the request's own, which some origins obey.
  ["x-envoy-original-path", "other"],
  ["x-host", "other"],
  ["x-http-host-override", "other"],
  ["x-original-host", "other"],
  ["x-original-method", "other"],
  ["x-original-uri", "other"],
  ["x-original-url", "other"],
  ["x-rewrite-url", "other"],
]);

/** The kind of a field of the forwarding family, by its name in lower case; `null` for any other. */
export function forwardingKind(name: string): ForwardingKind | null {
  return forwardingKinds.get(name) ?? (name.startsWith("x-forwarded-") ? "other" : null);
}

/** Whether a handler may remove a field that the engine writes: then it is not sent at all. */
export function isRemovable(name: string): boolean {
  return forwardingKind(name) === "written";
}

const unremovable: ReadonlySet<string> = new Set([
  "content-length",
  "host",
  "transfer-encoding",
  "x-request-id",
]);

/**
 * Whether `Connection` may name a field to remove it (RFC 9110 section 7.6.1): a client must not take away
 * what routes, frames or vouches.
 */
export function isConnectionOption(name: string, owned: ReadonlySet<string>): boolean {
  return !owned.has(name) && !unremovable.has(name) && forwardingKind(name) === null;
}

/**
 * An `Upgrade` list with a protocol in it that must not be switched to through the gateway, since it
 * would hide requests from it.
 */
export const refusedUpgrades = /(?:^|,)[\t ]*(?:h2c|http\/|tls\/)/i;
