/**
 * Sockets that a supervisor holds and hands to each gateway that it starts, as systemd does for a `.socket` unit. They outlive
 * the gateway, and with them the connections that wait to be accepted.
 *
 * Source: systemd's manual page sd_listen_fds(3).
 */
import { readlinkSync } from "node:fs";
import { Socket } from "node:net";

/** A socket that workers accept from, whoever has bound it. */
export interface ListeningSocket {
  /** The descriptor in this process. */
  fd(): number;
  address(): { readonly port: number };
  close(): void;
}

export interface HeldSocket {
  /** In `LISTEN_FDNAMES`; `null`: it has none that says which listener it is for. */
  readonly name: string | null;
  readonly socket: ListeningSocket;
}

const firstDescriptor = 3;
const mostSockets = 64;
const variables = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] as const;

/**
 * What this process was handed, in its order. Takes the variables away, which are for this process alone. Throws an `Error` for
 * what is no socket.
 */
export function takeHeldSockets(env: NodeJS.ProcessEnv, pid: number): readonly HeldSocket[] {
  const [forPid, count = "", names = ""] = variables.map((variable) => env[variable]);
  for (const variable of variables) delete env[variable];
  if (forPid === undefined || Number(forPid) !== pid) return [];
  const sockets = /^\d{1,2}$/.test(count) ? Number(count) : Number.NaN;
  if (!(sockets <= mostSockets))
    throw new Error(`LISTEN_FDS: ${JSON.stringify(count)} is no number of sockets`);
  const named = names.split(":");
  return Array.from({ length: sockets }, (_, at) => {
    const descriptor = firstDescriptor + at;
    identify(descriptor);
    return { name: named[at] || null, socket: heldSocket(descriptor) };
  });
}

function heldSocket(descriptor: number): ListeningSocket {
  // Neither read nor written here; it is asked for its address, and closes the descriptor.
  const carrier = new Socket({ fd: descriptor, readable: false, writable: false });
  const bound = carrier.address();
  if (!("port" in bound)) throw new Error(`descriptor ${descriptor} is no socket of TCP`);
  const { port } = bound;
  return { fd: () => descriptor, address: () => ({ port }), close: () => void carrier.destroy() };
}

/**
 * What is the same for a socket in every process that has it, and in no other socket of the machine. Throws for a descriptor
 * that is no socket.
 */
export function identify(descriptor: number): string {
  const link = readlinkSync(`/proc/self/fd/${descriptor}`);
  const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
  if (inode === undefined) throw new Error(`descriptor ${descriptor} is ${link} and no socket`);
  return inode;
}
