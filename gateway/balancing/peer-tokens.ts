/**
 * Names for peers and sides that a client may see. They tell the client nothing about an address. All workers of all
 * gateways with the same key make the same names.
 */
import { createHmac } from "node:crypto";
import type { Peer } from "../engine/engine.ts";

export class PeerTokens {
  /** Length of a peer's name, in characters. */
  readonly peerLength = 16;
  readonly sideLength = 6;
  readonly #key: string;
  readonly #known = new WeakMap<Peer, string>();

  constructor(key: string) {
    this.#key = key;
  }

  /** The peer's name, computed once for each peer. */
  of(peer: Peer): string {
    let token = this.#known.get(peer);
    if (token === undefined) {
      token = this.#make("peer", peer.key).slice(0, this.peerLength);
      this.#known.set(peer, token);
    }
    return token;
  }

  ofSide(name: string): string {
    return this.#make("side", name).slice(0, this.sideLength);
  }

  #make(kind: "peer" | "side", name: string): string {
    return createHmac("sha256", this.#key).update(`${kind} ${name}`).digest("base64url");
  }
}
