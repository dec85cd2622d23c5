/**
 * Why a connection to a peer could not be established: the peer's fault, or what this machine lacks; and why the
 * handshake of TLS on an established one failed.
 */
import type { PeerFailure } from "../engine.ts";

/** What this process or machine lacks when connecting fails with one of these codes. */
const ownLacks: Readonly<Record<string, string>> = {
  EMFILE: "this process has no file descriptor left (ulimit -n)",
  ENFILE: "this machine has no file descriptor left (fs.file-max)",
  ENOBUFS: "this machine has no memory left for sockets",
  ENOMEM: "this machine has no memory left for sockets",
  // Datagram sockets report it when all ports are taken.
  EADDRINUSE: "no local port is left (net.ipv4.ip_local_port_range)",
  EADDRNOTAVAIL:
    "no local port is left for another connection to it (net.ipv4.ip_local_port_range)",
};

/** What some errors of a handshake mean to somebody who wrote the upstream's document. */
const handshakeHints: Readonly<Record<string, string>> = {
  ERR_SSL_WRONG_VERSION_NUMBER: "what it answers is not TLS, so it may speak clear text",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "what it answers is not TLS, so it may speak clear text",
  ERR_SSL_HTTP_REQUEST: "what it answers is not TLS, so it may speak clear text",
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
    "it does not speak the upstream's `protocol` over TLS",
  ECONNRESET: "it closed the connection, so it may speak clear text",
};

/** What Node adds where it does not know an authority; here the upstream's document names authorities. */
const nodesAdvice = /; if the root CA .*$/;

/** Why a connection to the peer of `key` could not be established. */
export function connectFailure(
  key: string,
  error: (Error & { readonly code?: string; readonly address?: string }) | null,
): PeerFailure {
  const lack = ownLacks[error?.code ?? ""];
  // To an IPv6 address this code also means that this machine has no IPv6; then ports are not what is short.
  const isOwn = error?.code !== "EADDRNOTAVAIL" || !error.address?.includes(":");
  if (lack !== undefined && isOwn) {
    return { code: "no_resources", message: `connecting to ${key}: ${error?.code}: ${lack}` };
  }
  return { code: "connect_failed", message: `connecting to ${key}: ${error?.message ?? "closed"}` };
}

/** Why the handshake of TLS with the peer of `key` failed. */
export function handshakeFailure(
  key: string,
  error: (Error & { readonly code?: string; readonly reason?: unknown }) | null,
): PeerFailure {
  const hint = handshakeHints[error?.code ?? ""];
  // OpenSSL's `message` begins with numbers and ends with a file of its sources; `reason` is the clause for people.
  const message = (error?.message ?? "closed").replace(nodesAdvice, "");
  const said = typeof error?.reason === "string" ? error.reason : message;
  const why = hint === undefined ? said : `${said}: ${hint}`;
  return {
    code: "tls_failed",
    message: `the TLS handshake with ${key} failed: ${why} (see the upstream's \`tls\`)`,
  };
}
