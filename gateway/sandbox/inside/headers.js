// Runs inside the isolate: header fields as a script sees them, and how it reports changes to the gateway. A change
// is a line: a letter, then its value. The gateway checks everything again outside.
import {
  charCodeAt,
  config,
  encodeUri,
  exec,
  freeze,
  fromCharCode,
  indexOf,
  PlainRangeError,
  PlainTypeError,
  slice,
  sortStrings,
  startsWith,
  toJson,
  toLowerCase,
  toText,
} from "./realm.js";

export const fits = (grammar, text) => exec(grammar, text) !== null;
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const fieldValue = /^[\t -~\x80-\xff]*$/;

export function quoted(text) {
  return toJson(text.length > 60 ? `${slice(text, 0, 60)}...` : text);
}

function isOwn(name) {
  for (let at = 0; at < config.vouched.length; at++) if (config.vouched[at] === name) return true;
  return startsWith(name, config.vouchedPrefix);
}

/** Any other character counts as `-`, because origins may take `x_forwarded_for` for `x-forwarded-for`. */
function isVouched(lowerCaseName) {
  let name = "";
  for (let at = 0; at < lowerCaseName.length; at++) {
    const code = charCodeAt(lowerCaseName, at);
    const isPlain = (code >= 97 && code <= 122) || (code >= 48 && code <= 57);
    name += isPlain ? fromCharCode(code) : "-";
  }
  return isOwn(name);
}

/** Names that passed the check, as the script spells them: a script uses the same few in every call. */
const goodNames = { __proto__: null };
let goodNamesLeft = 200;

export function headerName(name) {
  if (typeof name === "string" && name.length <= 64) {
    const known = goodNames[name];
    if (known !== undefined) return known;
    const checked = checkedName(name);
    if (goodNamesLeft-- > 0) goodNames[name] = checked;
    return checked;
  }
  return checkedName(name);
}

const maxName = 256;

/** In lower case. @throws TypeError for one that is too long, because V8 would copy all of it. */
function lowerName(name) {
  const text = toText(name);
  if (text.length > maxName) throw new PlainTypeError("a header name is too long");
  return toLowerCase(text);
}

function checkedName(name) {
  const text = lowerName(name);
  if (!fits(token, text)) throw new PlainTypeError(`${quoted(text)} is not a header name`);
  if (isVouched(text)) refuseOwn(text);
  return text;
}

function refuseOwn(name) {
  throw new PlainTypeError(`the header ${name} belongs to the gateway; a script cannot change it`);
}

/** A script may remove the fields in which the gateway reports the client, but not write them. */
function removedName(name) {
  const text = lowerName(name);
  if (!fits(token, text)) throw new PlainTypeError(`${quoted(text)} is not a header name`);
  const tellsOfClient = startsWith(text, config.vouchedPrefix) || text === "forwarded";
  if (!tellsOfClient && isOwn(text)) refuseOwn(text);
  return text;
}

function isBlank(code) {
  return code === 32 || code === 9;
}

function trimmed(text, from, to) {
  while (from < to && isBlank(charCodeAt(text, from))) from++;
  while (to > from && isBlank(charCodeAt(text, to - 1))) to--;
  return slice(text, from, to);
}

/** A loop looks at a short value, because the regular expression would make an object for each match. */
function isFieldValue(text) {
  if (text.length > 32) return fits(fieldValue, text);
  for (let at = 0; at < text.length; at++) {
    const code = charCodeAt(text, at);
    if (code < 32 ? code !== 9 : code === 127 || code > 255) return false;
  }
  return true;
}

export function headerValue(name, value) {
  const text = toText(value);
  if (text.length > config.maxHeaderBytes || !isFieldValue(text)) {
    const why =
      text.length > config.maxHeaderBytes ? "is too long" : "has a character that is not allowed";
    throw new PlainTypeError(`the value of the header ${name} ${why}`);
  }
  return trimmed(text, 0, text.length);
}

/** The `Location` of an answer. Spaces and characters beyond ASCII become escapes, as in `encodeURI`. */
export function locationValue(location) {
  const given = location === undefined || location === null ? "" : location;
  if (typeof given !== "string") throw new PlainTypeError("redirect: the address is a string");
  if (given.length > config.maxHeaderBytes) {
    throw new PlainTypeError(
      `redirect: the address is longer than ${config.maxHeaderBytes} characters`,
    );
  }
  const text = trimmed(given, 0, given.length);
  if (text === "") {
    throw new PlainTypeError(
      'redirect: the address is missing: redirect("https://www.example.com/")',
    );
  }
  return headerValue("location", withoutForeign(text));
}

function withoutForeign(text) {
  let ascii = "";
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const code = charCodeAt(text, at);
    if (code < 32 || code === 127) {
      throw new PlainTypeError(`redirect: ${quoted(text)} has a control character`);
    }
    if (code < 128 && code !== 32) continue;
    let to = at + 1;
    while (code > 127 && to < text.length && charCodeAt(text, to) > 127) to++;
    ascii += slice(text, from, at) + escaped(slice(text, at, to));
    from = to;
    at = to - 1;
  }
  return ascii + slice(text, from);
}

