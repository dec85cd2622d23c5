/** The listening sockets of an engine. Both engines accept through it, so that they accept alike. */
import {
  type AddressInfo,
  createServer,
  type ListenOptions,
  type Server,
  type Socket,
} from "node:net";
import type { Inherited } from "./engine.ts";

export interface AcceptorOptions {
  /** `listener`: the number that `listen` was given. */
  readonly onConnection: (socket: Socket, listener: number) => void;
  /** Accepting failed (`EMFILE`...); it goes on. */
  readonly onError: (error: unknown) => void;
}

export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #servers: Server[] = [];

  constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  /** Starts to accept. Rejects with the socket's error (`EADDRINUSE`...); then nothing is left open. */
  async listen(where: ListenOptions | Inherited, listener = 0): Promise<AddressInfo> {
    if (!("descriptors" in where)) return this.#open(listener, (server) => server.listen(where));
    const addresses: AddressInfo[] = [];
    for (const fd of where.descriptors) {
      addresses.push(await this.#open(listener, (server) => server.listen({ fd }, where.backlog)));
    }
    const [address] = addresses;
    if (address === undefined) throw new Error("no descriptor to listen on");
    return address;
  }

  /** Stops accepting; connections that were accepted stay. */
  close(): void {
    for (const server of this.#servers) server.close();
  }

  #open(listener: number, listen: (server: Server) => void): Promise<AddressInfo> {
    const { onConnection, onError } = this.#options;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      onConnection(socket, listener),
    );
    return new Promise((resolve, reject) => {
      server.once("error", (error) => {
        this.close();
        reject(error);
      });
      server.once("listening", () => {
        server.removeAllListeners("error");
        server.on("error", onError);
        this.#servers.push(server);
        const address = server.address();
        if (address === null || typeof address === "string") reject(new Error("not a TCP address"));
        else resolve(address);
      });
      listen(server);
    });
  }
}
