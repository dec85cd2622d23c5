/** Why a connection to a peer could not be established: the peer's fault, or what this machine lacks. */
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
