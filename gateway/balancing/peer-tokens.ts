/**
 * Names of peers and sides that a client may see: they tell it nothing of an address, and every worker of every gateway with
 * the same key makes the same ones.
 */
import { createHmac } from "node:crypto";
import type { Peer } from "../engine/engine.ts";

export class PeerTokens {
  /** In characters. */
  readonly peerLength = 16;
  readonly sideLength = 6;
  readonly #key: string;
  readonly #known = new WeakMap<Peer, string>();

  constructor(key: string) {
    this.#key = key;
  }

  /** Worked out once for each peer. */
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
