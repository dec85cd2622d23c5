/**
 * What a request that `node:http` has read asks for, and whether the contract lets it: the rules that
 * go beyond its parser's. Written apart from `http1/`'s own reading, so that the two can be compared.
 */
import type { IncomingMessage } from "node:http";
import type { EngineLimits } from "../engine.ts";
import { isAuthority } from "../message/authority.ts";
import { refusedUpgrades } from "../message/fields.ts";
import type { Story, TrustedProxy } from "../message/forwarding.ts";
import { listElements, type Refusal, refuse } from "../message/grammar.ts";
import { checkEscapes } from "../message/path.ts";
import { tooManyOptions } from "../message/request-line.ts";
import { HeaderList } from "./header-list.ts";
import { requestFields } from "./request-fields.ts";

export interface RequestPlan {
  /** In origin form, or `*`. */
  readonly target: string;
  readonly authority: string;
  /** -1 when there is none. */
  readonly contentLength: number;
  readonly isChunked: boolean;
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
  readonly takesTrailers: boolean;
  /** The protocol of an upgrade that is passed on; empty when there is none. */
  readonly upgrade: string;
  readonly requestId: string;
  /** The values of `Trailer`; empty when absent. */
  readonly trailer: string;
  /** What a trusted proxy's request says of its client; `null` for anyone else's. */
  readonly story: Story | null;
  readonly headers: HeaderList;
}

/**
 * Reads what was asked, or tells why it is refused. `proxy`: who sent it, when it is a trusted proxy;
 * `onOddNames` is told how many lines were left out because of their names.
 */
export function planRequest(
  request: IncomingMessage,
  limits: EngineLimits,
  proxy: TrustedProxy | null,
  onOddNames: (count: number) => void,
): { readonly plan: RequestPlan } | { readonly refusal: Refusal } {
  const { lines, oddNames, story } = requestFields(request.rawHeaders, limits, proxy);
  if (oddNames > 0) onOddNames(oddNames);
  const headers = new HeaderList("request", lines);
  const isOld = request.httpVersion === "1.0";
  const refusal =
    checkLimits(request, limits) ??
    checkVersion(request.httpVersion) ??
    checkFraming(headers, isOld);
  if (refusal !== null) return { refusal };
  const named = readTarget(request.url ?? "", request.method ?? "", headers.sent("host"));
  if ("status" in named) return { refusal: named };
  const [length] = headers.sent("content-length");
  const contentLength = length === undefined ? -1 : Number(length);
  if (limits.maxBodyBytes > 0 && contentLength > limits.maxBodyBytes) {
    return { refusal: bodyTooLarge(limits.maxBodyBytes) };
  }
  const isChunked = headers.sent("transfer-encoding").length > 0;
  const connection = headers.sent("connection").join(", ");
  const options = listElements(connection);
  if (options.length > limits.maxHeaders) return { refusal: tooManyOptions(limits.maxHeaders) };
  headers.removeNamedBy(connection);
  return {
    plan: {
      ...named,
      contentLength,
      isChunked,
      keepAlive: !options.includes("close") && (!isOld || options.includes("keep-alive")),
      // Only with content, and not on behalf of an HTTP/1.0 client (RFC 9110 section 10.1.1).
      expectsContinue:
        headers.sent("expect").length > 0 && !isOld && (isChunked || contentLength > 0),
      takesTrailers: /(?:^|[\t ,])trailers(?:$|[\t ,])/i.test(headers.sent("te").join(", ")),
      upgrade: asksForUpgrade(request) ? headers.sent("upgrade").join(", ") : "",
      requestId: headers.sent("x-request-id").at(-1) ?? "",
      trailer: headers.sent("trailer").join(", "),
      story,
      headers,
    },
  };
}

/** Whether it is an upgrade that the gateway passes on: of HTTP/1.1, without a body, not to other HTTP. */
export function asksForUpgrade(request: IncomingMessage): boolean {
  const headers = new HeaderList("request", request.rawHeaders);
  const connection = headers.sent("connection").join(", ");
  const upgrade = headers.sent("upgrade").join(", ");
  return (
    request.httpVersion === "1.1" &&
    listElements(connection).includes("upgrade") &&
    upgrade !== "" &&
    !refusedUpgrades.test(upgrade) &&
    headers.sent("transfer-encoding").length === 0 &&
    headers.sent("content-length").every((length) => Number(length) === 0)
  );
}

