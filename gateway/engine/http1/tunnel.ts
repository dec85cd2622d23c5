/**
 * An upgraded connection: bytes both ways, held back where one side is slower than the other. The
 * exchange counts them and ends with it; the deadline is the client connection's.
 */
import type { ClientConnection } from "../downstream/http1/client-connection.ts";
import type { PeerConnection } from "../upstream/http1/peer-connection.ts";

/** Body bytes of an exchange, as its record has them. */
interface Count {
  bytesIn: number;
  bytesOut: number;
}

export class Tunnel<C> {
  readonly #client: ClientConnection<C>;
  readonly #peer: PeerConnection<C>;
  readonly #count: Count;

  constructor(client: ClientConnection<C>, peer: PeerConnection<C>, count: Count) {
    this.#client = client;
    this.#peer = peer;
    this.#count = count;
  }

  /** False: wait for `onPeerDrain`. */
  sendToPeer(bytes: Buffer): boolean {
    this.#count.bytesIn += bytes.length;
    return this.#peer.sendRaw(bytes);
  }

  /** The client sends nothing more. */
  endToPeer(): void {
    this.#peer.endRaw();
  }

  sendToClient(bytes: Buffer): void {
    this.#count.bytesOut += bytes.length;
    this.#client.touchTunnel();
    if (!this.#client.writeBody(bytes, false)) this.#peer.pause();
  }

  /** The peer sends nothing more. */
  endToClient(): void {
    this.#client.endTunnel();
  }
}
