/**
 * Reads header blocks (RFC 7541) of one connection, in one direction. Work and memory are bounded by the length of a
 * block and by the limits given, whatever the block says.
 */
import { decodeHuffman, mostBytesPerByte } from "./huffman.ts";
import { entryOverheadBytes, staticEntries, staticNames, staticValues } from "./static-table.ts";

/**
 * `malformed`: a name or a value has characters that RFC 9113 section 8.2.1 forbids. `too_large`: there were more
 * fields, or more bytes of them, than allowed. Both concern this head alone, and the table is in step. `broken`:
 * nobody can tell any more what the other side means, so the connection cannot go on (COMPRESSION_ERROR).
 */
export type HpackOutcome = "ok" | "malformed" | "too_large" | "broken";

/** More than any length, index or size that is allowed. Larger integers are not read to their end. */
const maxInteger = 2 ** 24;

/** What a byte must not be in, and what of a field is malformed. */
const inName = 1;
const inValue = 2;
/** Not behind a name's first byte. */
const insideName = 4;
const colon = 0x3a;
const forbidden = forbiddenBytes();

/** What Huffman code becomes; shared, because a string is taken out of it before anything else can happen. */
let unpacked = Buffer.allocUnsafeSlow(4_096);

export class HpackDecoder {
  readonly #maxTableBytes: number;
  readonly #maxListBytes: number;
  readonly #maxFields: number;
  /** The dynamic table as a ring; entry n (counted from 0) is at n modulo its size. */
  readonly #mask: number;
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  readonly #wrong: number[] = [];
  #inserted = 0;
  #entries = 0;
  #tableBytes = 0;
  #tableLimit: number;
  /** The block that is being read, and what is malformed in the field that was read last. */
  #block: Buffer = unpacked;
  #at = 0;
  #to = 0;
  #wrongHere = 0;

  /**
   * `maxTableBytes`: what this side's SETTINGS allow; 4096 unless they say otherwise. `maxListBytes`: how large a head
   * may be as RFC 9113 section 6.5.2 counts it, with 32 bytes for each field.
   */
  constructor(maxTableBytes: number, maxListBytes: number, maxFields: number) {
    this.#maxTableBytes = maxTableBytes;
    this.#tableLimit = maxTableBytes;
    this.#maxListBytes = maxListBytes;
    this.#maxFields = maxFields;
    const mostEntries = Math.max(1, Math.floor(maxTableBytes / entryOverheadBytes));
    this.#mask = 2 ** Math.ceil(Math.log2(mostEntries)) - 1;
  }

