/**
 * Reads a request head. It checks the whole grammar at once, then looks only at those lines that decide about
 * framing, routing and the connection. It refuses what two parsers could read in two ways.
 */

import type { EngineLimits } from "../engine.ts";
import { bodyTooLarge } from "./answers.ts";
import { isAuthority } from "./authority.ts";
import { FieldLines } from "./field-lines.ts";
import { withoutOddNames } from "./field-names.ts";
import { type ForwardingKind, forwardingKind, refusedUpgrades } from "./fields.ts";
import { isSameStory, type Said, type Story, storyOf, type TrustedProxy } from "./forwarding.ts";
import {
  explainRequestHead,
  fieldValue,
  isNamed,
  listElements,
  plainRequestHead,
  type Refusal,
  refuse,
  requestHead,
} from "./grammar.ts";
import { checkEscapes } from "./path.ts";
import { absoluteForm, connectRefusal, tooManyOptions } from "./request-line.ts";

const digits = /^[0-9]{1,15}$/;
const codings = /^[a-z]+(?:[\t ]*,[\t ]*[a-z]+)*$/i;

/** The engine's limits that concern a head. */
export type HeadLimits = Pick<
  EngineLimits,
  "maxTargetBytes" | "maxHeaders" | "maxBodyBytes" | "underscoresInHeaders" | "ignoreInvalidHeaders"
>;

/** A line from a trusted proxy that may tell another story than its other lines. */
interface Claim {
  readonly line: number;
  readonly next: number;
  readonly kind: ForwardingKind;
  readonly value: string;
}

/** A request head. One object serves one connection: `read` overwrites what was there. */
export class RequestHead implements Said {
  method = "";
  /** The target in origin form, or `*`. */
  target = "";
  /** The protocol's version, as `Via` writes it. */
  version: "1.0" | "1.1" | "2" = "1.1";
  /** From `Host` or, in absolute form, from the target. */
  authority = "";
  /** -1 when there is none. */
  contentLength = -1;
  /** Whether a body of unknown length follows. */
  isStreamed = false;
  /** Whether the client wants the connection kept. */
  keepAlive = true;
  expectsContinue = false;
  /** `TE: trailers` was sent. */
  takesTrailers = false;
  /** The protocol of an upgrade that is passed on; empty when there is none. */
  upgrade = "";
  /** The values of `Trailer`; empty when absent. */
  trailer = "";
  /** What the trusted proxy said; see `Said`. */
  forwardedFor = "";
  forwardedProto = "";
  forwardedHost = "";
  forwarded = "";
  requestId = "";
  /** How many lines were left out because of their names. */
  oddNames = 0;
  #proxy: TrustedProxy | null = null;
  #story: Story | null = null;
  readonly #claims: Claim[] = [];
  /** The value of `Connection`; empty when absent. */
  connection = "";
  readonly fields = new FieldLines("request");

  /** The trusted proxy that sends the requests on this connection; `null` for any other client. */
  get proxy(): TrustedProxy | null {
    return this.#proxy;
  }

  /** Forgets what another proxy said. */
  set proxy(proxy: TrustedProxy | null) {
    if (proxy === this.#proxy) return;
    this.#proxy = proxy;
    this.#forgetStory();
  }

  /** What a trusted proxy's request says about its client; `null` for any other request. */
  get story(): Story | null {
    if (this.proxy !== null) this.#story ??= storyOf(this, this.proxy);
    return this.#story;
  }

  /**
   * Whether the client takes every 2xx for the switch of protocols that it asked for, as one of HTTP/2 does (RFC 8441
   * section 5). It has no part in the handshake.
   */
  get mustSwitch(): boolean {
    return this.upgrade !== "" && this.version === "2";
  }

  /** Whether a body follows. */
  get hasBody(): boolean {
    return this.isStreamed || this.contentLength > 0;
  }

  /**
   * Reads the head at the start of `text`, which ends before `end` (after its empty line). Returns `null`, or why the
   * head is refused.
   */
  read(text: string, end: number, limits: HeadLimits): Refusal | null {
    this.oddNames = 0;
    plainRequestHead.lastIndex = 0;
    if (!plainRequestHead.test(text) || plainRequestHead.lastIndex !== end) {
      requestHead.lastIndex = 0;
      if (!requestHead.test(text) || requestHead.lastIndex !== end) {
        return explainRequestHead(text.slice(0, end));
      }
      const { head, dropped } = withoutOddNames(text.slice(0, end), limits);
      this.oddNames = dropped;
      return this.#read(head, head.length, limits);
    }
    return this.#read(text, end, limits);
  }

  #read(text: string, end: number, limits: HeadLimits): Refusal | null {
    const methodEnd = text.indexOf(" ");
    const targetEnd = text.indexOf(" ", methodEnd + 1);
    this.method = text.slice(0, methodEnd);
    this.target = text.slice(methodEnd + 1, targetEnd);
    this.version = text.charCodeAt(targetEnd + 8) === 48 ? "1.0" : "1.1";
    this.contentLength = -1;
    this.isStreamed = false;
    this.expectsContinue = false;
    this.takesTrailers = false;
    this.upgrade = "";
    this.requestId = "";
    this.trailer = "";
    if (this.proxy !== null) this.#forgetStory();
    if (targetEnd - methodEnd - 1 > limits.maxTargetBytes) {
      const message = `the request target is longer than ${limits.maxTargetBytes} bytes`;
      return { status: 414, code: "target_too_long", message };
    }
    this.fields.reset(text, targetEnd + 11, end - 2);
    return this.#readFields(text, targetEnd + 11, end - 2, limits);
  }

