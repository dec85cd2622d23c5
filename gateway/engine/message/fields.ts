/** Which header fields belong to an engine, and not to a handler or a client. */

/** Request fields that the engine writes itself, or that end at each hop (RFC 9110 section 7.6.1). */
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
/** The same for answers. */
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
 * What a field says about the way from the client to the gateway.
 *
 * `written`: the gateway writes it itself. `address`, `scheme`, `port`: another name for something that the gateway
 * knows. `dropped`: a second account, which nobody needs. `other`: only a trusted proxy may say it.
 */
export type ForwardingKind = "written" | "address" | "scheme" | "port" | "dropped" | "other";

export const forwardingKinds: ReadonlyMap<string, ForwardingKind> = new Map([
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
  // CGI turns it into HTTP_PROXY, which programs take for the proxy that they should use ("httpoxy").
  ["proxy", "dropped"],
  // What the proxy that ended TLS says about the client's certificate (RFC 9440 defines the first two).
  ["client-cert", "other"],
  ["client-cert-chain", "other"],
  ["x-client-cert", "other"],
  ["x-client-cert-fingerprint", "other"],
  ["x-client-cert-subject", "other"],
  ["cf-pseudo-ipv4", "other"],
  ["x-azure-socketip", "other"],
  // A host, path or method that differs from the request's own, and that some origins obey.
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

/** Whether a handler may remove a field that the engine writes, so that it is not sent at all. */
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
 * Whether `Connection` may name a field in order to remove it (RFC 9110 section 7.6.1). A client must not take away
 * what routes, frames or vouches.
 */
export function isConnectionOption(name: string, owned: ReadonlySet<string>): boolean {
  return !owned.has(name) && !unremovable.has(name) && forwardingKind(name) === null;
}

/**
 * Matches an `Upgrade` list with a protocol that would hide requests from the gateway, and so must not be switched
 * to.
 */
export const refusedUpgrades = /(?:^|,)[\t ]*(?:h2c|http\/|tls\/)/i;
