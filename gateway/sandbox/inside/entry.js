// Runs inside the isolate: the globals that scripts are given, and the functions that the outside
// calls. They take strings and numbers and return one string; they never throw.
import { deleteWhatIsNotAllowed, pruneReplaced } from "./allowed.js";
import { beginning, boundProperties } from "./bounds.js";
import { takeNewOfErrors } from "./bounds-of-errors.js";
import { boundNewPatterns } from "./bounds-of-patterns.js";
import { cryptoGlobal } from "./crypto.js";
import { checks } from "./growth.js";
import { changesOfHeaders, headerName, headerValue, locationValue } from "./headers.js";
import { jsonOf, startOfJson } from "./json.js";
import {
  config,
  defineProperty,
  freeze,
  getPrototypeOf,
  isArray,
  isWhole,
  lockStacks,
  ownKeys,
  PlainRangeError,
  PlainTypeError,
  parseJson,
  toJson,
  toText,
} from "./realm.js";
import { changesOfRequest, headersOfResponse, Request, Response } from "./request.js";

let logged = "";
let logLines = 0;

function logLine(level, values) {
  if (logLines++ >= config.maxLogLines) return;
  let text = "";
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    const shown =
      typeof value === "object" && value !== null
        ? startOfJson(value, config.maxLogLength)
        : beginning(toText(value), config.maxLogLength);
    text += (at === 0 ? "" : " ") + shown;
    if (text.length >= config.maxLogLength) break;
  }
  logged += `L${level}${toJson(beginning(text, config.maxLogLength))}\n`;
}

let linesOfVerdict;
let isVerdict;

class Verdict {
  #status;
  #headers;
  #body;

  constructor(what, status, headers, body, least, most) {
    if (!isWhole(status) || status < least || status > most) {
      throw new PlainTypeError(`${what}: the status is a number from ${least} to ${most}`);
    }
    const text = body === undefined || body === null ? "" : body;
    if (typeof text !== "string") throw new PlainTypeError(`${what}: the body is a string`);
    if (text.length > config.maxBodyBytes) {
      throw new PlainRangeError(`${what}: the body is longer than ${config.maxBodyBytes} bytes`);
    }
    this.#status = status;
    this.#headers = headers;
    this.#body = text;
    freeze(this);
  }

  static {
    isVerdict = (value) => typeof value === "object" && #status in value;
    linesOfVerdict = (verdict) => `V${verdict.#status}\n${verdict.#headers}B${verdict.#body}`;
  }
}
delete Verdict.prototype.constructor;
freeze(Verdict.prototype);

const plainPrototype = getPrototypeOf({});

function isPlain(value) {
  if (typeof value !== "object") return false;
  const prototype = getPrototypeOf(value);
  return prototype === null || prototype === plainPrototype;
}

function answerHeaders(headers) {
  if (headers === undefined || headers === null) return "";
  // Of a list only the numbers of its items would be read as names, and of a Map nothing.
  if (!isPlain(headers))
    throw new PlainTypeError('respond: headers is an object like { "x-name": "text" }');
  let lines = "";
  let count = 0;
  const add = (name, value) => {
    if (++count > config.maxHeaders) throw new PlainRangeError("respond: too many headers");
    lines += `A${name}:${headerValue(name, value)}\n`;
  };
  boundProperties(headers, "respond");
  const names = ownKeys(headers);
  for (let at = 0; at < names.length; at++) {
    const name = headerName(names[at]);
    const value = headers[names[at]];
    if (isArray(value)) for (let each = 0; each < value.length; each++) add(name, value[each]);
    else add(name, value);
  }
  return lines;
}

/** Whether an answer has this field; any other would have no effect and is refused. */
const isAnswerField = (name) => name === "status" || name === "headers" || name === "body";

function answerOf(answer) {
  if (answer === undefined || answer === null || !isPlain(answer))
    throw new PlainTypeError('respond: takes an object like { status: 200, body: "text" }');
  boundProperties(answer, "respond");
  const names = ownKeys(answer);
  for (let at = 0; at < names.length; at++) {
    if (!isAnswerField(names[at]))
      throw new PlainTypeError(
        `respond: ${toJson(beginning(toText(names[at]), 100))} is no field; status, headers and body are`,
      );
  }
  return answer;
}

const plainText = "Acontent-type:text/plain; charset=utf-8\n";

const globals = {
  __proto__: null,
  deny: (status, body) => new Verdict("deny", status, plainText, body ?? "", 400, 599),
  respond: (answer) => {
    const { status, headers, body } = answerOf(answer);
    return new Verdict("respond", status ?? 200, answerHeaders(headers), body, 200, 599);
  },
  redirect: (location, status = 302) => {
    const line = `Alocation:${locationValue(location)}\n`;
    return new Verdict("redirect", status, line, "", 300, 399);
  },
  log: freeze({
    debug: (...values) => logLine("d", values),
    info: (...values) => logLine("i", values),
    warn: (...values) => logLine("w", values),
    error: (...values) => logLine("e", values),
  }),
  crypto: cryptoGlobal,
};
let settings = freeze({ __proto__: null });

