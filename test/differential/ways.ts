/**
 * The three ways of a conversation to an origin: through the gateway's own engine, through the reference
 * engine, and straight to `node:http`. Each conversation comes from an address of its own, by which the
 * origin tells what was asked in it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import {
  type Engine,
  type EngineOptions,
  type Handler,
  Peer,
  Target,
} from "../../gateway/engine/engine.ts";
import { createHttpEngine } from "../../gateway/engine/index.ts";
import { createReferenceEngine } from "../../gateway/engine/reference/index.ts";
import { LoopClock } from "../support/loop-clock.ts";
import { MessageReader, statusOf } from "../support/message.ts";
import { type Asked, askedOf } from "./asked.ts";
import type { Conversation } from "./traffic.ts";

/** By a clock that passes with the event loop's turns, so that no whole request is late on a busy machine. */
const silenceMs = 500;

export interface ClientAnswer {
  readonly status: number;
  readonly body: string;
}

export interface Outcome {
  /** Whole requests, in their order. */
  readonly asked: readonly Asked[];
  /** Final answers, in their order, as far as they are whole. */
  readonly answers: readonly ClientAnswer[];
  /** Why what the client got is no sequence of whole answers; empty when it is one. */
  readonly violation: string;
  /** The code of the gateway's refusal or of the parser's error; empty when there was none. */
  readonly refusal: string;
}

export type WayName = "http1" | "reference" | "direct";

export class Ways {
  readonly engines: Readonly<Record<"http1" | "reference", Engine>>;
  readonly errors: readonly unknown[];
  readonly #origins: Readonly<Record<WayName, Origin>>;
  readonly #ports: Readonly<Record<WayName, number>>;
  readonly #peers: readonly Peer[];
  /** The methods of the exchanges, by the address of their client. */
  readonly #served: Readonly<Record<"http1" | "reference", Served>>;

  private constructor(
    origins: Record<WayName, Origin>,
    engines: Record<"http1" | "reference", Engine>,
    ports: Record<WayName, number>,
    peers: readonly Peer[],
    errors: readonly unknown[],
    served: Record<"http1" | "reference", Served>,
  ) {
    this.#origins = origins;
    this.engines = engines;
    this.#ports = ports;
    this.#peers = peers;
    this.errors = errors;
    this.#served = served;
  }

  static async open(): Promise<Ways> {
    const errors: unknown[] = [];
    const served = { http1: new Map(), reference: new Map() };
    const origins = {
      http1: await Origin.start(),
      reference: await Origin.start(),
      direct: await Origin.start(silenceMs),
    };
    const peers = [origins.http1, origins.reference].map(
      (origin) => new Peer("127.0.0.1", origin.port),
    );
    const [own, other] = peers as [Peer, Peer];
    const http1 = createHttpEngine(optionsFor(own, errors, served.http1));
    const reference = createReferenceEngine(optionsFor(other, errors, served.reference));
    const ports = {
      http1: (await http1.listen({ host: "127.0.0.1", port: 0 })).port,
      reference: (await reference.listen({ host: "127.0.0.1", port: 0 })).port,
      direct: origins.direct.port,
    };
    return new Ways(origins, { http1, reference }, ports, peers, errors, served);
  }

