/**
 * Reads what a client asks for from the first bytes of a TLS connection (RFC 8446 section 4.1.2, RFC 6066 section 3),
 * in however many records and packets they come. It decrypts nothing, and looks at each byte once.
 */
import { isHost, normaliseHost } from "../message/authority.ts";

/** No client sends a larger hello: a key share for post-quantum cryptography has about 1,200 bytes. */
const maxHelloBytes = 16_384;
/** Room for the headers of records, which may hold as little as one byte each. */
const maxBytes = 20_480;

const handshakeRecord = 22;
const clientHello = 1;
const serverNameExtension = 0;
const protocolsExtension = 16;
const ticketExtension = 35;
const keysExtension = 41;
const hostName = 0;
/** A ticket begins with the name of the key that sealed it (RFC 5077 section 4). */
const ticketNameBytes = 16;
/** So many tickets are looked at. Clients bring one or two. */
const maxTickets = 8;

export interface ClientHello {
  /** In lower case; `null`: the hello names no server. */
  readonly name: string | null;
  /** The protocols that the client offers behind TLS (RFC 7301); empty: it does not say. */
  readonly protocols: readonly string[];
  /** The first session tickets that the client brings, each long enough to have the name of its key. */
  readonly tickets: readonly Buffer[];
}

export type HelloOutcome =
  | ClientHello
  /** The bytes are not a hello; says why in a few words. */
  | { readonly fault: string };

/** So many pieces are joined: a buffer for each byte takes a hundred times as much as the bytes. */
const maxPieces = 64;

export class ClientHelloReader {
  #pieces: Buffer[] = [];
  #records: RecordReader | null = null;
  #taken = 0;
  /** Whether the first byte was that of a handshake record, so that the client understands an alert. */
  isTls = false;

  /** All bytes that it took, for whoever goes on with the handshake. */
  get bytes(): Buffer {
    const [first] = this.#pieces;
    return this.#pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.#pieces);
  }

