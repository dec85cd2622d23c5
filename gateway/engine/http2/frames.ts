/** HTTP/2's numbers: types and flags of frames, codes of errors, settings (RFC 9113 sections 6 and 7). */

export const frameType = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const frameFlag = {
  ack: 0x1,
  endStream: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const errorCode = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  enhanceYourCalm: 0xb,
} as const;

export const setting = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
  /** RFC 8441 section 3. */
  enableConnectProtocol: 0x8,
} as const;

/** What a client sends first (RFC 9113 section 3.4). */
export const preface: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const frameHeaderBytes = 9;
/** The longest frame that is accepted, and that is sent: nobody gains by longer ones (RFC 9113 section 4.2). */
export const maxFrameBytes = 16_384;
/** A window's size before a setting changes it, and the largest that there may be (RFC 9113 section 6.9). */
export const initialWindowBytes = 65_535;
export const maxWindowBytes = 0x7fffffff;
export const maxStreamId = 0x7fffffff;
