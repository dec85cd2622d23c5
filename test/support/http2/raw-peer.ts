/** A peer that speaks HTTP/2 in clear with frames that are written by hand: it keeps what comes, and sends what it is told. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Peer, Target } from "../../../gateway/engine/engine.ts";
import { until } from "../conditions.ts";
import {
  type Frame,
  FrameReader,
  frame,
  frameFlag,
  frameType,
  preface,
  settingsFrame,
} from "./frames.ts";
import { type Field, HpackDecoder, headerBlock } from "./hpack.ts";

/** A request whose head has come. */
export interface RawRequest {
  readonly stream: number;
  readonly fields: readonly Field[];
}

/** One connection of the gateway's. */
export class RawPeerConnection {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  readonly requests: RawRequest[] = [];
  closed = false;
  readonly #reader = new FrameReader();
  readonly #decoder = new HpackDecoder();
  #preface = preface.length;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
    });
  }

  /** Begins to read. `onRequest` and `onFrame` are called for each head, and for each frame. */
  start(onFrame: (frame: Frame) => void, onRequest: (request: RawRequest) => void): void {
    this.socket.on("data", (bytes: Buffer) => {
      const skipped = Math.min(this.#preface, bytes.length);
      this.#preface -= skipped;
      this.#reader.push(bytes.subarray(skipped));
      for (let next = this.#reader.next(); next !== null; next = this.#reader.next()) {
        this.frames.push(next);
        onFrame(next);
        if (next.type !== frameType.headers) continue;
        const request = { stream: next.stream, fields: this.#decoder.decode(next.payload) };
        this.requests.push(request);
        onRequest(request);
      }
    });
  }

  send(...frames: readonly Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  framesOf(type: number, stream?: number): readonly Frame[] {
    return this.frames.filter(
      (one) => one.type === type && (stream === undefined || one.stream === stream),
    );
  }

  /** How much content came on a stream. */
  received(stream: number): number {
    return this.framesOf(frameType.data, stream).reduce(
      (sum, { payload }) => sum + payload.length,
      0,
    );
  }

  /** The code of the first RST_STREAM on a stream. */
  async reset(stream: number): Promise<number> {
    await until(
      `stream ${stream} is reset`,
      () => this.framesOf(frameType.rstStream, stream).length > 0,
    );
    return this.framesOf(frameType.rstStream, stream)[0]?.payload.readUInt32BE(0) ?? -1;
  }

  /** The code of the first GOAWAY. */
  async goaway(): Promise<number> {
    await until("GOAWAY came", () => this.framesOf(frameType.goaway).length > 0);
    return this.framesOf(frameType.goaway)[0]?.payload.readUInt32BE(4) ?? -1;
  }
}

export interface RawPeerScript {
  /** Default: sends SETTINGS without any. */
  readonly onOpen?: (connection: RawPeerConnection) => void;
  readonly onRequest?: (connection: RawPeerConnection, request: RawRequest) => void;
  readonly onFrame?: (connection: RawPeerConnection, frame: Frame) => void;
}

export interface RawPeer {
  readonly target: Target;
  readonly connections: readonly RawPeerConnection[];
  close(): void;
}

export async function startRawPeer(
  { onOpen, onRequest, onFrame }: RawPeerScript,
  maxTries?: number,
): Promise<RawPeer> {
  const connections: RawPeerConnection[] = [];
  const server = createServer((socket) => {
    const connection = new RawPeerConnection(socket);
    connections.push(connection);
    connection.start(
      (frame) => onFrame?.(connection, frame),
      (request) => onRequest?.(connection, request),
    );
    if (onOpen === undefined) connection.send(settingsFrame());
    else onOpen(connection);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const target = new Target(new Peer("127.0.0.1", port), {
    protocol: "h2c",
    ...(maxTries === undefined ? {} : { maxTries }),
  });
  return {
    target,
    connections,
    close() {
      for (const { socket } of connections) socket.destroy();
      server.close();
    },
  };
}

/** HEADERS with a whole head in them. */
export function headersFrame(stream: number, fields: readonly Field[], isLast = false): Buffer {
  const flags = frameFlag.endHeaders | (isLast ? frameFlag.endStream : 0);
  return frame(frameType.headers, flags, stream, headerBlock(fields));
}
