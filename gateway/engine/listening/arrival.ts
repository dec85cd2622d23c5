/**
 * An accepted connection before its first request can be read: a PROXY header, the handshake of TLS, or both may have
 * to come first. It counts among the engine's connections and has one deadline for everything.
 */
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import type { ClientSession } from "../downstream/session.ts";
import type { ListenerOptions } from "../engine.ts";
import { refusalText } from "../message/answers.ts";
import {
  badProxyHeader,
  beginsRequest,
  missingProxyHeader,
  type Refusal,
  tlsExpected,
  unexpectedProxyHeader,
} from "../message/grammar.ts";
import type { ClientTls, ListenerTls, TlsChoice } from "../tls.ts";
import { type ClientHello, ClientHelloReader } from "./client-hello.ts";
import { clientTls } from "./client-tls.ts";
import { beginsProxyHeader, ProxyHeaderReader } from "./proxy-protocol.ts";

/** The engine, as an arrival sees it. */
export interface ArrivalHost {
  /** On the engine's clock. */
  readonly deadline: number;
  readonly clock: Clock;
  readonly counters: Counters;
  /** Everything that was awaited is there; the arrival has no further part. `tls`: `null` in clear. */
  arrived(arrival: Arrival, socket: Socket, address: string, tls: ClientTls | null): void;
  remove(session: ClientSession): void;
}

/**
 * A fatal alert of TLS (RFC 8446 section 6) in the form it has before there are keys: a TLS 1.2 record of two bytes.
 */
const alert = (description: number) => Buffer.from([21, 3, 3, 0, 2, 2, description]);
const unrecognizedName = alert(112);
const decodeError = alert(50);

/**
 * One connection on its way in. The engine makes an arrival only for a connection that needs one; see `needsArrival`.
 */
export class Arrival implements ClientSession {
  readonly address: string;
  /** All of a balancer's connections come from its own address, often many at once. */
  readonly isForAnother: boolean;
  readonly listener: number;
  isAdmitted = false;
  readonly #host: ArrivalHost;
  readonly #socket: Socket;
  readonly #tls: ListenerTls | null;
  readonly #deadline: number;
  /** The client's address; behind a proxy, the one that the PROXY header names. */
  #client: string;
  #proxy: ProxyHeaderReader | null;
  #hello: ClientHelloReader | null;
  #asked: ClientHello | null = null;
  #choice: TlsChoice | null = null;
  #isOver = false;
  readonly #onData = (chunk: Buffer) => this.#take(chunk);
  readonly #onEnd = () => this.destroy();
  readonly #onClose = () => this.#leave();

