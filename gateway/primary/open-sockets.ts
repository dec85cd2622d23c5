/** Sockets that the primary binds while workers run, in the form that workers can be sent. */
import type { SendHandle } from "node:child_process";
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { BoundSocket, isIP, Socket } from "node:net";
import { stopReceiving } from "../engine/listening/datagram-socket.ts";
import type { ListenerSettings } from "../settings-listeners.ts";
import type { Address } from "../settings-values.ts";

/** A socket, or several of one address. */
export interface OpenSockets {
  readonly port: number;
  /** For the worker in this place, counted from 1. */
  handleFor(slot: number): SendHandle;
  close(): void;
}

/** A listener for datagrams, with its sockets. */
export interface OpenDatagrams extends ListenerSettings {
  readonly sockets: OpenSockets;
}

/** Throws the system's error (`EADDRINUSE`, `EACCES`...). */
export function openTcp({ host, port }: Address): OpenSockets {
  const bound = new BoundSocket({ host, port });
  const { port: given } = bound.address();
  // It takes the handle over, and is nothing else; the types of Node leave out what its page of `net` names.
  const carrier = new Socket({ handle: bound }) as Socket & { readonly _handle: SendHandle };
  return { port: given, handleFor: () => carrier._handle, close: () => void carrier.destroy() };
}

/**
 * A socket for each worker: the kernel sends all datagrams from one address and port to one of them, and the same one for
 * as long as there are as many, whatever becomes of the worker behind it. Throws as `openTcp`.
 */
export function openUdp({ host, port }: Address, workers: number): OpenSockets {
  const type = isIP(host) === 6 ? "udp6" : "udp4";
  // First without the option that lets several sockets share the address, to find out whether somebody else has
  // it.
  const probe = createSocket({ type });
  let given: number;
  try {
    given = bind(probe, host, port);
  } finally {
    probe.close();
  }
  const sockets = Array.from({ length: workers }, () => createSocket({ type, reusePort: true }));
  try {
    for (const socket of sockets) {
      bind(socket, host, given);
      stopReceiving(socket);
    }
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw error;
  }
  return {
    port: given,
    handleFor: (slot) => sockets[(slot - 1) % workers],
    close: () => {
      for (const socket of sockets) socket.close();
    },
  };
}

/** Gives the port. */
function bind(socket: DatagramSocket, address: string, port: number): number {
  // Errors are thrown; an `error` event besides would end the process.
  socket.on("error", () => {});
  return socket.bindSync({ address, port }).port;
}
