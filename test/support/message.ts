/**
 * A small strict reader of HTTP/1.1 messages for tests, written apart from the gateway's own parser
 * so that the two cannot share a mistake. It takes canonical messages only and throws on the rest.
 */

export interface Message {
  readonly startLine: string;
  /** Names as on the wire, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Decoded from its framing. */
  readonly body: Buffer;
  readonly framing: "none" | "length" | "chunked" | "close";
  readonly trailers: readonly string[];
  /** The exact bytes of the whole message. */
  readonly raw: Buffer;
}

/** The values of a header, in order. */
export function fieldsOf(message: Pick<Message, "headers">, name: string): string[] {
  const wanted = name.toLowerCase();
  return message.headers.filter(([key]) => key.toLowerCase() === wanted).map(([, value]) => value);
}

/** The only value of a header; throws when it came twice. */
export function fieldOf(message: Pick<Message, "headers">, name: string): string | undefined {
  const values = fieldsOf(message, name);
  if (values.length > 1) throw new Error(`${name} came ${values.length} times: ${values}`);
  return values[0];
}

/** What a message is an answer to, as far as its framing depends on it (RFC 9112 section 6.3). */
export type MessageKind = "request" | { readonly answerTo: string };

type State = "head" | "length" | "chunk-size" | "chunk" | "chunk-end" | "trailers" | "close";

const START_LINE = {
  request: /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP\/1\.[01]$/,
  answer: /^HTTP\/1\.[01] [1-5][0-9][0-9] [\t \x21-\x7e\x80-\xff]*$/,
};
const FIELD_LINE =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*$/;

/** Cuts a stream of bytes into messages. `kind` is asked when a head is complete. */
export class MessageReader {
  readonly #kind: () => MessageKind;
  #pending: Buffer = Buffer.alloc(0);
  #state: State = "head";
  #startLine = "";
  #headers: [string, string][] = [];
  #trailers: string[] = [];
  #framing: Message["framing"] = "none";
  #remaining = 0;
  #body: Buffer[] = [];
  #raw: Buffer[] = [];

  constructor(kind: () => MessageKind) {
    this.#kind = kind;
  }

  /** Bytes that are not yet part of a whole head, chunk line or message. */
  get pending(): Buffer {
    return this.#pending;
  }

  /** True in the middle of a message. */
  get midMessage(): boolean {
    return this.#state !== "head" || this.#pending.length > 0;
  }

  /** The head of the message whose body is being read; `null` between messages. */
  get head(): Pick<Message, "startLine" | "headers"> | null {
    return this.#state === "head" ? null : { startLine: this.#startLine, headers: this.#headers };
  }

  /** Decoded body bytes of the message that is being read. */
  get bodyBytes(): number {
    return this.#body.reduce((sum, piece) => sum + piece.length, 0);
  }

  push(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
  }

