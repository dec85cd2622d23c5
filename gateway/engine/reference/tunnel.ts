/** An upgraded connection: bytes both ways, held back where one side is slower than the other. */
import type { Socket } from "node:net";

export interface TunnelEvents {
  onBytes(fromClient: boolean, count: number): void;
  /** Called once: the peer's side is closed. */
  onClosed(): void;
}

export class Tunnel {
  readonly #client: Socket;
  readonly #peer: Socket;
  readonly #events: TunnelEvents;
  #isClosed = false;

  constructor(client: Socket, peer: Socket, events: TunnelEvents) {
    this.#client = client;
    this.#peer = peer;
    this.#events = events;
  }

  /** Writes the head of the answer, and what came ahead on either side; then everything goes through. */
  begin(head: string, fromClient: Buffer, fromPeer: Buffer): void {
    const client = this.#client;
    const peer = this.#peer;
    // A socket's error is always followed by its close.
    peer.on("error", () => {});
    peer.on("close", () => this.#onClosed());
    client.write(head, "latin1");
    this.#join(peer, client, false);
    this.#join(client, peer, true);
    if (fromPeer.length > 0) peer.unshift(fromPeer);
    if (fromClient.length > 0) client.unshift(fromClient);
    peer.resume();
    client.resume();
    if (peer.destroyed) this.#onClosed();
  }

  close(): void {
    this.#peer.destroy();
    this.#client.destroySoon();
  }

  #join(from: Socket, to: Socket, isClient: boolean): void {
    from.on("data", (piece: Buffer) => {
      this.#events.onBytes(isClient, piece.length);
      if (!to.write(piece)) from.pause();
    });
    to.on("drain", () => from.resume());
    from.on("end", () => to.end());
  }

  #onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#client.end();
    this.#events.onClosed();
  }
}