  /** `number` is another for each conversation; below 2^22. */
  async run(way: WayName, number: number, conversation: Conversation): Promise<Outcome> {
    const from = `127.${64 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    const received = await send(this.#ports[way], from, conversation);
    const { asked, error } = this.#origins[way].take(from);
    const methods = asked.map((request) => request.method);
    if (way === "direct") {
      return { asked, ...read(received, methods, { isCut: error !== "" }), refusal: error };
    }
    const served = this.#served[way].get(from) ?? methods;
    this.#served[way].delete(from);
    let { answers, violation } = read(received, served, { isCut: false });
    if (violation !== "") {
      // What was refused before it was a request may have been HEAD.
      ({ answers, violation } = read(received, [...served, "HEAD"], { isCut: false }));
    }
    const last = answers.at(-1);
    const code = /^[0-9]{3} ([a-z_]+): /.exec(last?.body ?? "")?.[1] ?? "";
    // No body says why when it was HEAD that was refused.
    const refusal = code === "" && last?.body === "" ? String(last.status) : code;
    return { asked, answers, violation, refusal };
  }

  async close(): Promise<void> {
    for (const engine of Object.values(this.engines)) {
      for (const peer of this.#peers) engine.retire(peer);
      await engine.drain(1_000);
    }
    for (const origin of Object.values(this.#origins)) await origin.close();
  }
}

type Served = Map<string, string[]>;

function optionsFor(peer: Peer, errors: unknown[], served: Served): EngineOptions<null> {
  const target = new Target(peer);
  const handler: Handler<null> = {
    onRequest({ clientAddress, method }) {
      served.set(clientAddress, [...(served.get(clientAddress) ?? []), method]);
    },
    onPick: (exchange) => (exchange.tries === 0 ? target : null),
    onResponse() {},
    onTryEnd() {},
    onEnd() {},
  };
  return {
    handler,
    idPrefix: "test",
    // To be compared with what is asked directly.
    forwardedPath: "raw",
    onError: (error) => errors.push(error),
    now: new LoopClock().now,
    limits: { headTimeoutMs: silenceMs, bodyTimeoutMs: silenceMs, idleTimeoutMs: silenceMs },
  };
}

/** A server of `node:http` that writes down what it is asked and answers by the target. */
class Origin {
  readonly #server: Server;
  readonly #asked = new Map<string, Asked[]>();
  readonly #errors = new Map<string, string>();

  private constructor(patienceMs: number) {
    const limits = { headersTimeout: 0, requestTimeout: 0, keepAliveTimeout: 0 };
    this.#server = createServer(limits, (request, response) => this.#onRequest(request, response));
    if (patienceMs < Number.POSITIVE_INFINITY)
      this.#server.on("connection", (socket) => this.#endSilent(socket, patienceMs));
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
      const address = "remoteAddress" in socket ? String(socket.remoteAddress) : "";
      if (!this.#errors.has(address)) this.#errors.set(address, error.code ?? error.message);
      // An answer here would come before those to the requests that were whole.
      socket.destroy();
    });
  }

  /** `patienceMs`: how long a connection may be silent. Default: behind a gateway it is the gateway that closes. */
  static async start(patienceMs = Number.POSITIVE_INFINITY): Promise<Origin> {
    const origin = new Origin(patienceMs);
    const { promise, resolve } = Promise.withResolvers<void>();
    origin.#server.listen(0, "127.0.0.1", resolve);
    await promise;
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What was asked from the address, and the first error of its connection. */
  take(address: string): { readonly asked: readonly Asked[]; readonly error: string } {
    const asked = this.#asked.get(address) ?? [];
    const error = this.#errors.get(address) ?? "";
    this.#asked.delete(address);
    this.#errors.delete(address);
    return { asked, error };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #endSilent(socket: Socket, patienceMs: number): void {
    const { now } = new LoopClock();
    const address = socket.remoteAddress ?? "";
    let bytes = 0;
    let end = now() + patienceMs;
    const looks = setInterval(() => {
      if (socket.bytesRead + socket.bytesWritten > bytes) {
        bytes = socket.bytesRead + socket.bytesWritten;
        end = now() + patienceMs;
      }
      if (now() < end) return;
      if (!this.#errors.has(address)) this.#errors.set(address, "silence");
      socket.destroy();
    }, 50);
    socket.once("close", () => clearInterval(looks));
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const remote = request.socket.remoteAddress ?? "";
    const forwarded = request.headers["x-forwarded-for"];
    // A gateway's own line, from 127.0.0.1; a client of the third way says anything there.
    const from = remote === "127.0.0.1" && typeof forwarded === "string" ? forwarded : remote;
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("error", () => {});
    request.on("end", () => {
      const asked = askedOf(request, Buffer.concat(pieces));
      this.#asked.set(from, [...(this.#asked.get(from) ?? []), asked]);
      answer(asked, response);
    });
  }
}

/** The same for the same request, in every framing that there is. */
function answer(asked: Asked, response: ServerResponse): void {
  const text = JSON.stringify([asked.method, asked.target, asked.body.length]);
  response.sendDate = false;
  if (asked.target.startsWith("/empty")) response.writeHead(204).end();
  else if (asked.target.startsWith("/not-modified")) response.writeHead(304, { ETag: "a" }).end();
  else if (asked.target.startsWith("/chunked")) {
    response.writeHead(200);
    response.write(text.slice(0, 3));
    response.end(text.slice(3));
  } else {
    const status = asked.target.startsWith("/a") ? 404 : 200;
    response.writeHead(status, { "Content-Length": text.length }).end(text);
  }
}

/** Sends the conversation from the address; resolves with all that came once the connection is closed. */
function send(port: number, from: string, conversation: Conversation): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const received: Buffer[] = [];
  const socket = connect({ host: "127.0.0.1", port, localAddress: from, noDelay: true });
  socket.on("data", (piece: Buffer) => received.push(piece));
  // A reset is a way to close; what came before counts.
  socket.on("error", () => {});
  socket.on("close", () => resolve(Buffer.concat(received)));
  socket.on("connect", async () => {
    let start = 0;
    for (const end of [...conversation.cuts, conversation.bytes.length]) {
      if (socket.destroyed) return;
      socket.write(conversation.bytes.subarray(start, end));
      start = end;
      await new Promise((turn) => setImmediate(turn));
    }
  });
  return promise;
}

/** `isCut`: the connection may have been cut anywhere. */
function read(
  received: Buffer,
  methods: readonly string[],
  { isCut }: { readonly isCut: boolean },
): { readonly answers: readonly ClientAnswer[]; readonly violation: string } {
  const answers: ClientAnswer[] = [];
  const reader = new MessageReader(() => ({ answerTo: methods[answers.length] ?? "GET" }));
  reader.push(received);
  try {
    for (let message = reader.next(); message !== null; message = reader.next()) {
      const status = statusOf(message.startLine);
      if (status >= 200) answers.push({ status, body: message.body.toString("latin1") });
    }
    if (!isCut) reader.end();
    return { answers, violation: "" };
  } catch (error) {
    return { answers, violation: error instanceof Error ? error.message : String(error) };
  }
}