  /** The next whole message, or `null` when more bytes are needed. */
  next(): Message | null {
    for (;;) {
      const before = this.#state;
      const pendingBefore = this.#pending.length;
      const message = this.#step();
      if (message) return message;
      if (this.#state === before && this.#pending.length === pendingBefore) return null;
    }
  }

  /** The stream ended: the message that its end completes, `null` for none; throws when it is cut. */
  end(): Message | null {
    if (this.#state === "close") return this.#finish();
    if (this.midMessage) throw new Error(`truncated in state ${this.#state}`);
    return null;
  }

  /** Takes what was not read: the bytes of another protocol after an upgrade. */
  takeRest(): Buffer {
    const rest = this.#pending;
    this.#pending = Buffer.alloc(0);
    return rest;
  }

  #step(): Message | null {
    switch (this.#state) {
      case "head":
        return this.#readHead();
      case "length":
        this.#takeBody();
        return this.#remaining === 0 ? this.#finish() : null;
      case "close":
        this.#remaining = this.#pending.length;
        this.#takeBody();
        return null;
      case "chunk-size": {
        const line = this.#takeLine();
        if (line === null) return null;
        if (!/^[0-9a-fA-F]{1,8}$/.test(line)) throw new Error(`bad chunk line ${quote(line)}`);
        this.#remaining = Number.parseInt(line, 16);
        this.#state = this.#remaining === 0 ? "trailers" : "chunk";
        return null;
      }
      case "chunk":
        this.#takeBody();
        if (this.#remaining === 0) this.#state = "chunk-end";
        return null;
      case "chunk-end": {
        const line = this.#takeLine();
        if (line === null) return null;
        if (line !== "") throw new Error(`chunk data goes on with ${quote(line)}`);
        this.#state = "chunk-size";
        return null;
      }
      case "trailers": {
        const line = this.#takeLine();
        if (line === null) return null;
        if (line === "") return this.#finish();
        if (!FIELD_LINE.test(line)) throw new Error(`bad trailer ${quote(line)}`);
        this.#trailers.push(line);
        return null;
      }
    }
  }

  #readHead(): Message | null {
    const end = this.#pending.indexOf("\r\n\r\n");
    if (end < 0) return null;
    const head = this.#take(end + 4);
    const lines = head.toString("latin1", 0, end).split("\r\n");
    const kind = this.#kind();
    this.#startLine = lines[0] ?? "";
    const grammar = kind === "request" ? START_LINE.request : START_LINE.answer;
    if (!grammar.test(this.#startLine)) throw new Error(`bad start line ${quote(this.#startLine)}`);
    this.#headers = lines.slice(1).map((line) => {
      const match = FIELD_LINE.exec(line);
      if (!match) throw new Error(`bad field line ${quote(line)}`);
      return [match[1] ?? "", match[2] ?? ""];
    });
    return this.#frame(kind);
  }

  #frame(kind: MessageKind): Message | null {
    const lengths = fieldsOf({ headers: this.#headers }, "content-length");
    const codings = fieldsOf({ headers: this.#headers }, "transfer-encoding");
    if (lengths.length + codings.length > 1) {
      throw new Error(`more than one framing header: ${[...lengths, ...codings].join(", ")}`);
    }
    const [length] = lengths;
    const [coding] = codings;
    if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) throw new Error(`length ${length}`);
    if (coding !== undefined && coding !== "chunked") throw new Error(`coding ${coding}`);
    if (kind !== "request" && hasNoBody(kind.answerTo, statusOf(this.#startLine))) {
      return this.#finish();
    }
    if (length !== undefined) {
      this.#framing = "length";
      this.#remaining = Number(length);
      if (this.#remaining === 0) return this.#finish();
      this.#state = "length";
    } else if (coding !== undefined) {
      this.#framing = "chunked";
      this.#state = "chunk-size";
    } else if (kind === "request") {
      return this.#finish();
    } else {
      this.#framing = "close";
      this.#state = "close";
    }
    return null;
  }

  #finish(): Message {
    const message = {
      startLine: this.#startLine,
      headers: this.#headers,
      body: Buffer.concat(this.#body),
      framing: this.#framing,
      trailers: this.#trailers,
      raw: Buffer.concat(this.#raw),
    };
    this.#state = "head";
    this.#headers = [];
    this.#trailers = [];
    this.#framing = "none";
    this.#body = [];
    this.#raw = [];
    return message;
  }

  #takeBody(): void {
    if (this.#pending.length === 0 || this.#remaining === 0) return;
    const piece = this.#take(Math.min(this.#remaining, this.#pending.length));
    this.#remaining -= piece.length;
    this.#body.push(piece);
  }

  #takeLine(): string | null {
    const end = this.#pending.indexOf("\r\n");
    return end < 0 ? null : this.#take(end + 2).toString("latin1", 0, end);
  }

  #take(length: number): Buffer {
    const piece = this.#pending.subarray(0, length);
    this.#pending = this.#pending.subarray(length);
    this.#raw.push(piece);
    return piece;
  }
}

/** The status in an answer's start line. */
export function statusOf(startLine: string): number {
  return Number(startLine.slice(9, 12));
}

function hasNoBody(method: string, status: number): boolean {
  return method === "HEAD" || status < 200 || status === 204 || status === 304;
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
