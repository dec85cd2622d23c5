/** What an origin's answer that `node:http` has read says, and whether the contract lets it pass. */
import type { IncomingMessage } from "node:http";
import { isOffered } from "../message/grammar.ts";
import { HeaderList } from "./header-list.ts";

export class AnswerPlan {
  readonly status: number;
  readonly reason: string;
  readonly headers: HeaderList;
  /** As announced, also where no body follows; -1 when there is none. */
  readonly contentLength: number;
  /** The protocol that the peer switched to. */
  readonly upgrade: string;
  readonly #hasNoBody: boolean;

  private constructor(message: IncomingMessage, headers: HeaderList, method: string) {
    this.status = message.statusCode ?? 0;
    this.reason = message.statusMessage ?? "";
    this.headers = headers;
    const [length] = headers.sent("content-length");
    this.contentLength = length === undefined ? -1 : Number(length);
    this.upgrade = headers.sent("upgrade").at(-1) ?? "";
    const { status } = this;
    this.#hasNoBody = method === "HEAD" || status === 204 || status === 304;
    headers.removeNamedBy(headers.sent("connection").join(", "));
  }

  /** The answer, or what is wrong with it. `method` is that of the request. */
  static read(message: IncomingMessage, method: string): AnswerPlan | string {
    const headers = new HeaderList("response", message.rawHeaders);
    const status = message.statusCode ?? 0;
    if (status < 100 || status > 599) return "the answer's status is out of range";
    // One without `Upgrade`: `node:http` takes it for a final answer.
    if (status === 101) return "101 to a protocol that was not offered";
    if (message.httpVersion !== "1.0" && message.httpVersion !== "1.1") {
      return "the answer's version is not HTTP/1.0 or HTTP/1.1";
    }
    if (!/^[\t -~\x80-\xff]*$/.test(message.statusMessage ?? "")) {
      return "a control in the reason phrase";
    }
    const lengths = headers.sent("content-length");
    if (lengths.length > 1) return "more than one Content-Length";
    if (lengths.some((length) => !/^[0-9]{1,15}$/.test(length))) {
      return "Content-Length is not a number";
    }
    const codings = headers.sent("transfer-encoding");
    if (codings.length > 1) return "more than one Transfer-Encoding";
    if (codings.length > 0) {
      if (lengths.length > 0) return "both Transfer-Encoding and Content-Length";
      if (codings[0]?.toLowerCase() !== "chunked") return "a transfer coding other than chunked";
      if (message.httpVersion === "1.0") return "Transfer-Encoding in an HTTP/1.0 answer";
    }
    return new AnswerPlan(message, headers, method);
  }

  /** A 101, or what is wrong with it. `offer` is the client's `Upgrade`. */
  static switched(message: IncomingMessage, offer: string): AnswerPlan | string {
    if (!isOffered(offer, message.headers.upgrade ?? "")) {
      return "101 to a protocol that was not offered";
    }
    return new AnswerPlan(message, new HeaderList("response", message.rawHeaders), "GET");
  }

  /** A 101's whole head for the client. */
  upgradeHead(): string {
    const lines = this.headers.forwarded().map(([name, value]) => `${name}: ${value}\r\n`);
    return `HTTP/1.1 101 ${this.reason}\r\n${lines.join("")}Connection: Upgrade\r\nUpgrade: ${this.upgrade}\r\n\r\n`;
  }

  /** How the body is framed for the client; `isOld` for one of HTTP/1.0. */
  framing(isOld: boolean): "none" | "length" | "chunked" | "close" {
    if (this.contentLength !== -1 && this.status !== 204) return "length";
    if (this.#hasNoBody) return "none";
    return isOld ? "close" : "chunked";
  }
}