  /** Returns `null` while more has to come. Do not call it again after an outcome. */
  take(chunk: Buffer): HelloOutcome | null {
    if (this.#taken === 0) this.isTls = chunk[0] === handshakeRecord;
    this.#pieces.push(chunk);
    if (this.#pieces.length === maxPieces) this.#pieces = [this.bytes];
    this.#taken += chunk.length;
    if (this.#records === null) {
      if (isWholeHello(chunk)) return readHello(chunk, wholeHeader, chunk.length);
      this.#records = new RecordReader();
    }
    const outcome = this.#records.take(chunk);
    if (outcome !== null) return outcome;
    return this.#taken > maxBytes ? { fault: "the hello is too long" } : null;
  }
}

/** The headers of a record and of a handshake message. */
const wholeHeader = 9;

/** Whether the bytes are one record with one whole hello and nothing else: what most clients send at once. */
function isWholeHello(bytes: Buffer): boolean {
  const { length } = bytes;
  if (length < wholeHeader || length > maxHelloBytes) return false;
  return (
    bytes[0] === handshakeRecord &&
    bytes[1] === 3 &&
    bytes.readUInt16BE(3) === length - 5 &&
    bytes[5] === clientHello &&
    bytes.readUIntBE(6, 3) === length - wholeHeader
  );
}

/** Puts together a hello that comes in several records or packets. */
class RecordReader {
  readonly #header = Buffer.alloc(5);
  #headerLength = 0;
  /** Bytes of the current record that are still to come. */
  #recordLeft = 0;
  readonly #begin = Buffer.alloc(4);
  #beginLength = 0;
  #body: Buffer | null = null;
  #bodyLength = 0;

  take(chunk: Buffer): HelloOutcome | null {
    for (let at = 0; at < chunk.length; ) {
      if (this.#recordLeft === 0) {
        const step = Math.min(5 - this.#headerLength, chunk.length - at);
        chunk.copy(this.#header, this.#headerLength, at, at + step);
        this.#headerLength += step;
        at += step;
        if (this.#header[0] !== handshakeRecord)
          return { fault: "the first record is no handshake" };
        if (this.#headerLength < 5) continue;
        this.#headerLength = 0;
        this.#recordLeft = this.#header.readUInt16BE(3);
        if (this.#header[1] !== 3) return { fault: "the record has no version of TLS" };
        if (this.#recordLeft === 0 || this.#recordLeft > 16_384)
          return { fault: "a record has no length that TLS allows" };
        continue;
      }
      const step = Math.min(this.#recordLeft, chunk.length - at);
      const outcome = this.#takeHandshake(chunk.subarray(at, at + step));
      if (outcome !== null) return outcome;
      this.#recordLeft -= step;
      at += step;
    }
    return null;
  }

  #takeHandshake(part: Buffer): HelloOutcome | null {
    let at = 0;
    if (this.#body === null) {
      at = Math.min(4 - this.#beginLength, part.length);
      part.copy(this.#begin, this.#beginLength, 0, at);
      this.#beginLength += at;
      if (this.#begin[0] !== clientHello) return { fault: "the first message is no ClientHello" };
      if (this.#beginLength < 4) return null;
      const length = this.#begin.readUIntBE(1, 3);
      if (length > maxHelloBytes) return { fault: "the hello is too long" };
      this.#body = Buffer.allocUnsafe(length);
    }
    this.#bodyLength += part.copy(this.#body, this.#bodyLength, at);
    if (this.#bodyLength < this.#body.length) return null;
    return readHello(this.#body, 0, this.#body.length);
  }
}

/**
 * A cursor over a part of bytes. `isShort` is set once somebody asked for bytes that are not there. It copies nothing and
 * makes no buffers, since a hello has some twenty extensions.
 */
class Cursor {
  isShort = false;
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;

  constructor(bytes: Buffer, from: number, to: number) {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = to;
  }

  get hasMore(): boolean {
    return !this.isShort && this.#at < this.#end;
  }

  /** How many bytes are left. */
  get length(): number {
    return this.#end - this.#at;
  }

  /** An unsigned number with so many bytes; 0 when they are not there. */
  number(size: 1 | 2): number {
    const at = this.skip(size);
    const bytes = this.#bytes;
    if (this.isShort) return 0;
    return size === 1 ? (bytes[at] ?? 0) : ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  }

  /** Returns where the skipped bytes begin. */
  skip(size: number): number {
    const at = this.#at;
    if (size > this.#end - at) {
      this.isShort = true;
      this.#at = this.#end;
    } else {
      this.#at = at + size;
    }
    return at;
  }

  /** A vector: its length in so many bytes, then so many bytes. */
  vector(size: 1 | 2): Cursor {
    const from = this.skip(this.number(size));
    const inner = new Cursor(this.#bytes, from, this.#at);
    inner.isShort = this.isShort;
    return inner;
  }

  /** All that is left. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#at, this.#end);
  }
}

const malformed: HelloOutcome = { fault: "the hello is malformed" };

/** `bytes`: in which the hello's body is, between these places. */
function readHello(bytes: Buffer, from: number, to: number): HelloOutcome {
  const hello = new Cursor(bytes, from, to);
  hello.skip(2 + 32);
  hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  if (hello.isShort) return malformed;
  let name: string | null = null;
  let isNamed = false;
  let protocols: readonly string[] = [];
  const tickets: Buffer[] = [];
  // A TLS 1.2 hello may end here.
  const extensions = hello.hasMore ? hello.vector(2) : hello;
  while (extensions.hasMore) {
    const type = extensions.number(2);
    const extension = extensions.vector(2);
    if (extension.isShort) return malformed;
    if (type === serverNameExtension) {
      const found = readName(extension.vector(2));
      // With two names, a peer behind a passthrough could take the other one.
      if (found === undefined || isNamed) return malformed;
      isNamed = true;
      name = found;
    } else if (type === protocolsExtension) {
      protocols = readProtocols(extension.vector(2));
    } else if (type === ticketExtension) {
      addTicket(tickets, extension);
    } else if (type === keysExtension) {
      const identities = extension.vector(2);
      while (identities.hasMore) {
        addTicket(tickets, identities.vector(2));
        // The ticket's age.
        identities.skip(4);
      }
    }
  }
  return extensions.isShort ? malformed : { name, protocols, tickets };
}

function addTicket(tickets: Buffer[], ticket: Cursor): void {
  if (ticket.isShort || ticket.length < ticketNameBytes || tickets.length === maxTickets) return;
  tickets.push(ticket.rest());
}

/** Returns `null` when the extension names no host, `undefined` when it is malformed or names two. */
function readName(names: Cursor): string | null | undefined {
  while (names.hasMore) {
    const type = names.number(1);
    const value = names.vector(2);
    if (names.isShort) return undefined;
    if (type !== hostName) continue;
    const name = value.rest().toString("latin1");
    if (names.hasMore) return undefined;
    if (name === "" || name.startsWith("[") || !isHost(name)) return undefined;
    return normaliseHost(name);
  }
  return names.isShort ? undefined : null;
}

/** Returns the protocols that are complete. */
function readProtocols(list: Cursor): readonly string[] {
  const protocols: string[] = [];
  while (list.hasMore) {
    const protocol = list.vector(1);
    if (!list.isShort) protocols.push(protocol.rest().toString("latin1"));
  }
  return protocols;
}
