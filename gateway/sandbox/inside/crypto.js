// Runs inside the isolate: the global `crypto`, digests and base64 over strings. Pure arithmetic, so
// that no call leaves the isolate. Strings are hashed as UTF-8. MD5: RFC 1321; SHA-1 and SHA-256:
// FIPS 180-4; HMAC: RFC 2104; base64: RFC 4648.
import {
  charCodeAt,
  freeze,
  fromCharCode,
  indexOf,
  PlainTypeError,
  toText,
  Words,
} from "./realm.js";

/** One character (0 to 255) a byte, as UTF-8 of `text`. */
function utf8(text) {
  let plain = true;
  for (let at = 0; at < text.length; at++) {
    if (charCodeAt(text, at) > 127) {
      plain = false;
      break;
    }
  }
  if (plain) return text;
  let bytes = "";
  for (let at = 0; at < text.length; at++) {
    let code = charCodeAt(text, at);
    if (code >= 0xd800 && code <= 0xdfff) {
      const low = at + 1 < text.length ? charCodeAt(text, at + 1) : 0;
      if (code < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at++;
      } else code = 0xfffd;
    }
    if (code < 0x80) bytes += fromCharCode(code);
    else if (code < 0x800) bytes += fromCharCode(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) {
      bytes += fromCharCode(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    } else {
      bytes += fromCharCode(
        0xf0 | (code >> 18),
        0x80 | ((code >> 12) & 63),
        0x80 | ((code >> 6) & 63),
        0x80 | (code & 63),
      );
    }
  }
  return bytes;
}

/** The text that these bytes mean in UTF-8; U+FFFD for what means none. */
function fromUtf8(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const lead = charCodeAt(bytes, at++);
    if (lead < 0x80) {
      text += fromCharCode(lead);
      continue;
    }
    const more =
      lead >= 0xf0 && lead < 0xf5
        ? 3
        : lead >= 0xe0 && lead < 0xf0
          ? 2
          : lead >= 0xc2 && lead < 0xe0
            ? 1
            : 0;
    let code = more === 0 ? 0xfffd : lead & (0x3f >> more);
    let read = 0;
    while (read < more && at < bytes.length && (charCodeAt(bytes, at) & 0xc0) === 0x80) {
      code = (code << 6) | (charCodeAt(bytes, at++) & 63);
      read++;
    }
    const least = more === 3 ? 0x10000 : more === 2 ? 0x800 : 0;
    if (read < more || code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      text += fromCharCode(0xfffd);
    } else if (code > 0xffff) {
      text += fromCharCode(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 1023));
    } else text += fromCharCode(code);
  }
  return text;
}

/** The padded message as 32-bit words, as all three digests pad it; only the byte order differs. */
function padded(bytes, littleEndian) {
  const blocks = ((bytes.length + 8) >> 6) + 1;
  const words = new Words(blocks * 16);
  for (let at = 0; at <= bytes.length; at++) {
    const byte = at === bytes.length ? 0x80 : charCodeAt(bytes, at);
    words[at >> 2] |= byte << (littleEndian ? (at & 3) * 8 : 24 - (at & 3) * 8);
  }
  const bits = bytes.length * 8;
  const high = (bits / 0x100000000) | 0;
  words[blocks * 16 - (littleEndian ? 2 : 1)] = bits | 0;
  words[blocks * 16 - (littleEndian ? 1 : 2)] = high;
  return words;
}

function bytesOf(word, littleEndian) {
  return littleEndian
    ? fromCharCode(word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24)
    : fromCharCode(word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255);
}

const sineTable = new Words(64);
for (let at = 0; at < 64; at++) sineTable[at] = Math.floor(Math.abs(Math.sin(at + 1)) * 2 ** 32);
const md5Shifts = new Words([7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]);

function md5(bytes) {
  const words = padded(bytes, true);
  let a = 0x67452301;
  let b = 0xefcdab89 | 0;
  let c = 0x98badcfe | 0;
  let d = 0x10325476;
  for (let block = 0; block < words.length; block += 16) {
    const a0 = a;
    const b0 = b;
    const c0 = c;
    const d0 = d;
    for (let at = 0; at < 64; at++) {
      const round = at >> 4;
      let mixed;
      let word;
      if (round === 0) {
        mixed = (b & c) | (~b & d);
        word = at;
      } else if (round === 1) {
        mixed = (d & b) | (~d & c);
        word = (5 * at + 1) & 15;
      } else if (round === 2) {
        mixed = b ^ c ^ d;
        word = (3 * at + 5) & 15;
      } else {
        mixed = c ^ (b | ~d);
        word = (7 * at) & 15;
      }
      const sum = (a + mixed + sineTable[at] + words[block + word]) | 0;
      const shift = md5Shifts[(round << 2) | (at & 3)];
      a = d;
      d = c;
      c = b;
      b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
    }
    a = (a + a0) | 0;
    b = (b + b0) | 0;
    c = (c + c0) | 0;
    d = (d + d0) | 0;
  }
  return bytesOf(a, true) + bytesOf(b, true) + bytesOf(c, true) + bytesOf(d, true);
}

const sha1Schedule = new Words(80);