/** The same as in `run/growth-checks.ts`: no source may have a name that begins so. */
const checkPrefix = "\u00aa";
function give(values, prefix) {
  const names = ownKeys(values);
  for (let at = 0; at < names.length; at++) {
    const value = values[names[at]];
    defineProperty(globalThis, prefix + names[at], { value, writable: false, configurable: false });
  }
}

/** Makes the context a script's. Called once in each isolate, before everything else. */
function begin() {
  lockStacks();
  deleteWhatIsNotAllowed();
  boundNewPatterns();
  takeNewOfErrors();
  give(globals, "");
  give(checks, checkPrefix);
  defineProperty(globalThis, "settings", { get: () => settings, configurable: false });
}

function deepFreeze(value) {
  if (typeof value !== "object" || value === null) return value;
  const names = ownKeys(value);
  for (let at = 0; at < names.length; at++) deepFreeze(value[names[at]]);
  return freeze(value);
}

/** Reading a thrown value may run the script's code, so this is called within the time limit. */
function failure(error) {
  let message = "something that cannot be described was thrown";
  let stack = "";
  try {
    if ((typeof error === "object" && error !== null) || typeof error === "function") {
      const { name, message: text, stack: trace } = error;
      if (typeof text === "string") message = typeof name === "string" ? `${name}: ${text}` : text;
      if (typeof trace === "string") stack = beginning(trace, 4000);
    } else message = toText(error);
  } catch {
    stack = "";
  }
  return `E${toJson(beginning(message, 500))}\nT${toJson(stack)}\n`;
}

function describe(value) {
  return value === null
    ? "null"
    : isArray(value)
      ? "an array"
      : typeof value === "object"
        ? "an object"
        : `a ${typeof value}`;
}

let handle;
/** For a script that handles only answers. */
const leave = () => {};
let handleResponse;
const plainFunction = getPrototypeOf(() => {});

function isPlainFunction(value) {
  return typeof value === "function" && getPrototypeOf(value) === plainFunction;
}

/** The JSON of an export that is data; `null` for one that is not there. */
function declared(name, value, most) {
  if (value === undefined) return "null";
  const refuse = () => {
    throw new PlainTypeError(`${name} must be plain data of at most ${most / 1024} KiB`);
  };
  return jsonOf(value, most, refuse) ?? refuse();
}

/**
 * Takes the script's exports. Returns a letter and a list of what the script declares as data (with `tests` only when
 * they are wanted), or a failure. The letter: `R` with `onResponse` alone, `N` with a default export alone, `Y` with both.
 */
function load(namespace, wantsTests) {
  try {
    const { default: handler, onResponse, match, onError, rollout, schedule, takeBack } = namespace;
    const isForAnswers = handler === undefined && onResponse !== undefined;
    if (!isForAnswers && !isPlainFunction(handler)) {
      throw new PlainTypeError(
        "the default export must be a function: export default function (request) { ... }",
      );
    }
    if (onResponse !== undefined && !isPlainFunction(onResponse)) {
      throw new PlainTypeError("onResponse must be a function");
    }
    handle = handler ?? leave;
    handleResponse = onResponse;
    const tests = wantsTests ? declared("tests", namespace.tests, 262_144) : "null";
    const own = `${declared("onError", onError, 1_024)},${declared("rollout", rollout, 4_096)},${declared("schedule", schedule, 4_096)},${declared("takeBack", takeBack, 1_024)}`;
    const list = `${declared("match", match, 65_536)},${tests},${own}`;
    return `${logged}${isForAnswers ? "R" : onResponse === undefined ? "N" : "Y"}[${list}]`;
  } catch (error) {
    return failure(error);
  }
}

function replaceSettings(json) {
  const parsed = parseJson(json);
  const next = { __proto__: null };
  const names = ownKeys(parsed);
  for (let at = 0; at < names.length; at++) next[names[at]] = deepFreeze(parsed[names[at]]);
  settings = freeze(next);
}

function onRequest(text) {
  logged = "";
  logLines = 0;
  try {
    const request = new Request(text, false);
    const verdict = handle(request);
    const changes = logged + changesOfRequest(request);
    if (verdict === undefined || verdict === null) return changes;
    if (!isVerdict(verdict)) {
      const what = describe(verdict);
      throw new PlainTypeError(
        `the script returned ${what}; it may return nothing, deny(), respond() or redirect()`,
      );
    }
    return changes + linesOfVerdict(verdict);
  } catch (error) {
    return logged + failure(error);
  }
}

function onResponse(status, rawHeaders, text) {
  logged = "";
  logLines = 0;
  try {
    const response = new Response(status, rawHeaders);
    handleResponse(response, new Request(text, true));
    return logged + changesOfHeaders(headersOfResponse(response));
  } catch (error) {
    return logged + failure(error);
  }
}

pruneReplaced();

export const entry = freeze({
  __proto__: null,
  begin,
  load,
  replaceSettings,
  onRequest,
  onResponse,
});
