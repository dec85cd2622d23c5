/**
 * How a gateway that serves tells the workers of a previous one that they are no longer needed: a socket in
 * Linux's abstract namespace, named after the sockets that both accept from. It exists as long as the gateway
 * does, and leaves no file.
 */
import { createServer, type Server } from "node:net";
import type { Log } from "../observability/logger.ts";
import type { ListeningSocket } from "./held-sockets.ts";
import { identify } from "./held-sockets.ts";

/** The name for a gateway whose sockets a supervisor holds; `socket`: the first of them. */
export function successionName(socket: ListeningSocket): string {
  return `\0sluice-serves-${identify(socket.fd())}`;
}

export class Succession {
  readonly #name: string;
  readonly #log: Log;
  #server: Server | null = null;

  constructor(name: string, log: Log) {
    this.#name = name;
    this.#log = log;
  }

  /** This gateway serves from now on: a connection to the socket is the answer. */
  announce(): void {
    if (this.#server !== null) return;
    const server = createServer((socket) => socket.destroy());
    this.#server = server;
    server.unref();
    server.on("error", (error) => {
      const reason = error.message;
      this.#log.warn(
        { reason },
        `workers of a gateway before this one are not told to end: ${reason}`,
      );
    });
    server.listen(this.#name);
  }

  stop(): void {
    this.#server?.close();
    this.#server = null;
  }
}
