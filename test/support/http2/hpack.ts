/**
 * Header compression (RFC 7541) as far as tests need it: a whole decoder, and an encoder of plain literals, so
 * that a test can write any name and value, also those that no library would.
 */

export type Field = readonly [name: string, value: string];

/** RFC 7541 appendix A. */
const staticTable: readonly Field[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ...`accept-language accept-ranges accept access-control-allow-origin age allow authorization
  cache-control content-disposition content-encoding content-language content-length content-location
  content-range content-type cookie date etag expect expires from host if-match if-modified-since
  if-none-match if-range if-unmodified-since last-modified link location max-forwards proxy-authenticate
  proxy-authorization range referer refresh retry-after server set-cookie strict-transport-security
  transfer-encoding user-agent vary via www-authenticate`
    .split(/\s+/)
    .map((name): Field => [name, ""]),
];

/** The symbols of each code length, in the order of their codes; the code is canonical (appendix B). */
const symbolsByLength: ReadonlyMap<number, readonly number[]> = new Map([
  [5, symbols("48-50 97 99 101 105 111 115-116")],
  [6, symbols("32 37 45-47 51-57 61 65 95 98 100 102-104 108-110 112 114 117")],
  [7, symbols("58 66-87 89 106-107 113 118-122")],
  [8, symbols("38 42 44 59 88 90")],
  [10, symbols("33-34 40-41 63")],
  [11, symbols("39 43 124")],
  [12, symbols("35 62")],
  [13, symbols("0 36 64 91 93 126")],
  [14, symbols("94 125")],
  [15, symbols("60 96 123")],
  [19, symbols("92 195 208")],
  [20, symbols("128 130-131 162 184 194 224 226")],
  [21, symbols("153 161 167 172 176-177 179 209 216-217 227 229-230")],
  [
    22,
    symbols(
      "129 132-134 136 146 154 156 160 163-164 169-170 173 178 181 185-187 189-190 196 198 228 232-233",
    ),
  ],
  [
    23,
    symbols(
      "1 135 137-141 143 147 149-152 155 157-158 165-166 168 174-175 180 182-183 188 191 197 231 239",
    ),
  ],
  [24, symbols("9 142 144-145 148 159 171 206 215 225 236-237")],
  [25, symbols("199 207 234-235")],
  [26, symbols("192-193 200-202 205 210 213 218-219 238 240 242-243 255")],
  [27, symbols("203-204 211-212 214 221-223 241 244-248 250-254")],
  [28, symbols("2-8 11-12 14-21 23-31 127 220 249")],
  [30, symbols("10 13 22")],
]);

/** From a code with a 1 in front of it, which tells its length, to its symbol. */
const symbolOf: ReadonlyMap<number, number> = canonicalCode();

/** The same the other way round. */
const codeOf: ReadonlyMap<number, number> = new Map(
  [...symbolOf].map(([code, symbol]) => [symbol, code]),
);

/** Decodes the header blocks of one direction of one connection. */
export class HpackDecoder {
  readonly #dynamic: Field[] = [];
  #size = 0;
  #maxSize = 4_096;

  decode(block: Buffer): Field[] {
    const fields: Field[] = [];
    const cursor = new Cursor(block);
    while (!cursor.isDone) {
      const first = cursor.peek();
      if ((first & 0x80) !== 0) {
        fields.push(this.#entry(cursor.integer(7)));
      } else if ((first & 0x40) !== 0) {
        fields.push(this.#remember(this.#literal(cursor, 6)));
      } else if ((first & 0x20) !== 0) {
        this.#maxSize = cursor.integer(5);
        this.#evict();
      } else {
        fields.push(this.#literal(cursor, 4));
      }
    }
    return fields;
  }

  #literal(cursor: Cursor, prefix: number): Field {
    const index = cursor.integer(prefix);
    const name = index === 0 ? cursor.text() : this.#entry(index)[0];
    return [name, cursor.text()];
  }

  #remember(field: Field): Field {
    this.#dynamic.unshift(field);
    this.#size += sizeOf(field);
    this.#evict();
    return field;
  }

  #evict(): void {
    while (this.#size > this.#maxSize) {
      const last = this.#dynamic.pop();
      if (last === undefined) return;
      this.#size -= sizeOf(last);
    }
  }

  #entry(index: number): Field {
    const field = staticTable[index - 1] ?? this.#dynamic[index - 1 - staticTable.length];
    if (field === undefined) throw new Error(`no header field has the index ${index}`);
    return field;
  }
}

/** A header block of literals that are not indexed, without Huffman code. */
export function headerBlock(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]),
  );
}

/** A literal that goes into the receiver's dynamic table. */
export function indexedLiteral(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x40]), literal(name), literal(value)]);
}

/** A text in Huffman code, padded. */
export function huffmanBytes(text: string): Buffer {
  let bits = "";
  for (const byte of Buffer.from(text, "latin1")) bits += codeOf.get(byte)?.toString(2).slice(1);
  return Buffer.from(
    (bits.match(/.{1,8}/g) ?? []).map((eight) => parseInt(eight.padEnd(8, "1"), 2)),
  );
}

export function hpackInteger(value: number, prefix: number, pattern = 0): Buffer {
  const most = 2 ** prefix - 1;
  if (value < most) return Buffer.from([pattern | value]);
  const bytes = [pattern | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

class Cursor {
  readonly #block: Buffer;
  #at = 0;

  constructor(block: Buffer) {
    this.#block = block;
  }

  get isDone(): boolean {
    return this.#at >= this.#block.length;
  }

  peek(): number {
    return this.#block.readUInt8(this.#at);
  }

  integer(prefix: number): number {
    const most = 2 ** prefix - 1;
    let value = this.#byte() & most;
    if (value < most) return value;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  text(): string {
    const isHuffman = (this.peek() & 0x80) !== 0;
    const length = this.integer(7);
    const bytes = this.#block.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error("a string ends behind its header block");
    this.#at += length;
    return isHuffman ? huffmanText(bytes) : bytes.toString("latin1");
  }

  #byte(): number {
    const byte = this.peek();
    this.#at += 1;
    return byte;
  }
}

function huffmanText(bytes: Buffer): string {
  const text: number[] = [];
  let code = 1;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit -= 1) {
      code = code * 2 + ((byte >> bit) & 1);
      const symbol = symbolOf.get(code);
      if (symbol === undefined) continue;
      text.push(symbol);
      code = 1;
    }
  }
  return Buffer.from(text).toString("latin1");
}

function canonicalCode(): Map<number, number> {
  const codes = new Map<number, number>();
  let code = 0;
  let length = 5;
  for (const [longer, group] of symbolsByLength) {
    code *= 2 ** (longer - length);
    length = longer;
    for (const symbol of group) {
      codes.set(2 ** length + code, symbol);
      code += 1;
    }
  }
  return codes;
}

/** `48-50 97`: 48, 49, 50, 97. */
function symbols(ranges: string): readonly number[] {
  return ranges.split(" ").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([hpackInteger(bytes.length, 7), bytes]);
}

function sizeOf([name, value]: Field): number {
  return name.length + value.length + 32;
}