  #forgetStory(): void {
    this.forwardedFor = "";
    this.forwardedProto = "";
    this.forwardedHost = "";
    this.forwarded = "";
    this.#story = null;
    this.#claims.length = 0;
  }

  #readFields(text: string, start: number, end: number, limits: HeadLimits): Refusal | null {
    let count = this.oddNames;
    const fields = this.fields;
    let host: string | null = null;
    let connection = "";
    let coding: string | null = null;
    let upgrade = "";
    for (let line = start; line < end; ) {
      const lineEnd = text.indexOf("\r\n", line);
      const next = lineEnd + 2;
      // Looks only at the first letters of fields that matter; `| 32` makes them lower case.
      switch (text.charCodeAt(line) | 32) {
        case 104: {
          const colon = text.indexOf(":", line);
          if (isNamed(text, line, colon, "host")) {
            if (host !== null) return refuse("two_hosts", "more than one Host header");
            host = fieldValue(text, colon, lineEnd);
            fields.drop(line, next);
          }
          break;
        }
        case 99: {
          const colon = text.indexOf(":", line);
          if (isNamed(text, line, colon, "connection")) {
            const value = fieldValue(text, colon, lineEnd);
            connection = joined(connection, value);
            fields.drop(line, next);
          } else if (isNamed(text, line, colon, "content-length")) {
            const value = fieldValue(text, colon, lineEnd);
            if (this.contentLength !== -1)
              return refuse("two_lengths", "more than one Content-Length");
            if (!digits.test(value)) return refuse("bad_length", "Content-Length is not a number");
            this.contentLength = Number(value);
            fields.drop(line, next);
          } else if (colon - line === 9 || colon - line === 11 || colon - line > 13) {
            // `client-ip`, `client-cert` and others have such a length; `cookie`, `cache-control` and the like do not.
            this.#readForwarding(text, line, colon, lineEnd);
          }
          break;
        }
        case 116: {
          const colon = text.indexOf(":", line);
          if (isNamed(text, line, colon, "transfer-encoding")) {
            if (coding !== null) return refuse("two_codings", "more than one Transfer-Encoding");
            coding = fieldValue(text, colon, lineEnd);
            fields.drop(line, next);
          } else if (isNamed(text, line, colon, "te")) {
            this.takesTrailers ||= /(?:^|[\t ,])trailers(?:$|[\t ,])/i.test(
              fieldValue(text, colon, lineEnd),
            );
            fields.drop(line, next);
          } else if (isNamed(text, line, colon, "trailer")) {
            const value = fieldValue(text, colon, lineEnd);
            this.trailer = joined(this.trailer, value);
            fields.drop(line, next);
          } else {
            this.#readForwarding(text, line, colon, lineEnd);
          }
          break;
        }
        case 117: {
          const colon = text.indexOf(":", line);
          if (isNamed(text, line, colon, "upgrade")) {
            const value = fieldValue(text, colon, lineEnd);
            upgrade = joined(upgrade, value);
            fields.drop(line, next);
          }
          break;
        }
        case 101: {
          const colon = text.indexOf(":", line);
          if (isNamed(text, line, colon, "expect")) {
            if (fieldValue(text, colon, lineEnd).toLowerCase() !== "100-continue") {
              return { status: 417, code: "bad_expectation", message: "only 100-continue is met" };
            }
            this.expectsContinue = true;
            fields.drop(line, next);
          }
          break;
        }
        case 107:
        case 112: {
          const colon = text.indexOf(":", line);
          if (
            isNamed(text, line, colon, "keep-alive") ||
            isNamed(text, line, colon, "proxy-connection")
          ) {
            fields.drop(line, next);
          } else if ((text.charCodeAt(line + 3) | 32) === 120) {
            // `prox...`; `priority` and the like do not match.
            this.#readForwarding(text, line, colon, lineEnd);
          }
          break;
        }
        case 102:
        case 119:
        case 120:
          this.#readForwarding(text, line, text.indexOf(":", line), lineEnd);
          break;
      }
      count += 1;
      line = next;
    }
    if (count > limits.maxHeaders) {
      const message = `the request has more than ${limits.maxHeaders} header lines`;
      return { status: 431, code: "too_many_headers", message };
    }
    if (this.proxy !== null) this.#settleClaims();
    return (
      this.#settleFraming(coding) ??
      this.#settleAuthority(host) ??
      this.#settleConnection(connection, upgrade, limits.maxHeaders) ??
      this.#checkLength(limits.maxBodyBytes)
    );
  }

  /** Notes a trusted proxy's forwarding fields. From anyone else they are hidden, so that nobody believes them. */
  #readForwarding(text: string, line: number, colon: number, lineEnd: number): void {
    const name = text.slice(line, colon).toLowerCase();
    const next = lineEnd + 2;
    if (name === "x-request-id") {
      this.requestId = fieldValue(text, colon, lineEnd);
      this.fields.drop(line, next);
      return;
    }
    const kind = forwardingKind(name);
    if (kind === null) return;
    if (this.proxy === null) {
      this.fields.hide(line, next);
      return;
    }
    const value = fieldValue(text, colon, lineEnd);
    if (kind === "written") {
      if (name === "x-forwarded-for") this.forwardedFor = joined(this.forwardedFor, value);
      else if (name === "x-forwarded-proto")
        this.forwardedProto = joined(this.forwardedProto, value);
      else this.forwardedHost = value;
      this.fields.drop(line, next);
    } else {
      if (name === "forwarded") this.forwarded = joined(this.forwarded, value);
      this.#claims.push({ line, next, kind, value });
    }
  }

  /** Hides the fields that contradict the proxy's main story, because an origin must not read two. */
  #settleClaims(): void {
    const story = this.#claims.length === 0 ? null : this.story;
    if (story === null) return;
    const others = this.#claims.filter(({ kind, value }) => !isSameStory(kind, value, story));
    if (others.length > 0) this.fields.hideAll(others.flatMap(({ line, next }) => [line, next]));
  }

  /** RFC 9112 section 6.3, stricter where it leaves a choice. */
  #settleFraming(coding: string | null): Refusal | null {
    if (coding === null) return null;
    if (this.contentLength !== -1) {
      return refuse("two_framings", "both Transfer-Encoding and Content-Length");
    }
    if (this.version === "1.0")
      return refuse("bad_coding", "Transfer-Encoding in an HTTP/1.0 request");
    if (coding.toLowerCase() !== "chunked") {
      const isKnownForm = codings.test(coding) && /[\t ,]chunked$/i.test(coding);
      return {
        status: isKnownForm ? 501 : 400,
        code: "bad_coding",
        message: "the only transfer coding here is a single chunked",
      };
    }
    this.isStreamed = true;
    return null;
  }

  #checkLength(maxBodyBytes: number): Refusal | null {
    return maxBodyBytes > 0 && this.contentLength > maxBodyBytes
      ? bodyTooLarge(maxBodyBytes)
      : null;
  }

  /** RFC 9112 section 3.2. */
  #settleAuthority(host: string | null): Refusal | null {
    if (this.method === "CONNECT") return connectRefusal;
    if (host === null) return refuse("no_host", "the request has no Host header");
    if (this.target.charCodeAt(0) !== 47) {
      if (this.target === "*") {
        if (this.method !== "OPTIONS") return refuse("bad_target", "only OPTIONS may ask for *");
      } else {
        const absolute = absoluteForm.exec(this.target);
        if (absolute === null) return refuse("bad_target", "the request target is malformed");
        // The target's authority outranks `Host`, which must be valid all the same (RFC 9112 section 3.2.2).
        if (!isAuthority(host)) return refuse("bad_host", "the host is malformed");
        host = absolute[1] ?? "";
        const rest = absolute[2] ?? (this.method === "OPTIONS" ? "*" : "/");
        this.target = rest.startsWith("?") ? `/${rest}` : rest;
      }
    }
    // Most requests on one connection name the same host, which is then checked once.
    if ((host !== this.authority || host === "") && !isAuthority(host)) {
      return refuse("bad_host", "the host is malformed");
    }
    this.authority = host;
    return this.target.includes("%") ? checkEscapes(this.target) : null;
  }

  #settleConnection(connection: string, upgrade: string, maxHeaders: number): Refusal | null {
    this.connection = connection;
    this.keepAlive = this.version === "1.1";
    if (connection === "") return null;
    const options = connection.toLowerCase();
    if (options === "keep-alive") {
      this.keepAlive = true;
      return null;
    }
    if (options === "close") {
      this.keepAlive = false;
      return null;
    }
    const names = listElements(connection);
    if (names.length > maxHeaders) return tooManyOptions(maxHeaders);
    if (names.includes("close")) this.keepAlive = false;
    else if (names.includes("keep-alive")) this.keepAlive = true;
    if (
      names.includes("upgrade") &&
      upgrade !== "" &&
      this.version === "1.1" &&
      this.contentLength <= 0 &&
      !this.isStreamed &&
      !refusedUpgrades.test(upgrade)
    ) {
      this.upgrade = upgrade;
    }
    this.fields.removeNamedBy(connection);
    return null;
  }
}

/** Joins the values of several lines with one name. */
function joined(before: string, value: string): string {
  return before === "" ? value : `${before}, ${value}`;
}
