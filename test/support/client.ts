/** A client on a bare socket: it sends exactly the bytes it is given and reads answers strictly. */
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { until } from "./conditions.ts";
import { type Message, MessageReader, statusOf } from "./message.ts";
import { reset } from "./reset.ts";

export interface ClientAnswer extends Message {
  readonly status: number;
  readonly version: string;
}

/** What a client needs of its socket; one that speaks another protocol to the gateway has it too. */
export type ClientSocket = Duplex & {
  readonly bytesWritten: number;
  resetAndDestroy(): unknown;
};

export class RawClient {
  readonly socket: ClientSocket;
  readonly #reader: MessageReader;
  readonly #methods: string[] = [];
  readonly #answers: ClientAnswer[] = [];
  /** Bytes that came after a 101. */
  #tunnel: Buffer[] | null = null;
  receivedBytes = 0;
  /** True once the gateway ended its side. */
  ended = false;
  closed = false;
  /** Why what came is not a sequence of whole answers: nonsense, or a cut in the middle. */
  violation: Error | null = null;

  constructor(socket: ClientSocket) {
    this.socket = socket;
    this.#reader = new MessageReader(() => ({ answerTo: this.#methods[0] ?? "GET" }));
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("end", () => {
      this.ended = true;
      this.#finish();
    });
    // A reset is seen as `closed` and, in the middle of an answer, as a violation.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      if (!this.ended && this.#reader.midMessage && this.#tunnel === null) {
        this.violation ??= new Error("reset in the middle of an answer");
      }
    });
  }

  /** Sends bytes. `method` says how to read the answers that come: one entry for each request. */
  send(bytes: string | Buffer, ...methods: readonly string[]): void {
    this.#methods.push(...methods);
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Sends `bytes` cut at the given offsets, each piece in a turn of its own. */
  async sendSplit(bytes: string | Buffer, offsets: readonly number[]): Promise<void> {
    const whole = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    let from = 0;
    for (const offset of [...offsets, whole.length]) {
      if (this.closed) return;
      this.socket.write(whole.subarray(from, offset));
      from = offset;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The next answer, interim ones included. Rejects when the connection ends before it is whole. */
  async answer(): Promise<ClientAnswer> {
    await until("an answer came", () => this.#answers.length > 0 || this.#isOver(), {
      describe: () => this.#reader.pending.toString("latin1").slice(0, 300),
    });
    const answer = this.#answers.shift();
    if (answer) return answer;
    throw this.violation ?? new Error("the connection closed without an answer");
  }

  /** Sends a request and resolves with its final answer. */
  async request(bytes: string | Buffer): Promise<ClientAnswer> {
    const text = typeof bytes === "string" ? bytes : bytes.toString("latin1", 0, 64);
    this.send(bytes, text.slice(0, text.indexOf(" ")));
    return this.finalAnswer();
  }

  /** The next answer that is not interim. */
  async finalAnswer(): Promise<ClientAnswer> {
    for (;;) {
      const answer = await this.answer();
      if (answer.status >= 200 || answer.status === 101) return answer;
    }
  }

  /** Answers that came and were not taken. */
  get waiting(): number {
    return this.#answers.length;
  }

  /** The head and number of body bytes of an answer that is under way. */
  get underWay(): { readonly startLine: string; readonly bodyBytes: number } | null {
    const head = this.#reader.head;
    return head ? { startLine: head.startLine, bodyBytes: this.#reader.bodyBytes } : null;
  }

  /** What came after the 101, as far as it came. */
  get tunnelBytes(): Buffer {
    return Buffer.concat(this.#tunnel ?? []);
  }

  async whenClosed(): Promise<void> {
    await until("the gateway closed the client's connection", () => this.#isOver());
  }

  /** Ends the client's side only. */
  end(): void {
    this.socket.end();
  }

  reset(): void {
    reset(this.socket);
  }

  close(): void {
    this.socket.destroy();
  }

  #isOver(): boolean {
    return this.ended || this.closed || this.violation !== null;
  }

  #read(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    if (this.#tunnel) {
      this.#tunnel.push(bytes);
      return;
    }
    try {
      this.#reader.push(bytes);
      for (let message = this.#reader.next(); message; message = this.#reader.next()) {
        this.#take(message);
        if (this.#tunnel) return;
      }
    } catch (error) {
      this.violation = error as Error;
    }
  }

  #take(message: Message): void {
    const status = statusOf(message.startLine);
    this.#answers.push({ ...message, status, version: message.startLine.slice(0, 8) });
    if (status >= 200) this.#methods.shift();
    if (status === 101) this.#tunnel = [this.#reader.takeRest()];
  }

  #finish(): void {
    if (this.#tunnel) return;
    try {
      const message = this.#reader.end();
      if (message) this.#take(message);
    } catch (error) {
      this.violation ??= error as Error;
    }
  }
}

/** Opens a connection to a port of 127.0.0.1; `from` is the local address, for telling clients apart. */
export async function openClient(
  port: number,
  options: { readonly from?: string; readonly allowHalfOpen?: boolean } = {},
): Promise<RawClient> {
  const socket = connect({
    host: "127.0.0.1",
    port,
    noDelay: true,
    allowHalfOpen: options.allowHalfOpen ?? false,
    ...(options.from === undefined ? {} : { localAddress: options.from }),
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("connect", resolve);
  socket.once("error", reject);
  await promise;
  socket.off("error", reject);
  return new RawClient(socket);
}

/** A request of the given request line (without version), header lines and body. Host is added. */
export function requestBytes(line: string, headers: readonly string[] = [], body = ""): string {
  const all = headers.some((header) => /^host:/i.test(header))
    ? headers
    : ["Host: shop.example", ...headers];
  return `${line} HTTP/1.1\r\n${all.map((header) => `${header}\r\n`).join("")}\r\n${body}`;
}

/** A body in chunks, with its last chunk. */
export function chunked(pieces: readonly (string | Buffer)[]): Buffer {
  const out: Buffer[] = [];
  for (const piece of pieces) {
    const bytes = typeof piece === "string" ? Buffer.from(piece, "latin1") : piece;
    out.push(Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n"));
  }
  return Buffer.concat([...out, Buffer.from("0\r\n\r\n")]);
}