  constructor(
    host: ArrivalHost,
    socket: Socket,
    address: string,
    listener: number,
    { tls, proxied }: ListenerOptions,
  ) {
    this.#host = host;
    this.#socket = socket;
    this.address = address;
    this.#client = address;
    this.listener = listener;
    this.#tls = tls ?? null;
    this.#deadline = host.deadline;
    this.isForAnother = proxied?.(address) === true;
    this.#proxy = this.isForAnother ? new ProxyHeaderReader() : null;
    this.#hello = this.#tls === null ? null : new ClientHelloReader();
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    // `close` always follows `error`.
    socket.on("error", ignored);
    socket.on("close", this.#onClose);
  }

  /** The connection below TLS. */
  get below(): Socket {
    return this.#socket;
  }

  onTick(now: number): void {
    if (now < this.#deadline) return;
    this.#refuse("handshake_timeout");
  }

  /** Does nothing: an arrival is always read. */
  probe(): void {}

  onDrainStart(): void {
    this.destroy();
  }

  refuse(refusal: Refusal): void {
    this.#refuse(refusal.code);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // Called by the endpoint.

  onSecure(socket: TLSSocket): void {
    const choice = this.#choice;
    const asked = this.#asked;
    if (this.#isOver || choice === null || asked === null) {
      socket.destroy();
      return;
    }
    if (choice.isHandshakeAll) {
      this.#isOver = true;
      // A client that says more is read, so that it sees an end and no reset.
      socket.on("error", ignored);
      socket.resume();
      socket.end();
      return;
    }
    this.#leaveSocket();
    socket.allowHalfOpen = true;
    this.#host.arrived(this, socket, this.#client, clientTls(socket, asked.name, choice));
  }

  onTlsFailure(error: Error & { readonly code?: string }): void {
    this.#refuse(error.code === "ECONNRESET" ? "tls_closed" : "tls_failed");
  }

  #take(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#proxy !== null) {
      const outcome = this.#proxy.take(chunk);
      if (outcome === null) return;
      if ("fault" in outcome) {
        if (outcome.isMissing) this.#missProxyHeader();
        else this.#refuse(badProxyHeader.code);
        return;
      }
      this.#proxy = null;
      if (outcome.source !== null) this.#client = outcome.source.address;
      bytes = outcome.rest;
      if (this.#tls === null) {
        this.#putBack(bytes);
        this.#host.arrived(this, this.#socket, this.#client, null);
        return;
      }
      if (bytes.length === 0) return;
    }
    const hello = this.#hello;
    const outcome = hello?.take(bytes) ?? null;
    if (hello === null || outcome === null) return;
    if ("fault" in outcome) {
      this.#turnAwayFrom(hello);
      return;
    }
    this.#hello = null;
    this.#greet(outcome, hello.bytes);
  }

  #greet(asked: ClientHello, bytes: Buffer): void {
    const choice = this.#tls?.choose(asked) ?? null;
    if (choice === null) {
      this.#turnAway("unrecognized_name", unrecognizedName);
      return;
    }
    this.#asked = asked;
    this.#choice = choice;
    this.#socket.off("data", this.#onData);
    this.#socket.off("end", this.#onEnd);
    this.#putBack(bytes);
    // Nobody reads the upper socket before the handshake ends; so the socket below has to show when a client goes.
    this.#socket.allowHalfOpen = false;
    choice.endpoint.begin(this.#socket, asked.tickets, this);
  }

  /** Leaves the socket as if nothing had been read from it. */
  #putBack(bytes: Buffer): void {
    const socket = this.#socket;
    if (this.#tls === null) this.#leaveSocket();
    socket.pause();
    if (bytes.length > 0) socket.unshift(bytes);
    // Over TLS, Node itself reads the socket below.
    if (this.#tls === null) process.nextTick(() => socket.resume());
  }

  /** Stops listening; from here on, the socket's next owner hears of its end. */
  #leaveSocket(): void {
    this.#isOver = true;
    const socket = this.#socket;
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("close", this.#onClose);
  }

  /** What came is no hello. Whoever forgot the `s` of `https` is told so. */
  #turnAwayFrom({ bytes, isTls }: ClientHelloReader): void {
    if (beginsProxyHeader(bytes)) {
      this.#turnAway(unexpectedProxyHeader.code, null);
    } else if (beginsRequest(bytes.toString("latin1", 0, 20))) {
      const words = refusalText(tlsExpected, this.#host.clock.dateLine, false);
      this.#turnAway(tlsExpected.code, Buffer.from(words, "latin1"));
    } else {
      this.#turnAway("bad_hello", isTls ? decodeError : null);
    }
  }

  /** A client in clear is told, since this may be somebody's first try of a listener behind a balancer. */
  #missProxyHeader(): void {
    const { code } = missingProxyHeader;
    const words = refusalText(missingProxyHeader, this.#host.clock.dateLine, false);
    this.#turnAway(code, this.#tls === null ? Buffer.from(words, "latin1") : null);
  }

  /** Closes the connection. `words` tell the client why; `null` when its protocol has none for that. */
  #turnAway(code: string, words: Buffer | null): void {
    this.#host.counters.countRefused(code, this.address);
    this.#isOver = true;
    this.#socket.off("data", this.#onData);
    if (words === null) {
      this.destroy();
      return;
    }
    // Reads what the client goes on to send; otherwise the system would reset the connection before the alert
    // arrives.
    this.#socket.resume();
    this.#socket.end(words);
  }

  #refuse(code: string): void {
    if (!this.#isOver) this.#host.counters.countRefused(code, this.address);
    this.#isOver = true;
    this.destroy();
  }

  #leave(): void {
    this.#isOver = true;
    this.#host.remove(this);
  }
}

function ignored(): void {}
