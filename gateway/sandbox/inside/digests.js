// Runs inside the isolate: digests of byte strings, one character (0 to 255) a byte. Pure arithmetic, so
// that no call leaves the isolate. MD5: RFC 1321; SHA-1 and SHA-256: FIPS 180-4.
import { charCodeAt, fromCharCode, Words } from "./realm.js";

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

export function md5(bytes) {
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

export function sha1(bytes) {
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

export function sha256(bytes) {
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
