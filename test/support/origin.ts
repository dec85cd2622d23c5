/**
 * An origin on a bare socket that plays a script: it records the exact bytes of what it was sent
 * and answers with the bytes that it was given, so that it can do what no HTTP library would.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Peer } from "../../gateway/engine/engine.ts";
import { until } from "./conditions.ts";
import { type Message, MessageReader } from "./message.ts";
import { reset } from "./reset.ts";

export interface OriginRequest extends Message {
  readonly method: string;
  readonly target: string;
  readonly version: string;
}

/** The request's head, given as soon as it is complete. */
export type OriginHead = Pick<Message, "startLine" | "headers">;

/** Answers one whole request; a string or buffer stands for a script that sends just that. */
export type OriginScript =
  | string
  | Buffer
  | ((request: OriginRequest, connection: OriginConnection) => void | Promise<void>);

export interface OriginOptions {
  /** Called when a connection was accepted. */
  readonly onConnection?: (connection: OriginConnection) => void;
  /** Called once a request's head is complete, before its body. */
  readonly onHead?: (head: OriginHead, connection: OriginConnection) => void;
  /** Do not read from connections until `resume` is called on their socket. */
  readonly paused?: boolean;
  /** What is sent is not HTTP in one message after the other: record bytes only. */
  readonly bytesOnly?: boolean;
  /** Do not close in return when the gateway closes its side. */
  readonly halfOpen?: boolean;
  /** Where to listen. Default: 127.0.0.1 and a free port. */
  readonly port?: number;
}

export class OriginConnection {
  readonly socket: Socket;
  readonly requests: OriginRequest[] = [];
  readonly reader = new MessageReader(() => "request");
  readonly #received: Buffer[] = [];
  receivedBytes = 0;
  closed = false;
  announced = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Every byte that came on this connection. */
  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  record(bytes: Buffer): void {
    this.#received.push(bytes);
    this.receivedBytes += bytes.length;
  }

  send(bytes: string | Buffer): void {
    if (!this.socket.destroyed) this.socket.write(latin1(bytes));
  }

  /** Sends piece by piece, each in a turn (and as a rule a packet) of its own. */
  async sendPieces(pieces: readonly (string | Buffer)[]): Promise<void> {
    for (const piece of pieces) {
      this.send(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Sends `bytes` and the end of the stream. */
  end(bytes: string | Buffer = ""): void {
    this.socket.end(latin1(bytes));
  }

  reset(): void {
    reset(this.socket);
  }

  /** Resolves when the other side closed this connection. */
  async whenClosed(): Promise<void> {
    await until("the gateway closed its connection to the origin", () => this.closed);
  }
}

export class Origin {
  readonly connections: OriginConnection[] = [];
  /** Whole requests, in the order in which they were complete. */
  readonly requests: OriginRequest[] = [];
  /** Heads, including those whose body never became whole. */
  readonly heads: OriginHead[] = [];
  /** What came that is not a canonical request, and what a script threw. */
  readonly violations: Error[] = [];
  readonly #server: Server;
  readonly #script: OriginScript;
  readonly #options: OriginOptions;
  #peer: Peer | null = null;

  constructor(script: OriginScript, options: OriginOptions) {
    this.#script = script;
    this.#options = options;
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) =>
      this.#accept(socket),
    );
  }

  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen({ host: "127.0.0.1", port: this.#options.port ?? 0 }, resolve);
    await promise;
  }

  get listening(): boolean {
    return this.#server.listening;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get peer(): Peer {
    this.#peer ??= new Peer("127.0.0.1", this.port);
    return this.#peer;
  }

  get live(): number {
    return this.connections.filter((connection) => !connection.closed).length;
  }

  /** The only request; throws when there was another number of them. */
  get request(): OriginRequest {
    const [first] = this.requests;
    if (!first || this.requests.length > 1) throw new Error(`${this.requests.length} requests`);
    return first;
  }

  /** The n-th connection, once it exists. */
  async connection(index = 0): Promise<OriginConnection> {
    await until(`connection ${index} arrived`, () => this.connections.length > index);
    return this.connections[index] as OriginConnection;
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.socket.destroy();
    if (!this.#server.listening) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #accept(socket: Socket): void {
    const connection = new OriginConnection(socket);
    this.connections.push(connection);
    // A reset by the gateway is an event that tests look at through `closed`.
    socket.on("error", () => {});
    socket.on("close", () => {
      connection.closed = true;
    });
    socket.on("end", () => {
      if (this.#options.halfOpen !== true) socket.end();
    });
    socket.on("data", (bytes: Buffer) => this.#read(connection, bytes));
    if (this.#options.paused) socket.pause();
    this.#options.onConnection?.(connection);
  }

  #read(connection: OriginConnection, bytes: Buffer): void {
    connection.record(bytes);
    if (this.#options.bytesOnly) return;
    try {
      connection.reader.push(bytes);
      for (;;) {
        const message = connection.reader.next();
        const head = message ?? connection.reader.head;
        if (head && !connection.announced) {
          connection.announced = true;
          this.heads.push(head);
          this.#options.onHead?.(head, connection);
        }
        if (!message) return;
        connection.announced = false;
        this.#serve(message, connection);
      }
    } catch (error) {
      this.violations.push(error as Error);
      connection.socket.destroy();
    }
  }

  #serve(message: Message, connection: OriginConnection): void {
    const [method = "", target = "", version = ""] = message.startLine.split(" ");
    const request = { ...message, method, target, version };
    connection.requests.push(request);
    this.requests.push(request);
    if (typeof this.#script !== "function") {
      connection.send(this.#script);
      return;
    }
    Promise.resolve(this.#script(request, connection)).catch((error) => {
      this.violations.push(error);
    });
  }
}

/** Starts an origin on a free port. */
export async function startOrigin(
  script: OriginScript,
  options: OriginOptions = {},
): Promise<Origin> {
  const origin = new Origin(script, options);
  await origin.listen();
  return origin;
}

/** A 200 answer with a length. */
export function ok(body = "ok", headers: readonly string[] = []): string {
  return answerBytes("200 OK", [...headers, `Content-Length: ${Buffer.byteLength(body)}`], body);
}

/** An answer of the given status line (without version), header lines and body. */
export function answerBytes(status: string, headers: readonly string[], body = ""): string {
  return `HTTP/1.1 ${status}\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n${body}`;
}

function latin1(bytes: string | Buffer): Buffer {
  return typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
}