export function bodyTooLarge(maxBodyBytes: number): Refusal {
  const message = `the request body is longer than ${maxBodyBytes} bytes`;
  return { status: 413, code: "body_too_large", message };
}

export function headTooLarge(maxHeadBytes: number): Refusal {
  const message = `the request head is longer than ${maxHeadBytes} bytes`;
  return { status: 431, code: "head_too_large", message };
}

function checkLimits(request: IncomingMessage, limits: EngineLimits): Refusal | null {
  const headers = new HeaderList("request", request.rawHeaders);
  if ((request.url ?? "").length > limits.maxTargetBytes) {
    const message = `the request target is longer than ${limits.maxTargetBytes} bytes`;
    return { status: 414, code: "target_too_long", message };
  }
  // `node:http` counts names and values only; the request line is about this long.
  const lineBytes = `${request.method} ${request.url} HTTP/1.1\r\n`.length;
  if (lineBytes + headers.raw.length + 4 > limits.maxHeadBytes) {
    return headTooLarge(limits.maxHeadBytes);
  }
  if (headers.length > limits.maxHeaders) {
    const message = `the request has more than ${limits.maxHeaders} header lines`;
    return { status: 431, code: "too_many_headers", message };
  }
  return null;
}

function checkVersion(version: string): Refusal | null {
  if (version === "1.0" || version === "1.1") return null;
  const message = "only HTTP/1.0 and HTTP/1.1 are spoken here";
  return { status: 505, code: "bad_version", message };
}

/** What `node:http` lets pass of RFC 9112 section 6.3: other codings, and any in HTTP/1.0. */
function checkFraming(headers: HeaderList, isOld: boolean): Refusal | null {
  const codings = headers.sent("transfer-encoding");
  const lengths = headers.sent("content-length");
  if (lengths.length > 1) return refuse("two_lengths", "more than one Content-Length");
  if (lengths.some((length) => !/^[0-9]{1,15}$/.test(length))) {
    return refuse("bad_length", "Content-Length is not a number");
  }
  const [coding] = codings;
  if (coding === undefined) return null;
  if (lengths.length > 0) {
    return refuse("two_framings", "both Transfer-Encoding and Content-Length");
  }
  if (codings.length > 1) return refuse("two_codings", "more than one Transfer-Encoding");
  if (isOld) return refuse("bad_coding", "Transfer-Encoding in an HTTP/1.0 request");
  if (coding.toLowerCase() === "chunked") return null;
  return {
    status: /^[a-z]+(?:[\t ]*,[\t ]*[a-z]+)*[\t ]*,[\t ]*chunked$/i.test(coding) ? 501 : 400,
    code: "bad_coding",
    message: "the only transfer coding here is a single chunked",
  };
}

/** RFC 9112 section 3.2. */
function readTarget(
  url: string,
  method: string,
  hosts: readonly string[],
): Pick<RequestPlan, "target" | "authority"> | Refusal {
  const [host] = hosts;
  if (host === undefined) return refuse("no_host", "the request has no Host header");
  if (hosts.length > 1) return refuse("two_hosts", "more than one Host header");
  let target = url;
  let authority = host;
  if (url === "*") {
    if (method !== "OPTIONS") return refuse("bad_target", "only OPTIONS may ask for *");
  } else if (!url.startsWith("/")) {
    // Over a plain connection nobody asks for `https` (RFC 9110 section 7.4).
    const absolute = /^http:\/\/([^/?]*)(.*)$/i.exec(url);
    if (absolute === null) return refuse("bad_target", "the request target is malformed");
    if (!isAuthority(host)) return refuse("bad_host", "the host is malformed");
    authority = absolute[1] ?? "";
    const rest = absolute[2] ?? "";
    if (rest === "" && method === "OPTIONS") target = "*";
    else target = rest.startsWith("/") ? rest : `/${rest}`;
  }
  // Not every reader of a target knows where a fragment, or what is no ASCII, ends.
  if (!/^[!"$-~]*$/.test(target)) return refuse("bad_target", "the request target is malformed");
  if (!isAuthority(authority)) return refuse("bad_host", "the host is malformed");
  return checkEscapes(target) ?? { target, authority };
}

export const expectationRefusal: Refusal = {
  ...refuse("bad_expectation", "only 100-continue is met"),
  status: 417,
};
