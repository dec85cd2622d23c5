/**
 * Handles of bound sockets that can be sent to a process beside a message. Node sends sockets that listen here
 * or are connected. These do neither, so they are sent as handles.
 */
import type { SendHandle } from "node:child_process";
import { Socket } from "node:net";
import type { ListeningSocket } from "./held-sockets.ts";

/** A socket by its descriptor: `_handle` is what `server.listen` and `child.send` take (Node's page of `net`). */
type Carrier = Socket & { readonly _handle: SendHandle };

export class ListeningHandles {
  /** Kept: when such a handle is closed, so is the descriptor, which is the bound socket's. */
  readonly #carriers = new Map<ListeningSocket, Carrier>();

  /** What another process needs to listen on the socket; stays good as long as the socket is bound. */
  handleOf(socket: ListeningSocket): SendHandle {
    let carrier = this.#carriers.get(socket);
    if (carrier === undefined) {
      // Never read or written here; only its handle matters.
      const options = { fd: socket.fd(), readable: false, writable: false };
      // The types of Node leave out what its page names.
      carrier = new Socket(options) as Carrier;
      this.#carriers.set(socket, carrier);
    }
    return carrier._handle;
  }
}
