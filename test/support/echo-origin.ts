/** An origin that says who it is and what it was sent, for tests of whole gateways. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { buffer } from "node:stream/consumers";
import type { GatewayAnswer } from "./gateway.ts";

/** What an origin saw of a request. */
export interface Echo {
  readonly origin: string;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Trailers, as name and value in turn. */
  readonly trailers: readonly string[];
  readonly bodyBytes: number;
}

export class EchoOrigin {
  readonly name: string;
  /** How many requests it has answered. */
  requests = 0;
  readonly #server: Server;
  /** Requests for `/wait...` that are not answered before `release`. */
  readonly #waiting: (() => void)[] = [];

  private constructor(name: string) {
    this.name = name;
    this.#server = createServer({ keepAliveTimeout: 120_000 }, async (request, response) => {
      const { method = "", url = "", headers } = request;
      // `null`: the gateway went away before it had sent all.
      const body = await buffer(request).catch(() => null);
      if (body === null) return;
      const bodyBytes = body.length;
      if (url.startsWith("/wait")) await new Promise<void>((go) => this.#waiting.push(go));
      this.requests += 1;
      const trailers = request.rawTrailers;
      const echo: Echo = { origin: name, method, url, headers, trailers, bodyBytes };
      response.setHeader("x-origin", name);
      response.end(JSON.stringify(echo));
    });
  }

  /** On a free port of 127.0.0.1, or on `port`, or of another address. */
  static async start(name: string, port = 0, address = "127.0.0.1"): Promise<EchoOrigin> {
    const origin = new EchoOrigin(name);
    origin.#server.listen(port, address);
    await once(origin.#server, "listening");
    return origin;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("it does not listen");
    return address.port;
  }

  /** A server of an upstream document. */
  get server(): { readonly host: string; readonly port: number } {
    return { host: "127.0.0.1", port: this.port };
  }

  /** How many requests wait for `release`. */
  get waiting(): number {
    return this.#waiting.length;
  }

  release(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Cuts its connections. May be called twice. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** What the origin saw. Throws for an answer that is not an echo. */
export function echoOf(answer: GatewayAnswer): Echo {
  if (answer.status !== 200 || answer.headers["x-origin"] === undefined)
    throw new Error(`no echo: ${answer.status} ${answer.body}`);
  return JSON.parse(answer.body) as Echo;
}
