// Runs inside the isolate: what a script sees of a request and of an answer. Changes are lines, as in headers.js,
// and the gateway checks them again outside.
import { changesOfHeaders, fits, Headers, quoted } from "./headers.js";
import { freeze, indexOf, PlainTypeError, slice, toText } from "./realm.js";

const pathGrammar = /^\/(?:[!"$&->@-~]|%(?!00)[0-9A-Fa-f]{2})*$/;
const queryGrammar = /^[!"$-~]*$/;
const authority =
  /^(?:[A-Za-z0-9_~!$&'()*+,;=\x80-\uffff-]{1,63}(?:\.[A-Za-z0-9_~!$&'()*+,;=\x80-\uffff-]{1,63})*\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?$/;
const upstreamName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what it keeps out
const printable = /^[^\x00-\x1f\x7f]{0,256}$/;

function checked(what, grammar, value, max, advice) {
  const text = toText(value);
  if (text.length > max) throw new PlainTypeError(`${what} is longer than ${max} characters`);
  if (!fits(grammar, text)) {
    throw new PlainTypeError(`${what}: ${quoted(text)} is not allowed; ${advice}`);
  }
  return text;
}

export let changesOfRequest;

export class Request {
  #method;
  #scheme;
  #host;
  #path;
  #rawPath;
  #query;
  #clientIp;
  #id;
  #raw;
  #readOnly;
  #headers = null;
  #upstream = "";
  #hashKey = "";
  #isPathSet = false;
  #isQuerySet = false;
  #isHostSet = false;

  /**
   * `text`: one line each for the method, scheme, host, path, the path as the client wrote it if that differs, query,
   * client address and id; then the headers.
   */
  constructor(text, readOnly) {
    let from = 0;
    let to = indexOf(text, "\n");
    this.#method = slice(text, from, to);
    from = to + 1;
    to = indexOf(text, "\n", from);
    this.#scheme = slice(text, from, to);
    from = to + 1;
    to = indexOf(text, "\n", from);
    this.#host = slice(text, from, to);
    from = to + 1;
    to = indexOf(text, "\n", from);
    this.#path = slice(text, from, to);
    from = to + 1;
    to = indexOf(text, "\n", from);
    this.#rawPath = from === to ? this.#path : slice(text, from, to);
    from = to + 1;
    to = indexOf(text, "\n", from);
    this.#query = slice(text, from, to);
    from = to + 1;
    to = indexOf(text, "\n", from);
    this.#clientIp = slice(text, from, to);
    from = to + 1;
    to = indexOf(text, "\n", from);
    this.#id = slice(text, from, to);
    this.#raw = slice(text, to + 1);
    this.#readOnly = readOnly;
    freeze(this);
  }

  #writable(name) {
    if (this.#readOnly) throw new PlainTypeError(`request.${name} cannot be changed in onResponse`);
  }

  get method() {
    return this.#method;
  }
  get scheme() {
    return this.#scheme;
  }
  get clientIp() {
    return this.#clientIp;
  }
  get id() {
    return this.#id;
  }
  get headers() {
    this.#headers ??= new Headers(this.#raw, this.#readOnly, false);
    return this.#headers;
  }
  get host() {
    return this.#host;
  }
  set host(value) {
    this.#writable("host");
    this.#host = checked(
      "request.host",
      authority,
      value,
      260,
      "give a name, with a port if need be",
    );
    this.#isHostSet = true;
  }
  get rawPath() {
    return this.#rawPath;
  }
  get path() {
    return this.#path;
  }
  set path(value) {
    this.#writable("path");
    const advice = "it starts with / and has no ?, #, blank or bad escape (encodeURI helps)";
    this.#path = checked("request.path", pathGrammar, value, 8192, advice);
    this.#isPathSet = true;
  }
  get query() {
    return this.#query;
  }
  set query(value) {
    this.#writable("query");
    const advice = "it has no # or blank (encodeURIComponent helps)";
    this.#query = checked("request.query", queryGrammar, value, 8192, advice);
    this.#isQuerySet = true;
  }
  get upstream() {
    return this.#upstream;
  }
  set upstream(value) {
    this.#writable("upstream");
    this.#upstream = checked(
      "request.upstream",
      upstreamName,
      value,
      253,
      "give an upstream's name",
    );
  }
  get hashKey() {
    return this.#hashKey;
  }
  set hashKey(value) {
    this.#writable("hashKey");
    this.#hashKey = checked(
      "request.hashKey",
      printable,
      value,
      256,
      "at most 256 printable characters",
    );
  }

  static {
    changesOfRequest = (request) => {
      // What may yet be refused comes first, so that nothing has been changed then.
      let lines = request.#upstream === "" ? "" : `U${request.#upstream}\n`;
      if (request.#isHostSet) lines += `H${request.#host}\n`;
      if (request.#headers !== null) lines += changesOfHeaders(request.#headers);
      if (request.#isPathSet) lines += `P${request.#path}\n`;
      if (request.#isQuerySet) lines += `Q${request.#query}\n`;
      if (request.#hashKey !== "") lines += `K${request.#hashKey}\n`;
      return lines;
    };
  }
}

export let headersOfResponse;

export class Response {
  #status;
  #headers;

  constructor(status, raw) {
    this.#status = status;
    this.#headers = new Headers(raw, false, true);
    freeze(this);
  }

  get status() {
    return this.#status;
  }
  get headers() {
    return this.#headers;
  }

  static {
    headersOfResponse = (response) => response.#headers;
  }
}

for (const type of [Request, Response]) {
  delete type.prototype.constructor;
  freeze(type.prototype);
}
