/**
 * One HTTP/2 connection of a client that writes its frames by hand: it sends exactly the frames it is given, keeps
 * every frame that comes, and reads answers strictly. What a polite client does by itself (windows, acknowledgements)
 * can be switched off.
 */
import { connect, type Socket } from "node:net";
import { until } from "../conditions.ts";
import { reset } from "../reset.ts";
import {
  type Frame,
  FrameReader,
  frame,
  frameFlag,
  frameType,
  preface,
  setting,
  settingsFrame,
  windowUpdate,
} from "./frames.ts";
import { type Field, HpackDecoder, headerBlock } from "./hpack.ts";

export interface Http2Options {
  /** The local address, for telling clients apart. */
  readonly from?: string;
  /** Settings of the client's first frame; `null`: the connection sends nothing by itself, not even the preface. */
  readonly settings?: readonly (readonly [id: number, value: number])[] | null;
  /** Whether windows are opened again as data comes. Default true. */
  readonly opensWindows?: boolean;
  /** Whether the server's settings and pings are acknowledged. Default: unless `settings` is `null`. */
  readonly acknowledges?: boolean;
}

/** What came on one stream. */
export class Http2Answer {
  /** Heads of 1xx, in order. */
  readonly interim: (readonly Field[])[] = [];
  /** The final head; `null` as long as it has not come. */
  fields: readonly Field[] | null = null;
  trailers: readonly Field[] = [];
  readonly pieces: Buffer[] = [];
  /** Whether the head was the last frame. */
  isBodiless = false;
  /** END_STREAM came. */
  ended = false;
  /** The code of RST_STREAM; `null` as long as there was none. */
  resetCode: number | null = null;

  get status(): number {
    return Number(this.fields?.find(([name]) => name === ":status")?.[1] ?? 0);
  }

  get body(): Buffer {
    return Buffer.concat(this.pieces);
  }

  get isOver(): boolean {
    return this.ended || this.resetCode !== null;
  }

  field(name: string): string | undefined {
    return this.fields?.find(([key]) => key === name)?.[1];
  }
}

export class Http2Connection {
  readonly socket: Socket;
  /** Every frame that came. */
  readonly frames: Frame[] = [];
  readonly answers = new Map<number, Http2Answer>();
  /** What the server lets the client send, by its windows and settings. */
  readonly room: SendRoom = new SendRoom();
  receivedBytes = 0;
  /** The server ended its side. */
  ended = false;
  closed = false;
  /** Something came that the server must never send. */
  violation: Error | null = null;
  /** Called when a frame was taken. */
  onFrame: (frame: Frame) => void = () => {};
  readonly #reader = new FrameReader();
  readonly #decoder = new HpackDecoder();
  readonly #options: Http2Options;
  readonly #acknowledges: boolean;
  #block: { readonly frame: Frame; readonly pieces: Buffer[] } | null = null;
  #lastStream = -1;

