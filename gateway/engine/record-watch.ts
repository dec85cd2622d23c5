/**
 * Finds connections over TLS, of clients and of peers, whose records carry next to nothing: requests for new keys,
 * tickets without end, or a byte in each. Every record costs as much as a small request, nobody above TLS sees most of
 * them, and libuv reads up to half a megabyte of them in one turn, in which no other client is served.
 */
import type { Socket } from "node:net";

/** No less than this counts, whatever is in it. */
const fewestBytes = 262_144;
/** Who sends fewer than three bytes in a record on the average sends more than this for each of them. */
const mostPerByte = 8;
/** After so many looks, what a connection sent before is forgotten. */
const looksKept = 10;

/** What counts the bytes that come from the network. */
export type Below = Pick<Socket, "bytesRead">;

interface Watched {
  readonly below: Below;
  /** Counts what is in them. */
  readonly secure: Socket;
  readonly onFlood: () => void;
  looks: number;
  /** Both counts when the looks began. */
  sent: number;
  said: number;
}

export class RecordWatch {
  readonly #watched = new Set<Watched>();

  /** Watches a connection until it closes. `onFlood` is called once at most. */
  add(below: Below, secure: Socket, onFlood: () => void): void {
    const { bytesRead: sent } = below;
    const watched = { below, secure, onFlood, looks: 0, sent, said: secure.bytesRead };
    this.#watched.add(watched);
    secure.once("close", () => this.#watched.delete(watched));
  }

  /** Looks at all connections. Takes some milliseconds for 10,000. */
  look(): void {
    for (const watched of this.#watched) {
      const { bytesRead: sent } = watched.below;
      const sentNow = sent - watched.sent;
      if (sentNow >= fewestBytes) {
        const said = watched.secure.bytesRead - watched.said;
        if (sentNow > mostPerByte * said) {
          this.#watched.delete(watched);
          watched.onFlood();
          continue;
        }
      }
      watched.looks += 1;
      if (watched.looks < looksKept && sentNow < fewestBytes) continue;
      watched.looks = 0;
      watched.sent = sent;
      watched.said = watched.secure.bytesRead;
    }
  }
}