  /**
   * Reads the block `block[from, to)` and appends its names and values alternately to `fields`, as latin1 strings. Of
   * a head that is too large, only the fields within the limits are appended.
   */
  decode(block: Buffer, from: number, to: number, fields: string[]): HpackOutcome {
    this.#block = block;
    this.#at = from;
    this.#to = to;
    let isMalformed = false;
    let isTooLarge = false;
    let listBytes = 0;
    let left = this.#maxFields;
    let mayResize = true;
    while (this.#at < to) {
      const first = block[this.#at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        if (!mayResize || !this.#resize(this.#readInteger(0x1f))) return "broken";
        continue;
      }
      mayResize = false;
      let name: string;
      let value: string;
      this.#wrongHere = 0;
      if (first >= 0x80) {
        const index = this.#readInteger(0x7f);
        if (index <= staticEntries) {
          if (index <= 0) return "broken";
          name = staticNames[index] ?? "";
          value = staticValues[index] ?? "";
        } else {
          const slot = this.#slotOf(index);
          if (slot === -1) return "broken";
          name = this.#names[slot] ?? "";
          value = this.#values[slot] ?? "";
          this.#wrongHere = this.#wrong[slot] ?? 0;
        }
      } else {
        const isInserted = first >= 0x40;
        const known = this.#readName(isInserted ? 0x3f : 0x0f);
        if (known === null) return "broken";
        const read = this.#readString(inValue);
        if (read === null) return "broken";
        name = known;
        value = read;
        if (isInserted) this.#insert(name, value);
      }
      listBytes += name.length + value.length + entryOverheadBytes;
      left -= 1;
      if (left < 0 || listBytes > this.#maxListBytes) isTooLarge = true;
      else fields.push(name, value);
      if (this.#wrongHere !== 0) isMalformed = true;
    }
    if (isTooLarge) return "too_large";
    return isMalformed ? "malformed" : "ok";
  }

  /** The name of a literal field. `null`: it cannot be read. */
  #readName(prefix: number): string | null {
    const index = this.#readInteger(prefix);
    if (index === 0) return this.#readString(inName);
    if (index <= staticEntries) return index < 0 ? null : (staticNames[index] ?? "");
    const slot = this.#slotOf(index);
    if (slot === -1) return null;
    this.#wrongHere = (this.#wrong[slot] ?? 0) & inName;
    return this.#names[slot] ?? "";
  }

  /** `null`: the string is cut off or not in Huffman's code. */
  #readString(kind: typeof inName | typeof inValue): string | null {
    const isPacked = (this.#block[this.#at] ?? 0) >= 0x80;
    const length = this.#readInteger(0x7f);
    const from = this.#at;
    const to = from + length;
    if (length < 0 || to > this.#to) return null;
    this.#at = to;
    if (!isPacked) return this.#take(this.#block, from, to, kind);
    const room = Math.ceil(length * mostBytesPerByte);
    if (unpacked.length < room) unpacked = Buffer.allocUnsafeSlow(2 * room);
    const count = decodeHuffman(this.#block, from, to, unpacked);
    return count === -1 ? null : this.#take(unpacked, 0, count, kind);
  }

  /** Makes a string, and looks whether its characters are allowed. */
  #take(bytes: Buffer, from: number, to: number, kind: typeof inName | typeof inValue): string {
    let seen = 0;
    for (let at = from; at < to; at += 1) seen |= forbidden[bytes[at] ?? 0] ?? 0;
    const isWrong =
      (seen & kind) !== 0 ||
      (kind === inValue
        ? from < to && (isBlank(bytes[from]) || isBlank(bytes[to - 1]))
        : from === to || ((seen & insideName) !== 0 && bytes.lastIndexOf(colon, to - 1) > from));
    if (isWrong) this.#wrongHere |= kind;
    return from === to ? "" : bytes.toString("latin1", from, to);
  }

  /** Reads an integer whose first byte is next (RFC 7541 section 5.1). -1: it is cut off or larger than anything here. */
  #readInteger(prefix: number): number {
    const block = this.#block;
    let value = (block[this.#at] ?? 0) & prefix;
    this.#at += 1;
    if (value < prefix) return this.#at > this.#to ? -1 : value;
    for (let shift = 0; this.#at < this.#to; shift += 7) {
      const byte = block[this.#at] ?? 0;
      this.#at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (value > maxInteger || shift > 21) return -1;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** Where the dynamic table has the entry of this index. -1: there is none. */
  #slotOf(index: number): number {
    const age = index - staticEntries;
    return age > this.#entries ? -1 : (this.#inserted - age) & this.#mask;
  }

  #insert(name: string, value: string): void {
    const size = name.length + value.length + entryOverheadBytes;
    this.#evictTo(this.#tableLimit - size);
    if (size > this.#tableLimit) return;
    const slot = this.#inserted & this.#mask;
    this.#names[slot] = name;
    this.#values[slot] = value;
    this.#wrong[slot] = this.#wrongHere;
    this.#inserted += 1;
    this.#entries += 1;
    this.#tableBytes += size;
  }

  /** Returns whether the other side may give the table this size. */
  #resize(bytes: number): boolean {
    if (bytes < 0 || bytes > this.#maxTableBytes) return false;
    this.#tableLimit = bytes;
    this.#evictTo(bytes);
    return true;
  }

  #evictTo(bytes: number): void {
    while (this.#tableBytes > bytes && this.#entries > 0) {
      const slot = (this.#inserted - this.#entries) & this.#mask;
      this.#tableBytes -=
        (this.#names[slot]?.length ?? 0) + (this.#values[slot]?.length ?? 0) + entryOverheadBytes;
      this.#names[slot] = "";
      this.#values[slot] = "";
      this.#entries -= 1;
    }
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09;
}

function forbiddenBytes(): Uint8Array {
  const bytes = new Uint8Array(256);
  for (const byte of bytes.keys()) {
    const isUpperCase = byte >= 0x41 && byte <= 0x5a;
    if (byte <= 0x20 || isUpperCase || byte >= 0x7f) bytes[byte] = inName;
  }
  for (const byte of [0x00, 0x0a, 0x0d]) bytes[byte] = inName | inValue;
  bytes[colon] = insideName;
  return bytes;
}
