/**
 * A streaming compressor of `node:zlib` as a tap of an answer's body. It compresses in the thread pool, so its
 * output comes later than its input.
 */
import {
  type BrotliCompress,
  constants,
  createBrotliCompress,
  createGzip,
  createZstdCompress,
  type Gzip,
  type ZstdCompress,
} from "node:zlib";
import type { BodyTap, TapOutput } from "../../gateway/engine/engine.ts";
import type { Slots } from "../slots.ts";

export type Coding = "zstd" | "br" | "gzip";

type Stream = BrotliCompress | Gzip | ZstdCompress;

/** The level of each coding: fast enough for answers that are made for each request. */
const brotliQuality = 4;
const gzipLevel = 5;
const zstdLevel = 3;
/** 256 KiB: more would cost each running answer more memory than most bodies have bytes. */
const brotliWindowBits = 18;
const zstdWindowLog = 18;

export class Compressor implements BodyTap {
  readonly #coding: Coding;
  readonly #isStreaming: boolean;
  readonly #slots: Slots;
  #stream: Stream | null = null;
  /** Whether another flush is due after the one that runs. */
  #wantsFlush = false;
  #isFlushing = false;

  /**
   * Takes no memory and no slot before `begin`, which an answer without a body does not get.
   * @param isStreaming each piece is passed on at once, as it came, at the price of a larger whole.
   */
  constructor(coding: Coding, isStreaming: boolean, slots: Slots) {
    this.#coding = coding;
    this.#isStreaming = isStreaming;
    this.#slots = slots;
  }

  begin(out: TapOutput): void {
    this.#slots.take();
    const stream = open(this.#coding);
    this.#stream = stream;
    stream.on("data", (piece: Buffer) => {
      if (!out.write(piece)) stream.pause();
    });
    stream.on("drain", () => out.resume());
    stream.on("end", () => {
      this.#settle();
      out.end();
    });
    stream.on("error", (error) => {
      this.#settle();
      out.fail(502, "compress_failed", `the answer cannot be compressed: ${error.message}`);
    });
  }

  write(piece: Buffer): boolean {
    const stream = this.#stream;
    if (stream === null) return true;
    const hasRoom = stream.write(piece);
    if (this.#isStreaming) this.#flush(stream);
    return hasRoom;
  }

  end(): void {
    this.#stream?.end();
  }

  onDrain(): void {
    this.#stream?.resume();
  }

  abort(): void {
    this.#stream?.destroy();
    this.#settle();
  }

  /** One flush at a time, because many small pieces at once do not each need one. */
  #flush(stream: Stream): void {
    if (this.#isFlushing) {
      this.#wantsFlush = true;
      return;
    }
    this.#isFlushing = true;
    stream.flush(() => {
      this.#isFlushing = false;
      if (!this.#wantsFlush || this.#stream === null) return;
      this.#wantsFlush = false;
      this.#flush(stream);
    });
  }

  #settle(): void {
    if (this.#stream === null) return;
    this.#stream = null;
    this.#slots.giveBack();
  }
}

function open(coding: Coding): Stream {
  switch (coding) {
    case "br":
      return createBrotliCompress({
        flush: constants.BROTLI_OPERATION_PROCESS,
        params: {
          [constants.BROTLI_PARAM_QUALITY]: brotliQuality,
          [constants.BROTLI_PARAM_LGWIN]: brotliWindowBits,
        },
      });
    case "zstd":
      return createZstdCompress({
        params: {
          [constants.ZSTD_c_compressionLevel]: zstdLevel,
          [constants.ZSTD_c_windowLog]: zstdWindowLog,
        },
      });
    case "gzip":
      return createGzip({ level: gzipLevel });
  }
}
