/** Frames of HTTP/2 as bytes (RFC 9113 sections 4 and 6), for tests that send what no library would. */

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const frameFlag = {
  ack: 0x01,
  endStream: 0x01,
  endHeaders: 0x04,
  padded: 0x08,
  priority: 0x20,
} as const;

export const errorCode = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
} as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

const headBytes = 9;
const nothing = Buffer.alloc(0);

/** The bytes of one frame. `length` says another length than the payload has. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = nothing,
  length = payload.length,
): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([head, payload]);
}

export function settingsFrame(
  entries: readonly (readonly [id: number, value: number])[] = [],
): Buffer {
  const payload = Buffer.alloc(entries.length * 6);
  entries.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value >>> 0, index * 6 + 2);
  });
  return frame(frameType.settings, 0, 0, payload);
}

export function windowUpdate(stream: number, increment: number): Buffer {
  return frame(frameType.windowUpdate, 0, stream, uint32(increment));
}

export function rstStream(stream: number, code: number): Buffer {
  return frame(frameType.rstStream, 0, stream, uint32(code));
}

export function ping(payload: Buffer = Buffer.alloc(8)): Buffer {
  return frame(frameType.ping, 0, 0, payload);
}

export function goaway(lastStream: number, code: number): Buffer {
  return frame(frameType.goaway, 0, 0, Buffer.concat([uint32(lastStream), uint32(code)]));
}

export function dataFrame(stream: number, payload: Buffer | string, isLast: boolean): Buffer {
  const bytes = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
  return frame(frameType.data, isLast ? frameFlag.endStream : 0, stream, bytes);
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  #pending: Buffer = nothing;

  push(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
  }

  next(): Frame | null {
    const pending = this.#pending;
    if (pending.length < headBytes) return null;
    const end = headBytes + pending.readUIntBE(0, 3);
    if (pending.length < end) return null;
    this.#pending = pending.subarray(end);
    return {
      type: pending.readUInt8(3),
      flags: pending.readUInt8(4),
      stream: pending.readUInt32BE(5) & 0x7fffffff,
      payload: pending.subarray(headBytes, end),
    };
  }
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
