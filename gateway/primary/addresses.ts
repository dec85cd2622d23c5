/** The addresses of the gateway: whether they can be bound, and one line that says why not. */
import { lookup } from "node:dns/promises";
import { BoundSocket, isIP } from "node:net";
import { hostname } from "node:os";
import type { FastifyInstance } from "fastify";
import { isLoopback } from "../foreign-requests.ts";
import type { Settings } from "../settings.ts";
import { type Address, formatAddress } from "../settings-values.ts";
import type { Exposure } from "../state/index.ts";
import type { AdminAccess } from "./admin/access.ts";

interface SocketError {
  readonly code?: string | undefined;
  readonly message: string;
}

/** Why the gateway cannot start, in one line for the operator. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** An address that workers accept on. */
export interface Listener {
  /** Of the setting that names it. */
  readonly flag: string;
  readonly address: Address;
  readonly exposes: Exposure;
}

export interface BoundListener extends Listener {
  readonly socket: BoundSocket;
}

/**
 * Binds the addresses that workers accept on, without accepting: connections are refused until the first
 * worker listens. Throws a `StartError`; then none is left bound.
 */
export async function bindListeners(
  listeners: readonly Listener[],
): Promise<readonly BoundListener[]> {
  const bound: BoundListener[] = [];
  for (const listener of listeners) {
    const { flag, address: wanted } = listener;
    try {
      const { address } = await lookup(wanted.host);
      const socket = new BoundSocket({ host: address, port: wanted.port });
      bound.push({ ...listener, socket });
    } catch (error) {
      closeListeners(bound);
      throw new StartError(cannotListen(flag, wanted, error as NodeJS.ErrnoException));
    }
  }
  return bound;
}

/** Workers close theirs as they drain; a connection after that is refused. */
export function closeListeners(listeners: readonly BoundListener[]): void {
  for (const { socket } of listeners) socket.close();
}

export interface AdminPlace {
  /** As the operator wrote it. */
  readonly wanted: Address;
  /** The IP address that its host stands for. */
  readonly host: string;
  /** Other machines reach it. */
  readonly isExposed: boolean;
  /** What it is called beside its address. */
  readonly names: readonly string[];
}

/**
 * Where the admin API is to listen. Throws a `StartError` when other machines would reach it and nobody
 * said what they must show.
 */
export async function adminPlace(wanted: Address, access: AdminAccess): Promise<AdminPlace> {
  const { address: host } = await lookup(wanted.host).catch((error: unknown) => {
    throw new StartError(cannotListen("--admin", wanted, error as NodeJS.ErrnoException));
  });
  const isExposed = !isLoopback(host);
  if (isExposed && !access.isGiven && !access.tls?.clientCa) {
    throw new StartError(
      `--admin ${formatAddress(wanted)}: other machines reach this address; give a token (--admin-token-file, SLUICE_ADMIN_TOKEN), ask for client certificates (--admin-client-ca), or listen on 127.0.0.1`,
    );
  }
  const names = isIP(wanted.host) === 0 ? [wanted.host] : [];
  return { wanted, host, isExposed, names: isExposed ? [...names, hostname()] : names };
}

/** Returns the address with the port that was bound. Throws a `StartError`. */
export async function listenAdmin(
  admin: FastifyInstance,
  { wanted, host }: AdminPlace,
): Promise<Address> {
  try {
    await admin.listen({ host, port: wanted.port });
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

/** Those that the settings name; the first is `--http`. */
export function listenersOf({ http, expose, internal }: Settings): readonly Listener[] {
  const edge: Listener = { flag: "--http", address: http, exposes: expose };
  if (internal === null) return [edge];
  return [edge, { flag: "--internal", address: internal, exposes: "all" }];
}
