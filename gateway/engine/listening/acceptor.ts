/**
 * The listening sockets of an engine. Both engines use it, so that they accept alike, and stop accepting alike before
 * the process runs out of descriptors.
 */
import {
  type AddressInfo,
  createServer,
  type ListenOptions,
  type Server,
  type Socket,
} from "node:net";
import type { Descriptors, Inherited, Reopened } from "../engine.ts";

export interface AcceptorOptions {
  /** `listener`: the number that `listen` was given. */
  readonly onConnection: (socket: Socket, listener: number) => void;
  /** Accepting failed (`EMFILE`...); the engine goes on accepting. */
  readonly onError: (error: unknown) => void;
  /** Default: there is no limit. */
  readonly descriptors?: Descriptors | undefined;
  /** How many connections clients have now. */
  readonly clients: () => number;
  /** How many connections to peers there are now. */
  readonly peers: () => number;
  /** Closes the connections to peers that no request uses. */
  readonly dropIdlePeers: () => void;
}

interface Listening {
  readonly server: Server;
  readonly listener: number;
  /** Whether another process holds the socket too, so that closing it here loses no connection. */
  readonly isShared: boolean;
}

/** After so long without an answer, the engine asks for a socket again. */
const reopenMs = 5_000;
const notAsked = Number.NEGATIVE_INFINITY;

export class Acceptor {
  readonly #options: AcceptorOptions;
  #open: Listening[] = [];
  /** Listeners that wait for room, and when each last asked for its socket. */
  readonly #waiting = new Map<number, number>();
  #isClosed = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  /** How many descriptors it listens on. */
  get size(): number {
    return this.#open.length;
  }

  /** Starts to accept. Rejects with the socket's error (`EADDRINUSE`...); then nothing is left open. */
  async listen(where: ListenOptions | Inherited | Reopened, listener = 0): Promise<AddressInfo> {
    if ("handle" in where) {
      const { handle, backlog } = where;
      // One request may bring several sockets; one that comes after a further pause is too late.
      if (this.#waiting.get(listener) !== notAsked) this.#waiting.delete(listener);
      return this.#start(listener, true, (server) => server.listen({ _handle: handle }, backlog));
    }
    try {
      return await this.#listenFirst(where, listener);
    } catch (error) {
      this.#closeAll();
      throw error;
    }
  }

  /** Stops accepting on one listener; accepted connections stay. */
  closeListener(listener: number): void {
    this.#waiting.delete(listener);
    for (const one of this.#open) if (one.listener === listener) one.server.close();
    this.#open = this.#open.filter((one) => one.listener !== listener);
  }

  /** Stops accepting; accepted connections stay. */
  close(): void {
    this.#isClosed = true;
    this.#closeAll();
  }

  /**
   * Stops accepting when clients have all the descriptors that they may have, and asks for the sockets again when
   * there is room. `now` is the engine's clock. Accepting without a free descriptor would close the connection: libuv
   * does so because the kernel would otherwise report it for ever.
   */
  settle(now: number): void {
    const { descriptors } = this.#options;
    if (descriptors === undefined || this.#isClosed) return;
    if (this.#waiting.size === 0) {
      if (this.#open.some(({ isShared }) => isShared) && !this.#hasRoom(descriptors.most, 0)) {
        this.#pause(descriptors);
      }
      return;
    }
    // Waits for some room; otherwise each connection that ends would open and close the sockets again.
    if (!this.#hasRoom(descriptors.most, Math.ceil(descriptors.most / 32))) {
      // Clients wait in the queue, which is worse than connecting to a peer anew.
      this.#options.dropIdlePeers();
      return;
    }
    for (const [listener, askedAt] of this.#waiting) {
      if (now - askedAt < reopenMs) continue;
      this.#waiting.set(listener, now);
      descriptors.reopen(listener);
    }
  }

  async #listenFirst(where: ListenOptions | Inherited, listener: number): Promise<AddressInfo> {
    if (!("descriptors" in where)) {
      return this.#start(listener, false, (server) => server.listen(where));
    }
    const addresses: AddressInfo[] = [];
    for (const fd of where.descriptors) {
      const start = (server: Server) => server.listen({ fd }, where.backlog);
      addresses.push(await this.#start(listener, true, start));
    }
    const [address] = addresses;
    if (address === undefined) throw new Error("no descriptor to listen on");
    return address;
  }

  #closeAll(): void {
    for (const { server } of this.#open) server.close();
    this.#open = [];
    this.#waiting.clear();
  }

  /** Clients get half, since each of them may need a connection to a peer. `margin` more must be free on top. */
  #hasRoom(most: number, margin: number): boolean {
    const clients = this.#options.clients() + margin;
    return clients < most / 2 && clients + this.#options.peers() + margin < most;
  }

  #pause({ most, onPause }: Descriptors): void {
    for (const { server, listener, isShared } of this.#open) {
      if (!isShared) continue;
      server.close();
      this.#waiting.set(listener, notAsked);
    }
    this.#open = this.#open.filter(({ isShared }) => !isShared);
    onPause(most);
  }

  #start(
    listener: number,
    isShared: boolean,
    listen: (server: Server) => void,
  ): Promise<AddressInfo> {
    const { onConnection, onError } = this.#options;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      onConnection(socket, listener),
    );
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.once("listening", () => {
        server.removeAllListeners("error");
        server.on("error", onError);
        const address = server.address();
        if (this.#isClosed || this.#waiting.has(listener)) server.close();
        else this.#open.push({ server, listener, isShared });
        if (address === null || typeof address === "string") reject(new Error("not a TCP address"));
        else resolve(address);
      });
      listen(server);
    });
  }
}
