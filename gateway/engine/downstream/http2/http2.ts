/** HTTP/2 for an engine's clients: opens sessions on accepted sockets, and keeps finished streams for reuse. */
import type { Socket } from "node:net";
import type { ConnectionOptions } from "../../http2/connection.ts";
import { WriteTurn } from "../../http2/write-turn.ts";
import type { ClientHost, ClientOrigin } from "../session.ts";
import { connectionOptions } from "./options.ts";
import { Http2Session } from "./session.ts";
import { ClientStream } from "./stream.ts";

/** How many stream objects all sessions together keep for reuse; each has an exchange and two heads. */
const maxKept = 1_024;

export class Http2Server {
  readonly host: ClientHost;
  /** What all connections have in common, in clear and over TLS. */
  readonly #inClear: ConnectionOptions;
  readonly #overTls: ConnectionOptions;
  readonly #kept: ClientStream[] = [];

  constructor(host: ClientHost) {
    this.host = host;
    const turn = new WriteTurn();
    this.#inClear = connectionOptions(host, turn, false);
    this.#overTls = connectionOptions(host, turn, true);
  }

  /** Serves HTTP/2 on a socket. `first`: the bytes read so far, which begin with the client's preface. */
  open(socket: Socket, first: Buffer, client: ClientOrigin): Http2Session {
    return new Http2Session(this, socket, first, client);
  }

  optionsOf(client: ClientOrigin): ConnectionOptions {
    return client.tls === null ? this.#inClear : this.#overTls;
  }

  /** Returns a stream object without a request. */
  take(session: Http2Session): ClientStream {
    return this.#kept.pop() ?? new ClientStream(this.host.openExchange, session);
  }

  giveBack(stream: ClientStream): void {
    if (this.#kept.length < maxKept) this.#kept.push(stream);
  }
}
