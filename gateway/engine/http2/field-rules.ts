/**
 * Which lists of fields are malformed in HTTP/2 (RFC 9113 sections 8.2.2 and 8.3), whatever they mean. Which characters
 * a field may have is HPACK's reader to say.
 */

import { isFieldValue } from "../message/grammar.ts";

const colon = 0x3a;
const lengthValue = /^[0-9]{1,15}$/;

/** Reads lists of fields, names and values alternately. Each method returns what is wrong; empty when nothing is. */
export class FieldRules {
  /** What the list that was read last says about the length of the body; -1 when it says nothing. */
  contentLength = -1;
  /** The `:protocol` of the request that was read last (RFC 8441 section 4); empty when it has none. */
  protocol = "";

  request(fields: readonly string[]): string {
    this.contentLength = -1;
    this.protocol = "";
    let method = "";
    let scheme: string | null = null;
    let path: string | null = null;
    let authority: string | null = null;
    let at = 0;
    for (; at < fields.length; at += 2) {
      const name = fields[at] ?? "";
      const value = fields[at + 1] ?? "";
      if (name.charCodeAt(0) !== colon) break;
      if (name === ":method") {
        if (method !== "") return "more than one :method";
        method = value;
      } else if (name === ":path") {
        if (path !== null) return "more than one :path";
        path = value;
      } else if (name === ":scheme") {
        if (scheme !== null) return "more than one :scheme";
        scheme = value;
      } else if (name === ":authority") {
        if (authority !== null) return "more than one :authority";
        authority = value;
      } else if (name === ":protocol") {
        if (this.protocol !== "" || value === "") return "a malformed :protocol";
        this.protocol = value;
      } else return "an unknown pseudo-field";
    }
    if (method === "") return "no :method";
    if (method === "CONNECT" && this.protocol === "") {
      if (authority === null || scheme !== null || path !== null) return "a malformed CONNECT";
    } else {
      if (this.protocol !== "" && method !== "CONNECT") return ":protocol without CONNECT";
      if (scheme === null) return "no :scheme";
      if (path === null) return "no :path";
      if (!path.startsWith("/") && path !== "*") return "a malformed :path";
    }
    return this.#regular(fields, at);
  }

  response(fields: readonly string[]): string {
    this.contentLength = -1;
    const status = fields[1] ?? "";
    if (fields[0] !== ":status") return "no :status";
    // HTTP/2 has no upgrades (RFC 9113 section 8.6).
    if (!/^[1-9][0-9][0-9]$/.test(status) || status === "101") return "a malformed :status";
    return this.#regular(fields, 2);
  }

  /** Nobody reads a trailer as a whole again, as heads are, so its values are looked at here. */
  trailer(fields: readonly string[]): string {
    for (let at = 1; at < fields.length; at += 2)
      if (!isFieldValue(fields[at] ?? "")) return "a forbidden character in a trailer";
    return this.#regular(fields, 0);
  }

  #regular(fields: readonly string[], from: number): string {
    for (let at = from; at < fields.length; at += 2) {
      const name = fields[at] ?? "";
      const value = fields[at + 1] ?? "";
      if (name.charCodeAt(0) === colon) return "a pseudo-field out of place";
      switch (name.length) {
        case 2:
          if (name === "te" && value !== "trailers") return "TE of anything but trailers";
          break;
        case 7:
          if (name === "upgrade") return "upgrade, a field of HTTP/1.1's connections";
          break;
        case 10:
          if (name === "connection" || name === "keep-alive")
            return `${name}, a field of HTTP/1.1's connections`;
          break;
        case 14:
          // Whoever reads the head refuses what is no length.
          if (name === "content-length" && lengthValue.test(value))
            this.contentLength = Number(value);
          break;
        case 16:
          if (name === "proxy-connection") return `${name}, a field of HTTP/1.1's connections`;
          break;
        case 17:
          if (name === "transfer-encoding") return `${name}, a field of HTTP/1.1's connections`;
          break;
      }
    }
    return "";
  }
}
