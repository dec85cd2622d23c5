/**
 * Decodes a chunked body (RFC 9112 section 7.1) strictly: whatever is not exactly a chunk is an error. It bounds and
 * drops extensions; it checks the trailer section and keeps it as text.
 */
import { hasBareLineEnd, isToken, trailerSection } from "./grammar.ts";

const maxExtensionBytes = 256;
const maxTrailerBytes = 8_192;
/** Smaller pieces of data are copied, so that several go on as one. */
const smallPiece = 4_096;
/** 2^48 - 1 is far above any body, and far below where numbers lose digits. */
const maxSizeDigits = 12;

/** Receives what a decoder finds, in order. */
export interface ChunkSink {
  /** Body bytes `buffer[from, to)`; never empty. Small chunks are gathered into one call. */
  onChunkData(buffer: Buffer, from: number, to: number): void;
}

type Stage =
  | "size"
  | "blank"
  | "extension"
  | "size-lf"
  | "data"
  | "data-cr"
  | "data-lf"
  | "trailer"
  | "done";

export class ChunkedDecoder {
  #stage: Stage = "size";
  #size = 0;
  #digits = 0;
  #extensionBytes = 0;
  /** Whether the name of an extension has begun. */
  #isNamed = false;
  #trailer = "";
  /** The pieces of the trailer section that have come so far; joined when it is complete. */
  #trailerPieces: string[] = [];
  #trailerLength = 0;
  /** Its last three characters. */
  #trailerTail = "";
  /** What is wrong with the body; empty while it is valid. */
  error = "";

  reset(): void {
    this.#stage = "size";
    this.#size = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailer = "";
    if (this.#trailerLength > 0) {
      this.#trailerPieces = [];
      this.#trailerLength = 0;
      this.#trailerTail = "";
    }
    this.error = "";
  }

  get isDone(): boolean {
    return this.#stage === "done";
  }

  /** The field lines of the trailer section, each with its CR LF; empty when there is none. */
  get trailer(): string {
    return this.#trailer.slice(0, -2);
  }

  /** Decodes `buffer` from `offset`. Returns where it stopped: at the end, after the body, or at an error. */
  decode(buffer: Buffer, offset: number, sink: ChunkSink): number {
    let at = offset;
    // What the sink gets next: one chunk where it stands, or several small ones together. Passing on one-byte chunks
    // one by one would cost twenty times as much as reading them.
    let gathered = buffer;
    let from = 0;
    let end = 0;
    while (at < buffer.length && this.#stage !== "done" && this.error === "") {
      if (this.#stage === "data") {
        const to = Math.min(buffer.length, at + this.#size);
        this.#size -= to - at;
        if (this.#size === 0) this.#stage = "data-cr";
        if (end > 0 && Math.max(to - at, end - from) >= smallPiece) {
          sink.onChunkData(gathered, from, end);
          gathered = buffer;
          end = 0;
        }
        if (end === 0) {
          from = at;
          end = to;
        } else {
          if (gathered === buffer) {
            gathered = Buffer.allocUnsafe(2 * smallPiece);
            end = buffer.copy(gathered, 0, from, end);
            from = 0;
          }
          end += buffer.copy(gathered, end, at, to);
        }
        at = to;
      } else if (this.#stage === "trailer") {
        at = this.#readTrailer(buffer, at);
      } else {
        this.#readByte(buffer[at] ?? 0);
        at += 1;
      }
    }
    if (end > 0) sink.onChunkData(gathered, from, end);
    return at;
  }

  #readByte(byte: number): void {
    switch (this.#stage) {
      case "size": {
        const digit = hexDigit(byte);
        if (digit !== -1) {
          this.#digits += 1;
          if (this.#digits > maxSizeDigits) this.error = "a chunk size has too many digits";
          this.#size = this.#size * 16 + digit;
        } else if (this.#digits === 0) {
          this.error = "a chunk size is missing";
        } else if (byte === 13) {
          this.#stage = "size-lf";
        } else if (byte === 59 || byte === 32 || byte === 9) {
          this.#stage = byte === 59 ? "extension" : "blank";
          this.#extensionBytes = 0;
          this.#isNamed = false;
        } else {
          this.error = "a chunk size is not hexadecimal";
        }
        break;
      }
      case "blank":
        // White space may stand before an extension, and nowhere else (RFC 9112 section 7.1.1).
        this.#extensionBytes += 1;
        if (byte === 59) this.#stage = "extension";
        else if ((byte !== 32 && byte !== 9) || this.#extensionBytes > maxExtensionBytes) {
          this.error = "white space after a chunk size";
        }
        break;
      case "extension":
        this.#extensionBytes += 1;
        if (byte === 13 && this.#isNamed) this.#stage = "size-lf";
        else if (this.#extensionBytes > maxExtensionBytes)
          this.error = "a chunk extension is too long";
        else if (!this.#isNamed) this.#readExtensionName(byte);
        else if ((byte < 32 && byte !== 9) || byte === 127)
          this.error = "a control in a chunk extension";
        break;
      case "size-lf":
        if (byte !== 10) this.error = "a chunk size does not end with CR LF";
        else this.#stage = this.#size === 0 ? "trailer" : "data";
        break;
      case "data-cr":
        if (byte !== 13) this.error = "a chunk does not end with CR LF";
        else this.#stage = "data-lf";
        break;
      case "data-lf":
        if (byte !== 10) this.error = "a chunk does not end with CR LF";
        else {
          this.#stage = "size";
          this.#size = 0;
          this.#digits = 0;
        }
        break;
    }
  }

  /** An extension must have a name: anything else before the name, such as a line end, is an error. */
  #readExtensionName(byte: number): void {
    if (byte === 32 || byte === 9) return;
    if (isToken(String.fromCharCode(byte))) this.#isNamed = true;
    else this.error = "a chunk extension without a name";
  }

  #readTrailer(buffer: Buffer, offset: number): number {
    const piece = buffer.toString(
      "latin1",
      offset,
      Math.min(buffer.length, offset + maxTrailerBytes + 1),
    );
    const before = this.#trailerLength;
    this.#trailerPieces.push(piece);
    this.#trailerLength += piece.length;
    // Only new characters are searched, and the last few before them, in which the end may begin.
    const near = this.#trailerTail + piece;
    const nearStart = before - this.#trailerTail.length;
    this.#trailerTail = near.slice(-3);
    const isEmpty = nearStart === 0 && near.startsWith("\r\n");
    const found = near.indexOf("\r\n\r\n");
    if (!isEmpty && found === -1) {
      // Skips the LF of a line end whose CR was checked before.
      const lines = nearStart > 0 && near.startsWith("\n") ? near.slice(1) : near;
      if (this.#trailerLength > maxTrailerBytes) this.error = "the trailer section is too long";
      else if (hasBareLineEnd(lines) || /\r\n[\t ]/.test(lines))
        this.error = "a malformed trailer section";
      return buffer.length;
    }
    const length = isEmpty ? 2 : nearStart + found + 4;
    if (length > maxTrailerBytes) this.error = "the trailer section is too long";
    this.#trailer = this.#trailerPieces.join("").slice(0, length);
    trailerSection.lastIndex = 0;
    if (!trailerSection.test(this.#trailer) || trailerSection.lastIndex !== length) {
      this.error = "a malformed trailer section";
    }
    this.#stage = "done";
    return offset + length - before;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
