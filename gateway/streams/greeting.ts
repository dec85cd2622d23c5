/**
 * Reads what a client, or the sender that passes its connection on, must say before the gateway knows where the
 * connection goes.
 */

import { ClientHelloReader } from "../engine/listening/client-hello.ts";
import { ProxyHeaderReader } from "../engine/listening/proxy-protocol.ts";
import type { StreamFailure } from "./contract.ts";

interface Said {
  /** The client that the sender names, if the sender is trusted and names one. */
  readonly client: { readonly address: string; readonly port: number } | null;
  /** The name that was asked for; `null`: none. */
  readonly name: string | null;
  /** What the peer has to get of the bytes read. */
  readonly first: Buffer;
}

interface Refused {
  readonly failure: StreamFailure;
  readonly message: string;
  /** The alert for the client; `null` when it would not understand one. */
  readonly alert: Buffer | null;
}

/** A fatal alert of TLS, in clear as before every handshake (RFC 8446 section 6). */
const alert = (description: number) => Buffer.from([21, 3, 3, 0, 2, 2, description]);
const decodeError = alert(50);
export const unrecognizedName = alert(112);

export class Greeting {
  readonly #hello: ClientHelloReader | null;
  #proxy: ProxyHeaderReader | null;
  #client: Said["client"] = null;

  constructor(speaksProxy: boolean, asksName: boolean) {
    this.#proxy = speaksProxy ? new ProxyHeaderReader() : null;
    this.#hello = asksName ? new ClientHelloReader() : null;
  }

  /** Returns `null` while more has to come. Do not call it again after an outcome. */
  take(chunk: Buffer): Said | Refused | null {
    if (this.#proxy === null) return this.#takeHello(chunk);
    const outcome = this.#proxy.take(chunk);
    if (outcome === null) return null;
    if ("fault" in outcome)
      return { failure: "bad_proxy_header", message: outcome.fault, alert: null };
    this.#proxy = null;
    this.#client = outcome.source;
    return this.#takeHello(outcome.rest);
  }

  #takeHello(chunk: Buffer): Said | Refused | null {
    const hello = this.#hello;
    const client = this.#client;
    if (hello === null) return { client, name: null, first: chunk };
    if (chunk.length === 0) return null;
    const outcome = hello.take(chunk);
    if (outcome === null) return null;
    if ("fault" in outcome) {
      const told = hello.isTls ? decodeError : null;
      return { failure: "bad_hello", message: outcome.fault, alert: told };
    }
    if (outcome.name === null) {
      const message = "the client names no host (SNI)";
      return { failure: "no_route", message, alert: unrecognizedName };
    }
    return { client, name: outcome.name, first: hello.bytes };
  }
}
