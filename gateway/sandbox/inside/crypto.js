// Runs inside the isolate: the global `crypto`, digests and base64 over strings. Strings are hashed as
// UTF-8. HMAC: RFC 2104; base64: RFC 4648.
import { textOf } from "./bounds.js";
import { md5, sha1, sha256 } from "./digests.js";
import { charCodeAt, freeze, fromCharCode, indexOf, PlainTypeError } from "./realm.js";

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
  let secret = utf8(textOf(key, "crypto.hmac"));
  if (secret.length > 64) secret = digest(secret);
  let inner = "";
  let outer = "";
  for (let at = 0; at < 64; at++) {
    const byte = at < secret.length ? charCodeAt(secret, at) : 0;
    inner += fromCharCode(byte ^ 0x36);
    outer += fromCharCode(byte ^ 0x5c);
  }
  return encoded(digest(outer + digest(inner + utf8(textOf(text, "crypto.hmac")))), encoding);
}

export const cryptoGlobal = freeze({
  md5: (text, encoding) => encoded(md5(utf8(textOf(text, "crypto.md5"))), encoding),
  sha256: (text, encoding) => encoded(sha256(utf8(textOf(text, "crypto.sha256"))), encoding),
  hmac,
  base64Encode: (text) => base64(utf8(textOf(text, "crypto.base64Encode"))),
  base64Decode: (text) => fromUtf8(unbase64(textOf(text, "crypto.base64Decode"))),
});
