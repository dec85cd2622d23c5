/**
 * A straightforward judge of chunked bodies (RFC 9112 section 7.1): given all the bytes at once, it
 * says what body they are.
 */

export interface JudgedBody {
  readonly state: "whole" | "more" | "broken";
  /** What of the body can be told, also before a fault. */
  readonly body: Buffer;
  /** When whole: the trailer's lines, each with its CR LF, and where the body ended. */
  readonly trailer: string;
  readonly end: number;
}

const maxDigits = 12;
const maxExtension = 256;
const maxTrailer = 8_192;

export function judgeChunks(bytes: Buffer): JudgedBody {
  const text = bytes.toString("latin1");
  const pieces: Buffer[] = [];
  let at = 0;
  const verdict = (state: JudgedBody["state"], trailer = ""): JudgedBody => {
    return { state, body: Buffer.concat(pieces), trailer, end: at };
  };
  for (;;) {
    const start = at;
    while (at < text.length && "0123456789abcdefABCDEF".includes(text[at] ?? "")) at += 1;
    const digits = text.slice(start, at);
    if (digits.length > maxDigits) return verdict("broken");
    if (at === text.length) return verdict("more");
    if (digits === "") return verdict("broken");
    const ended = afterExtension(text, at);
    if (typeof ended === "string") return verdict(ended);
    at = ended;
    const size = Number.parseInt(digits, 16);
    if (size === 0) break;
    const piece = bytes.subarray(at, at + size);
    pieces.push(piece);
    at += piece.length;
    if (piece.length < size) return verdict("more");
    for (const expected of "\r\n") {
      if (at === text.length) return verdict("more");
      if (text[at] !== expected) return verdict("broken");
      at += 1;
    }
  }
  return judgeTrailer(text, at, verdict, (end) => {
    at = end;
  });
}

/** Where the line of a chunk size ends, from after its digits. */
function afterExtension(text: string, from: number): number | "more" | "broken" {
  let at = from;
  let isBlank = text[at] === " " || text[at] === "\t";
  let isExtension = text[at] === ";";
  if (isBlank || isExtension) at += 1;
  let length = 0;
  let hasName = false;
  while (isBlank || isExtension) {
    if (at === text.length) return "more";
    const character = text[at] ?? "";
    const code = character.charCodeAt(0);
    at += 1;
    length += 1;
    if (isBlank) {
      if (character === ";") {
        isBlank = false;
        isExtension = true;
      } else if ((character !== " " && character !== "\t") || length > maxExtension) {
        return "broken";
      }
      continue;
    }
    if (character === "\r" && hasName) {
      at -= 1;
      break;
    }
    if (length > maxExtension || (code < 32 && code !== 9) || code === 127) return "broken";
    if (hasName || character === " " || character === "\t") continue;
    if (!/[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(character)) return "broken";
    hasName = true;
  }
  for (const expected of "\r\n") {
    if (at === text.length) return "more";
    if (text[at] !== expected) return "broken";
    at += 1;
  }
  return at;
}

function judgeTrailer(
  text: string,
  from: number,
  verdict: (state: JudgedBody["state"], trailer?: string) => JudgedBody,
  endAt: (end: number) => void,
): JudgedBody {
  const rest = text.slice(from);
  const end = rest.startsWith("\r\n") ? 0 : rest.indexOf("\r\n\r\n") + 2;
  if (!rest.startsWith("\r\n") && end === 1) {
    return verdict(rest.length > maxTrailer ? "broken" : "more");
  }
  if (end + 2 > maxTrailer) return verdict("broken");
  for (const line of rest.slice(0, end).split("\r\n").slice(0, -1)) {
    if (!isFieldLine(line)) return verdict("broken");
  }
  endAt(from + end + 2);
  return verdict("whole", rest.slice(0, end));
}

function isFieldLine(line: string): boolean {
  const colon = line.indexOf(":");
  if (colon < 1) return false;
  for (const character of line.slice(0, colon)) {
    if (!/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(character)) return false;
  }
  for (const character of line.slice(colon + 1)) {
    const code = character.charCodeAt(0);
    if ((code < 32 && code !== 9) || code === 127) return false;
  }
  return true;
}
