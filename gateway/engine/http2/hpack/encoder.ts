/**
 * Writes header blocks (RFC 7541) of one connection, in one direction. Strings go out as they are: Huffman's code would
 * save the network a few bytes and cost both sides more time than that is worth.
 *
 * A field gets into the dynamic table when it comes with the same value a second time. Lengths, ids and random paths so
 * never push out what repeats, and need no list of their names.
 */
import { entryOverheadBytes, staticEntries, staticNames, staticValues } from "./static-table.ts";

/** What a block is written into. */
export interface BlockSink {
  buffer: Buffer;
  /** Where the next byte goes. */
  end: number;
  /** Makes room for so many more bytes behind `end`, perhaps in another buffer. */
  reserve(bytes: number): void;
}

/** The default of SETTINGS_HEADER_TABLE_SIZE, and the most that is used of what the other side allows. */
const mostTableBytes = 4_096;
/** Larger fields are not worth the entries that they would push out. */
const mostNameBytes = 64;
const mostValueBytes = 256;
/** Whoever sends many names or values must not make each later field a long search. */
const mostNames = 128;
const mostValues = 16;
/** Heads resemble each other: for so many fields, the name that was at this place last time is tried first. */
const predictedFields = 32;
/** How many entries that were pushed out may be kept until their lists are cut. */
const mostOld = 128;
/** Up to this length a loop writes a string faster than a call does. */
const longestLoop = 24;
/** More bytes than the integers of a field take, and the table's sizes in front of a block. */
const integersBytes = 12;

/**
 * What must not be found out by guesses at what compresses well (RFC 7541 section 7.1). A URL keeps its secrets in its
 * query.
 */
const secretName =
  /^(?!:).*(?:auth|cookie|token|secret|passw|session|csrf|api-?key|credential|signature)/;
const urlNames: ReadonlySet<string> = new Set([":path", "location", "referer"]);

/** A name, with its values in the tables. */
interface Name {
  /** A copy, because a part of a string keeps all of it in memory. */
  readonly text: string;
  /** Its first entry in the static table; 0: none. */
  readonly staticIndex: number;
  readonly isSecret: boolean;
  readonly isUrl: boolean;
  /** The values, and which entry each is: negative in the static table, else counted from 1 as they were inserted. */
  readonly values: string[];
  readonly entries: number[];
  /** How many of the values are in the static table. They come first. */
  readonly fixed: number;
  /** A hash of the value that came last and was not in the tables. A string would keep all of its head in memory. */
  lastHash: number;
}

const staticIndexes = firstIndexes();

export class HpackEncoder {
  readonly #names = new Map<string, Name>();
  /** The names of the last block by their places in it. It halves the time for a head that resembles the last. */
  readonly #predicted: Name[] = [];
  /** The entries of the dynamic table, the oldest first: what they belong to, and their sizes. */
  readonly #owners: Name[] = [];
  readonly #sizes: number[] = [];
  /** The oldest one's place in these lists. */
  #oldest = 0;
  #inserted = 0;
  #tableBytes = 0;
  #tableLimit = mostTableBytes;
  /** The smallest size that was set since the last block, which the other side has to be told; -1: none. */
  #smallestLimit = -1;

  /** The other side allows a dynamic table of so many bytes. */
  setMaxTableBytes(bytes: number): void {
    const limit = Math.min(bytes, mostTableBytes);
    if (limit === this.#tableLimit) return;
    this.#tableLimit = limit;
    this.#smallestLimit = this.#smallestLimit === -1 ? limit : Math.min(limit, this.#smallestLimit);
    this.#evictTo(limit);
  }

  /** Writes a block. `fields`: names in lower case and values alternately, as latin1 strings. */
  encode(fields: readonly string[], out: BlockSink): void {
    let bytes = integersBytes;
    for (const text of fields) bytes += text.length + integersBytes;
    out.reserve(bytes);
    const { buffer } = out;
    let end = this.#smallestLimit === -1 ? out.end : this.#writeLimits(buffer, out.end);
    for (let at = 0; at < fields.length; at += 2) {
      const text = fields[at] ?? "";
      const value = fields[at + 1] ?? "";
      const name = this.#nameAt(at >>> 1, text);
      end =
        name === null
          ? writeLiteral(0x00, 0x0f, 0, text, value, buffer, end)
          : this.#writeField(name, value, buffer, end);
    }
    out.end = end;
  }

  /** `null`: the name is not known, and will not be. */
  #nameAt(place: number, text: string): Name | null {
    const predicted = this.#predicted[place];
    if (predicted !== undefined && predicted.text === text) return predicted;
    const name = this.#names.get(text) ?? this.#learn(text);
    if (name !== null && place < predictedFields) this.#predicted[place] = name;
    return name;
  }

  #writeField(name: Name, value: string, buffer: Buffer, at: number): number {
    const { text, values, entries } = name;
    const place = values.indexOf(value);
    if (place !== -1) {
      return writeInteger(0x80, 0x7f, this.#indexOf(entries[place] ?? 0), buffer, at);
    }
    const newest = entries[entries.length - 1];
    const index =
      name.staticIndex === 0 && newest !== undefined ? this.#indexOf(newest) : name.staticIndex;
    if (name.isSecret) return writeLiteral(0x10, 0x0f, index, text, value, buffer, at);
    if (!this.#isRepeated(name, value)) {
      return writeLiteral(0x00, 0x0f, index, text, value, buffer, at);
    }
    const end = writeLiteral(0x40, 0x3f, index, text, value, buffer, at);
    this.#insert(name, buffer.toString("latin1", end - value.length, end));
    return end;
  }