  constructor(socket: Socket, options: Http2Options) {
    this.socket = socket;
    this.#options = options;
    this.#acknowledges = options.acknowledges ?? options.settings !== null;
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("end", () => {
      this.ended = true;
    });
    // A reset is seen as `closed`.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
    });
    const { settings } = options;
    if (settings !== null) this.send(preface, settingsFrame(settings ?? []));
  }

  send(...frames: readonly Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  /** The id of a stream that was not used yet. */
  newStream(): number {
    this.#lastStream += 2;
    return this.#lastStream;
  }

  /** Sends a request's head; `fields` may be anything. Returns its stream. */
  request(
    fields: readonly Field[],
    options: { readonly isLast?: boolean; readonly stream?: number } = {},
  ): number {
    const stream = options.stream ?? this.newStream();
    this.expect(stream);
    const last = options.isLast === false ? 0 : frameFlag.endStream;
    const block = headerBlock(fields);
    this.send(frame(frameType.headers, frameFlag.endHeaders | last, stream, block));
    return stream;
  }

  expect(stream: number): void {
    if (!this.answers.has(stream)) this.answers.set(stream, new Http2Answer());
  }

  /** What has come on a stream so far. */
  answerOn(stream: number): Http2Answer {
    const answer = this.answers.get(stream);
    if (answer === undefined) throw new Error(`stream ${stream} was never opened`);
    return answer;
  }

  /** The whole answer of a stream, or what came before it was reset. */
  async answer(stream: number): Promise<Http2Answer> {
    const answer = this.answerOn(stream);
    await until(`stream ${stream} is over`, () => answer.isOver || this.isOver, {
      describe: () => ({ status: answer.status, goaway: this.goaway }),
    });
    return answer;
  }

  /** The code of the last GOAWAY and the last stream it names; `null` when none came. */
  get goaway(): { readonly lastStream: number; readonly code: number } | null {
    const last = this.frames.findLast(({ type }) => type === frameType.goaway);
    if (last === undefined) return null;
    const { payload } = last;
    return { lastStream: payload.readUInt32BE(0) & 0x7fffffff, code: payload.readUInt32BE(4) };
  }

  get isOver(): boolean {
    return this.ended || this.closed || this.violation !== null;
  }

  framesOf(type: number): readonly Frame[] {
    return this.frames.filter((one) => one.type === type);
  }

  async whenClosed(): Promise<void> {
    await until("the gateway closed the client's connection", () => this.ended || this.closed, {
      describe: () => this.frames.slice(-5).map(({ type, stream }) => ({ type, stream })),
    });
  }

  reset(): void {
    reset(this.socket);
  }

  close(): void {
    this.socket.destroy();
  }

  #read(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    this.#reader.push(bytes);
    try {
      for (let next = this.#reader.next(); next !== null; next = this.#reader.next()) {
        this.frames.push(next);
        this.#take(next);
        this.onFrame(next);
      }
    } catch (error) {
      this.violation ??= error as Error;
    }
  }

  #take(taken: Frame): void {
    const { type, flags, stream, payload } = taken;
    if (this.#block !== null && type !== frameType.continuation) {
      throw new Error(`a frame of type ${type} in the middle of a header block`);
    }
    switch (type) {
      case frameType.data:
        this.#takeData(taken);
        break;
      case frameType.headers:
        this.#block = { frame: taken, pieces: [unpadded(taken)] };
        if ((flags & frameFlag.endHeaders) !== 0) this.#endBlock();
        break;
      case frameType.continuation:
        this.#block?.pieces.push(payload);
        if ((flags & frameFlag.endHeaders) !== 0) this.#endBlock();
        break;
      case frameType.rstStream:
        this.answerOn(stream).resetCode = payload.readUInt32BE(0);
        break;
      case frameType.settings:
        this.#takeSettings(taken);
        break;
      case frameType.ping:
        if ((flags & frameFlag.ack) === 0 && this.#acknowledges) {
          this.send(frame(frameType.ping, frameFlag.ack, 0, payload));
        }
        break;
      case frameType.windowUpdate:
        this.room.open(stream, payload.readUInt32BE(0) & 0x7fffffff);
        break;
      case frameType.goaway:
        break;
      default:
        throw new Error(`a server must not send a frame of type ${type}`);
    }
  }

  #takeSettings({ flags, payload }: Frame): void {
    if ((flags & frameFlag.ack) !== 0) return;
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) === setting.initialWindowSize) {
        this.room.setInitial(payload.readUInt32BE(at + 2));
      }
    }
    if (this.#acknowledges) {
      this.send(frame(frameType.settings, frameFlag.ack, 0));
    }
  }

  #takeData(taken: Frame): void {
    const { flags, stream, payload } = taken;
    const answer = this.answerOn(stream);
    if (answer.fields === null || answer.ended) throw new Error(`data out of place on ${stream}`);
    const piece = unpadded(taken);
    if (piece.length > 0) answer.pieces.push(piece);
    answer.ended = (flags & frameFlag.endStream) !== 0;
    if (payload.length === 0 || this.#options.opensWindows === false) return;
    this.send(windowUpdate(0, payload.length));
    if (!answer.ended) this.send(windowUpdate(stream, payload.length));
  }

  #endBlock(): void {
    const block = this.#block;
    if (block === null) return;
    this.#block = null;
    const fields = this.#decoder.decode(Buffer.concat(block.pieces));
    const answer = this.answerOn(block.frame.stream);
    const ends = (block.frame.flags & frameFlag.endStream) !== 0;
    if (answer.ended) throw new Error(`headers behind the end of stream ${block.frame.stream}`);
    checkFields(fields, answer.fields !== null);
    const status = Number(fields[0]?.[1]);
    if (answer.fields !== null) answer.trailers = fields;
    else if (status < 200) answer.interim.push(fields);
    else {
      answer.fields = fields;
      answer.isBodiless = ends;
    }
    answer.ended = ends;
  }
}