function sha1(bytes) {
  const words = padded(bytes, false);
  const w = sha1Schedule;
  let a = 0x67452301;
  let b = 0xefcdab89 | 0;
  let c = 0x98badcfe | 0;
  let d = 0x10325476;
  let e = 0xc3d2e1f0 | 0;
  for (let block = 0; block < words.length; block += 16) {
    const a0 = a;
    const b0 = b;
    const c0 = c;
    const d0 = d;
    const e0 = e;
    for (let at = 0; at < 80; at++) {
      if (at < 16) w[at] = words[block + at];
      else {
        const x = w[at - 3] ^ w[at - 8] ^ w[at - 14] ^ w[at - 16];
        w[at] = (x << 1) | (x >>> 31);
      }
      let mixed;
      if (at < 20) mixed = ((b & c) | (~b & d)) + 0x5a827999;
      else if (at < 40) mixed = (b ^ c ^ d) + 0x6ed9eba1;
      else if (at < 60) mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
      else mixed = (b ^ c ^ d) + 0xca62c1d6;
      const next = (((a << 5) | (a >>> 27)) + mixed + e + w[at]) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    a = (a + a0) | 0;
    b = (b + b0) | 0;
    c = (c + c0) | 0;
    d = (d + d0) | 0;
    e = (e + e0) | 0;
  }
  const be = bytesOf;
  return be(a, false) + be(b, false) + be(c, false) + be(d, false) + be(e, false);
}

const sha256Constants = new Words(64);
const sha256Start = new Words(8);
{
  const fraction = (root) => ((root - Math.floor(root)) * 2 ** 32) | 0;
  let prime = 2;
  for (let found = 0; found < 64; prime++) {
    let isPrime = true;
    for (let by = 2; by * by <= prime; by++) if (prime % by === 0) isPrime = false;
    if (!isPrime) continue;
    if (found < 8) sha256Start[found] = fraction(Math.sqrt(prime));
    sha256Constants[found++] = fraction(Math.cbrt(prime));
  }
}
const sha256Schedule = new Words(64);

function sha256(bytes) {
  const words = padded(bytes, false);
  const w = sha256Schedule;
  const state = new Words(sha256Start);
  for (let block = 0; block < words.length; block += 16) {
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    let e = state[4];
    let f = state[5];
    let g = state[6];
    let h = state[7];
    for (let at = 0; at < 64; at++) {
      if (at < 16) w[at] = words[block + at];
      else {
        const x = w[at - 15];
        const y = w[at - 2];
        const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        w[at] = (w[at - 16] + s0 + w[at - 7] + s1) | 0;
      }
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + sha256Constants[at] + w[at]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
  let digest = "";
  for (let at = 0; at < 8; at++) digest += bytesOf(state[at], false);
  return digest;
}

const hexDigits = "0123456789abcdef";
const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function hex(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at++) {
    const byte = charCodeAt(bytes, at);
    text += hexDigits[byte >> 4] + hexDigits[byte & 15];
  }
  return text;
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const bits =
      (charCodeAt(bytes, at) << 16) |
      ((left > 1 ? charCodeAt(bytes, at + 1) : 0) << 8) |
      (left > 2 ? charCodeAt(bytes, at + 2) : 0);
    text += base64Digits[bits >> 18] + base64Digits[(bits >> 12) & 63];
    text +=
      (left > 1 ? base64Digits[(bits >> 6) & 63] : "=") +
      (left > 2 ? base64Digits[bits & 63] : "=");
  }
  return text;
}

/** Takes the alphabet of base64url too, with or without padding. */
function unbase64(text) {
  let bytes = "";
  let bits = 0;
  let held = 0;
  for (let at = 0; at < text.length; at++) {
    let character = text[at];
    if (character === "=") break;
    if (character === "-") character = "+";
    else if (character === "_") character = "/";
    const digit = indexOf(base64Digits, character);
    if (digit === -1) throw new PlainTypeError("crypto.base64Decode: not base64");
    bits = ((bits << 6) | digit) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += fromCharCode((bits >> held) & 255);
    }
  }
  return bytes;
}

function encoded(bytes, encoding) {
  if (encoding === undefined || encoding === "hex") return hex(bytes);
  if (encoding === "base64") return base64(bytes);
  if (encoding === "base64url") {
    const text = base64(bytes);
    let url = "";
    for (let at = 0; at < text.length && text[at] !== "="; at++) {
      url += text[at] === "+" ? "-" : text[at] === "/" ? "_" : text[at];
    }
    return url;
  }
  throw new PlainTypeError('crypto: the encoding is "hex", "base64" or "base64url"');
}

function hmac(algorithm, key, text, encoding) {
  const digest =
    algorithm === "sha256"
      ? sha256
      : algorithm === "sha1"
        ? sha1
        : algorithm === "md5"
          ? md5
          : null;
  if (digest === null)
    throw new PlainTypeError('crypto.hmac: the algorithm is "sha256", "sha1" or "md5"');
  let secret = utf8(toText(key));
  if (secret.length > 64) secret = digest(secret);
  let inner = "";
  let outer = "";
  for (let at = 0; at < 64; at++) {
    const byte = at < secret.length ? charCodeAt(secret, at) : 0;
    inner += fromCharCode(byte ^ 0x36);
    outer += fromCharCode(byte ^ 0x5c);
  }
  return encoded(digest(outer + digest(inner + utf8(toText(text)))), encoding);
}

export const cryptoGlobal = freeze({
  md5: (text, encoding) => encoded(md5(utf8(toText(text))), encoding),
  sha256: (text, encoding) => encoded(sha256(utf8(toText(text))), encoding),
  hmac,
  base64Encode: (text) => base64(utf8(toText(text))),
  base64Decode: (text) => fromUtf8(unbase64(toText(text))),
});
