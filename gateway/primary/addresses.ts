/** The addresses of the gateway: whether they can be bound, and one line that says why not. */
import { lookup } from "node:dns/promises";
import { BoundSocket, isIP } from "node:net";
import { hostname } from "node:os";
import type { FastifyInstance } from "fastify";
import { isLoopback } from "../foreign-requests.ts";
import type { ListenerSettings } from "../settings-listeners.ts";
import { type Address, formatAddress } from "../settings-values.ts";
import type { AdminAccess } from "./admin/access.ts";
import type { HeldSocket, ListeningSocket } from "./held-sockets.ts";
import { type OpenDatagrams, openUdp } from "./open-sockets.ts";

interface SocketError {
  readonly code?: string | undefined;
  readonly message: string;
}

/** Why the gateway cannot start, in one line for the operator. */
export class StartError extends Error {
  override readonly name = "StartError";
}

export interface BoundListener extends ListenerSettings {
  readonly socket: ListeningSocket;
  /** A supervisor holds it, so it outlives this gateway. */
  readonly isHeld: boolean;
}

/** A setting, and the address that it names. */
interface Place {
  readonly flag: string;
  readonly address: Address;
}

/**
 * Throws a `StartError` for two settings that want the same port of the same address. Sockets that do not
 * listen yet may share it, so the system would complain later, and blame another process.
 */
export async function refuseSharedAddresses(places: readonly Place[]): Promise<void> {
  const before: { readonly flag: string; readonly host: string; readonly port: number }[] = [];
  for (const { flag, address } of places) {
    const { address: host } = await lookup(address.host).catch((error: unknown) => {
      throw new StartError(`${flag} ${cannotListen(address, error as NodeJS.ErrnoException)}`);
    });
    const { port } = address;
    const other = before.find((one) => one.port === port && port !== 0 && overlap(one.host, host));
    if (other !== undefined) {
      throw new StartError(
        `${flag} ${formatAddress(address)}: ${other.flag} listens there; name another address`,
      );
    }
    before.push({ flag, host, port });
  }
}

/** Whether two IP addresses collide: the one that stands for all of them collides with every other. */
export function overlap(one: string, other: string): boolean {
  if (one === other || one === "::" || other === "::") return true;
  return isIP(one) === isIP(other) && (one === "0.0.0.0" || other === "0.0.0.0");
}

/**
 * Binds the addresses that workers accept on, without accepting: connections are refused until the first
 * worker listens. Throws a `StartError`; then none is left bound.
 */
export async function bindListeners(
  listeners: readonly ListenerSettings[],
  heldSockets: readonly HeldSocket[],
): Promise<readonly BoundListener[]> {
  const bound: BoundListener[] = [];
  const held = assign(listeners, heldSockets);
  for (const listener of listeners) {
    const { flag, address: wanted } = listener;
    try {
      const given = held.get(listener);
      if (given !== undefined) {
        bound.push({ ...listener, socket: given, isHeld: true });
        continue;
      }
      const { address } = await lookup(wanted.host);
      const socket = new BoundSocket({ host: address, port: wanted.port });
      bound.push({ ...listener, socket, isHeld: false });
    } catch (error) {
      closeListeners(bound);
      throw new StartError(`${flag} ${cannotListen(wanted, error as NodeJS.ErrnoException)}`);
    }
  }
  return bound;
}

/** Binds the addresses for datagrams, with a socket for each worker. Throws as `bindListeners`. */
export async function openDatagrams(
  listeners: readonly ListenerSettings[],
  workers: number,
): Promise<readonly OpenDatagrams[]> {
  const open: OpenDatagrams[] = [];
  for (const listener of listeners) {
    const { flag, address: wanted } = listener;
    try {
      const { address: host } = await lookup(wanted.host);
      open.push({ ...listener, sockets: openUdp({ host, port: wanted.port }, workers) });
    } catch (error) {
      for (const { sockets } of open) sockets.close();
      throw new StartError(`${flag} ${cannotListen(wanted, error as NodeJS.ErrnoException)}`);
    }
  }
  return open;
}

/** Which listener each socket is for: the one of its name, or else the next that has none. */
function assign(
  listeners: readonly ListenerSettings[],
  sockets: readonly HeldSocket[],
): ReadonlyMap<ListenerSettings, ListeningSocket> {
  const assigned = new Map<ListenerSettings, ListeningSocket>();
  const named = (socket: HeldSocket) => listeners.find(({ name }) => name === socket.name);
  for (const one of sockets) {
    const listener = named(one);
    if (listener !== undefined) assigned.set(listener, one.socket);
  }
  for (const one of sockets) {
    if (named(one) !== undefined) continue;
    const listener = listeners.find((other) => !assigned.has(other));
    if (listener === undefined) {
      const names = listeners.map(({ name }) => name).join(", ");
      throw new StartError(
        `LISTEN_FDS: there are ${sockets.length} sockets for the listeners ${names}`,
      );
    }
    assigned.set(listener, one.socket);
  }
  return assigned;
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
 * Where the admin API is to listen. Throws a `StartError` when other machines would reach it and no setting
 * says what they must show.
 */
export async function adminPlace(wanted: Address, access: AdminAccess): Promise<AdminPlace> {
  const { address: host } = await lookup(wanted.host).catch((error: unknown) => {
    throw new StartError(`--admin ${cannotListen(wanted, error as NodeJS.ErrnoException)}`);
  });
  const isExposed = !isLoopback(host);
  if (isExposed && !access.isGiven && !access.tls?.clientCa) {
    throw new StartError(
      `--admin ${formatAddress(wanted)}: other machines reach this address; give a token (--admin-token-file, SLUICE_ADMIN_TOKEN), ask for client certificates (--admin-client-ca), or listen on 127.0.0.1`,
    );
  }
  if (isExposed && access.openWrites) {
    throw new StartError(
      `--admin-open: other machines reach --admin ${formatAddress(wanted)}, and everybody could write; listen on 127.0.0.1, or leave it out`,
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
    throw new StartError(`--admin ${cannotListen(wanted, error as NodeJS.ErrnoException)}`);
  }
  const bound = admin.server.address();
  const isTcp = bound !== null && typeof bound === "object";
  return { host: wanted.host, port: isTcp ? bound.port : wanted.port };
}

/** In one line for the operator. */
export function cannotListen(address: Address, error: SocketError): string {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "another process listens there already; end it, or name another address",
    EACCES: "this user may not listen there; name a port from 1024 on, or give it the right",
    EADDRNOTAVAIL:
      "this machine does not have that address; name one of its own, or 0.0.0.0 for all",
    ENOTFOUND: "no address has that name",
  };
  const reason = reasons[error.code ?? ""] ?? error.message;
  return `${formatAddress(address)}: ${reason}`;
}
