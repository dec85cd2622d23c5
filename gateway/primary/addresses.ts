/** The addresses of the gateway: whether they can be bound, and one line that says why not. */
import { lookup } from "node:dns/promises";
import { BoundSocket } from "node:net";
import type { FastifyInstance } from "fastify";
import { type Address, formatAddress } from "../settings-values.ts";

interface SocketError {
  readonly code?: string | undefined;
  readonly message: string;
}

/** Why the gateway cannot start, in one line for the operator. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/**
 * Binds the address that workers accept on, without accepting: connections are refused until the first
 * worker listens. Throws a `StartError`.
 */
export async function bindSocket(http: Address): Promise<BoundSocket> {
  try {
    const { address } = await lookup(http.host);
    return new BoundSocket({ host: address, port: http.port });
  } catch (error) {
    throw new StartError(cannotListen("--http", http, error as NodeJS.ErrnoException));
  }
}

/** Returns the address with the port that was bound. Throws a `StartError`. */
export async function listenAdmin(admin: FastifyInstance, wanted: Address): Promise<Address> {
  try {
    await admin.listen({ host: wanted.host, port: wanted.port });
  } catch (error) {
    throw new StartError(cannotListen("--admin", wanted, error as NodeJS.ErrnoException));
  }
  const bound = admin.server.address();
  const isTcp = bound !== null && typeof bound === "object";
  return { host: wanted.host, port: isTcp ? bound.port : wanted.port };
}

/** In one line for the operator. */
export function cannotListen(flag: string, address: Address, error: SocketError): string {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "another process listens there already",
    EACCES: "this user may not listen there",
    EADDRNOTAVAIL: "this machine does not have that address",
    ENOTFOUND: "no address has that name",
  };
  const reason = reasons[error.code ?? ""] ?? error.message;
  return `${flag} ${formatAddress(address)}: ${reason}`;
}