function escaped(text) {
  try {
    return encodeUri(text);
  } catch {
    throw new PlainTypeError(`redirect: ${quoted(text)} has half of a character`);
  }
}

/** All values of `name`, which is in lower case, joined as RFC 9110 section 5.3 allows; or `null`. */
function findHeader(raw, name) {
  const { length } = name;
  let found = null;
  for (let at = 0; at < raw.length; ) {
    let end = indexOf(raw, "\r\n", at);
    if (end === -1) end = raw.length;
    if (charCodeAt(raw, at + length) === 58 && toLowerCase(slice(raw, at, at + length)) === name) {
      const value = trimmed(raw, at + length + 1, end);
      found = found === null ? value : found + (name === "cookie" ? "; " : ", ") + value;
    }
    at = end + 2;
  }
  return found;
}

export let changesOfHeaders;

/** The Fetch standard's `Headers` over the raw lines of a head, which are parsed when the script first asks. */
export class Headers {
  #raw;
  #readOnly;
  #isResponse;
  /** The `Set-Cookie` lines that the script appends: here as changes, in `#cookieText` joined. */
  #cookies = "";
  #cookieText = null;
  /** What was set (a string) or deleted (`null`), newest first. */
  #changes = null;
  /** How many changes and added lines there are. */
  #count = 0;

  constructor(raw, readOnly, isResponse) {
    this.#raw = raw;
    this.#readOnly = readOnly;
    this.#isResponse = isResponse;
    freeze(this);
  }

  #change(name, value) {
    if (this.#readOnly) throw new PlainTypeError("request.headers cannot be changed in onResponse");
    if (name === "set-cookie") {
      this.#cookies = "";
      this.#cookieText = null;
    }
    for (let change = this.#changes; change !== null; change = change.older) {
      if (change.name === name) {
        change.value = value;
        return;
      }
    }
    this.#countOne();
    this.#changes = { __proto__: null, name, value, older: this.#changes };
  }

  #countOne() {
    if (this.#count >= config.maxHeaders) {
      throw new PlainRangeError(`more than ${config.maxHeaders} headers were changed`);
    }
    this.#count++;
  }

  get(name) {
    const wanted = lowerName(name);
    const value = this.#value(wanted);
    if (wanted !== "set-cookie" || this.#cookieText === null) return value;
    return value === null ? this.#cookieText : `${value}, ${this.#cookieText}`;
  }

  #value(wanted) {
    for (let change = this.#changes; change !== null; change = change.older) {
      if (change.name === wanted) return change.value;
    }
    return findHeader(this.#raw, wanted);
  }

  has(name) {
    return this.get(name) !== null;
  }

  set(name, value) {
    const checkedName = headerName(name);
    this.#change(checkedName, headerValue(checkedName, value));
  }

  append(name, value) {
    const checkedName = headerName(name);
    const added = headerValue(checkedName, value);
    const before = this.get(checkedName);
    if (before !== null && checkedName === "set-cookie") {
      // A comma may be part of a cookie, so each has a line of its own (RFC 6265 section 3).
      if (!this.#isResponse) throw new PlainTypeError("a request has no set-cookie to append to");
      this.#countOne();
      this.#cookies += `N${checkedName}:${added}\n`;
      this.#cookieText = this.#cookieText === null ? added : `${this.#cookieText}, ${added}`;
      return;
    }
    const joint = checkedName === "cookie" ? "; " : ", ";
    this.#change(
      checkedName,
      before === null ? added : headerValue(checkedName, before + joint + added),
    );
  }

  delete(name) {
    this.#change(removedName(name), null);
  }

  #names() {
    const names = new Set();
    for (let at = 0; at < this.#raw.length; ) {
      let end = indexOf(this.#raw, "\r\n", at);
      if (end === -1) end = this.#raw.length;
      const colon = indexOf(this.#raw, ":", at);
      if (colon !== -1 && colon < end) names.add(toLowerCase(slice(this.#raw, at, colon)));
      at = end + 2;
    }
    for (let change = this.#changes; change !== null; change = change.older) names.add(change.name);
    if (this.#cookieText !== null) names.add("set-cookie");
    return sortStrings([...names].filter((name) => this.get(name) !== null));
  }

  keys() {
    return this.#names().values();
  }

  values() {
    return this.#names()
      .map((name) => this.get(name))
      .values();
  }

  entries() {
    return this.#names()
      .map((name) => [name, this.get(name)])
      .values();
  }

  forEach(visit) {
    for (const name of this.#names()) visit(this.get(name), name, this);
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  static {
    changesOfHeaders = (headers) => {
      let lines = "";
      for (let change = headers.#changes; change !== null; change = change.older) {
        lines += change.value === null ? `D${change.name}\n` : `S${change.name}:${change.value}\n`;
      }
      return lines + headers.#cookies;
    };
  }
}

delete Headers.prototype.constructor;
freeze(Headers.prototype);