  /** `null`: there are too many names already, or it is too long. */
  #learn(text: string): Name | null {
    if (text.length > mostNameBytes) return null;
    if (this.#names.size >= mostNames) {
      for (const [other, { values }] of this.#names) {
        if (values.length === 0) this.#names.delete(other);
      }
      if (this.#names.size >= mostNames) return null;
    }
    const staticIndex = staticIndexes.get(text) ?? 0;
    const values: string[] = [];
    const entries: number[] = [];
    if (staticIndex !== 0) {
      for (let index = staticIndex; staticNames[index] === text; index += 1) {
        if (staticValues[index] === "") break;
        values.push(staticValues[index] ?? "");
        entries.push(-index);
      }
    }
    const name: Name = {
      text: Buffer.from(text, "latin1").toString("latin1"),
      staticIndex,
      isSecret: secretName.test(text),
      isUrl: urlNames.has(text),
      ...{ values, entries, fixed: values.length, lastHash: 0 },
    };
    this.#names.set(name.text, name);
    return name;
  }

  /** Whether the value, which is in no table, came last time as well, and may get in. */
  #isRepeated(name: Name, value: string): boolean {
    if (value.length > mostValueBytes || name.values.length - name.fixed >= mostValues)
      return false;
    const hash = hashOf(value);
    if (hash !== name.lastHash) {
      name.lastHash = hash;
      return false;
    }
    if (name.isUrl && value.includes("?")) return false;
    return name.text.length + value.length + entryOverheadBytes <= this.#tableLimit;
  }

  #insert(name: Name, value: string): void {
    const size = name.text.length + value.length + entryOverheadBytes;
    this.#evictTo(this.#tableLimit - size);
    this.#owners.push(name);
    this.#sizes.push(size);
    this.#inserted += 1;
    this.#tableBytes += size;
    name.values.push(value);
    name.entries.push(this.#inserted);
  }

  #evictTo(bytes: number): void {
    while (this.#tableBytes > bytes) {
      const owner = this.#owners[this.#oldest];
      // A name's entries are in the order in which they were inserted.
      owner?.values.splice(owner.fixed, 1);
      owner?.entries.splice(owner.fixed, 1);
      this.#tableBytes -= this.#sizes[this.#oldest] ?? 0;
      this.#oldest += 1;
    }
    if (this.#oldest < mostOld) return;
    this.#owners.splice(0, this.#oldest);
    this.#sizes.splice(0, this.#oldest);
    this.#oldest = 0;
  }

  /** The index now of an entry as `Name.entries` has it. */
  #indexOf(entry: number): number {
    return entry < 0 ? -entry : staticEntries + 1 + this.#inserted - entry;
  }

  /** Tells the other side which sizes the table had since the last block (RFC 7541 section 4.2). */
  #writeLimits(buffer: Buffer, at: number): number {
    const smallest = this.#smallestLimit;
    this.#smallestLimit = -1;
    const end = smallest < this.#tableLimit ? writeInteger(0x20, 0x1f, smallest, buffer, at) : at;
    return writeInteger(0x20, 0x1f, this.#tableLimit, buffer, end);
  }
}

/** `index`: where the name is in the tables; 0: nowhere. Returns where the field ends in the buffer. */
function writeLiteral(
  kind: number,
  prefix: number,
  index: number,
  name: string,
  value: string,
  buffer: Buffer,
  at: number,
): number {
  let end = writeInteger(kind, prefix, index, buffer, at);
  if (index === 0) end = writeString(name, buffer, end);
  return writeString(value, buffer, end);
}

/** As RFC 7541 section 5.1 says, with the bits of `kind` before the prefix. */
function writeInteger(
  kind: number,
  prefix: number,
  value: number,
  buffer: Buffer,
  at: number,
): number {
  if (value < prefix) {
    buffer[at] = kind | value;
    return at + 1;
  }
  buffer[at] = kind | prefix;
  let end = at + 1;
  let rest = value - prefix;
  for (; rest >= 0x80; rest >>>= 7) {
    buffer[end] = (rest & 0x7f) | 0x80;
    end += 1;
  }
  buffer[end] = rest;
  return end + 1;
}

function writeString(text: string, buffer: Buffer, at: number): number {
  const { length } = text;
  const from = writeInteger(0x00, 0x7f, length, buffer, at);
  if (length > longestLoop) buffer.write(text, from, length, "latin1");
  else for (let n = 0; n < length; n += 1) buffer[from + n] = text.charCodeAt(n);
  return from + length;
}

/** Never 0. */
function hashOf(text: string): number {
  let hash = text.length;
  for (let at = 0; at < text.length; at += 1) hash = (hash * 31 + text.charCodeAt(at)) | 0;
  return hash | 1;
}

function firstIndexes(): ReadonlyMap<string, number> {
  const indexes = new Map<string, number>();
  for (const [index, name] of staticNames.entries()) {
    if (index > 0 && !indexes.has(name)) indexes.set(name, index);
  }
  return indexes;
}