/** What a client may send: the server's windows (RFC 9113 section 6.9). */
export class SendRoom {
  #connection = 65_535;
  #initial = 65_535;
  readonly #streams = new Map<number, number>();

  setInitial(size: number): void {
    for (const [stream, room] of this.#streams) {
      this.#streams.set(stream, room + size - this.#initial);
    }
    this.#initial = size;
  }

  open(stream: number, increment: number): void {
    if (stream === 0) this.#connection += increment;
    else this.#streams.set(stream, this.of(stream) + increment);
  }

  of(stream: number): number {
    return this.#streams.get(stream) ?? this.#initial;
  }

  /** How much of `wanted` may go out now, which is then used up. */
  take(stream: number, wanted: number): number {
    const most = Math.max(0, Math.min(wanted, this.#connection, this.of(stream)));
    this.#connection -= most;
    this.#streams.set(stream, this.of(stream) - most);
    return most;
  }
}

/** Opens a connection to a port of 127.0.0.1. */
export async function openHttp2(
  port: number,
  options: Http2Options = {},
): Promise<Http2Connection> {
  const socket = connect({
    host: "127.0.0.1",
    port,
    noDelay: true,
    ...(options.from === undefined ? {} : { localAddress: options.from }),
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("connect", resolve);
  socket.once("error", reject);
  await promise;
  socket.off("error", reject);
  return new Http2Connection(socket, options);
}

/** The head of a request for `path`, further fields included. */
export function requestFields(
  path: string,
  more: readonly Field[] = [],
  method = "GET",
): readonly Field[] {
  return [
    [":method", method],
    [":scheme", "http"],
    [":authority", "shop.example"],
    [":path", path],
    ...more,
  ];
}

function unpadded({ flags, type, payload }: Frame): Buffer {
  let from = 0;
  let to = payload.length;
  if ((flags & frameFlag.padded) !== 0) {
    from += 1;
    to -= payload.readUInt8(0);
  }
  if (type === frameType.headers && (flags & frameFlag.priority) !== 0) from += 5;
  return payload.subarray(from, to);
}

const connectionFields = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** RFC 9113 section 8.2 and 8.3: what an answer or its trailer may look like. */
function checkFields(fields: readonly Field[], isTrailer: boolean): void {
  fields.forEach(([name, value], index) => {
    if (!/^:?[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) throw new Error(`bad field name ${name}`);
    if (/[\0\r\n]|^[\t ]|[\t ]$/.test(value)) throw new Error(`bad value of ${name}`);
    if (connectionFields.has(name)) throw new Error(`${name} has no place in HTTP/2`);
    const mayBePseudo = index === 0 && !isTrailer;
    if ((name === ":status") !== mayBePseudo) throw new Error(`${name} at place ${index}`);
  });
}
