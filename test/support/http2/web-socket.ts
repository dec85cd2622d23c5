/**
 * A socket over which `ws` makes HTTP/1.1's handshake, while the gateway is asked by an extended CONNECT of Node's own
 * client (RFC 8441): the messages then are `ws`'s on either side.
 */
import { createHash } from "node:crypto";
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import { constants } from "node:http2";
import { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { until } from "../conditions.ts";

const keyField = "sec-websocket-key";
const notSent = new Set(["host", "upgrade", "connection", keyField]);

/** What a server answers to a key (RFC 6455 section 4.2.2). */
export function acceptOf(key: string): string {
  const text = `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  return createHash("sha1").update(text).digest("base64");
}

class ConnectSocket extends Duplex {
  readonly #session: ClientHttp2Session;
  #stream: ClientHttp2Stream | null = null;
  #head = "";

  constructor(session: ClientHttp2Session) {
    super({ allowHalfOpen: true });
    this.#session = session;
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#stream !== null) {
      this.#stream.write(bytes, done);
      return;
    }
    this.#head += bytes.toString("latin1");
    if (this.#head.endsWith("\r\n\r\n")) this.#connect(this.#head);
    done();
  }

  override _read(): void {
    this.#stream?.resume();
  }

  override _final(done: () => void): void {
    this.#stream?.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stream?.close(constants.NGHTTP2_CANCEL);
    done(error);
  }

  #connect(head: string): void {
    const [line = "", ...lines] = head.trimEnd().split("\r\n");
    const given = lines.map((one) => one.split(": ", 2) as [string, string]);
    const values = new Map(given.map(([name, value]) => [name.toLowerCase(), value]));
    const fields: OutgoingHttpHeaders = {
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": this.#session.encrypted === true ? "https" : "http",
      ":authority": values.get("host"),
      ":path": line.split(" ")[1],
    };
    for (const [name, value] of values) if (!notSent.has(name)) fields[name] = value;
    const stream = this.#session.request(fields, { endStream: false });
    this.#stream = stream;
    stream.on("response", ({ ":status": status, ...others }) => {
      const answer = status === 200 ? "101 Switching Protocols" : `${status} Refused`;
      const names = Object.entries(others).map(([name, value]) => `${name}: ${value}\r\n`);
      const handshake = [
        `Upgrade: websocket\r\nConnection: Upgrade\r\n`,
        `Sec-WebSocket-Accept: ${acceptOf(values.get(keyField) ?? "")}\r\n`,
      ];
      const more = status === 200 ? handshake : [];
      this.push(`HTTP/1.1 ${answer}\r\n${[...names, ...more].join("")}\r\n`, "latin1");
    });
    stream.on("data", (bytes: Buffer) => {
      if (!this.push(bytes)) stream.pause();
    });
    stream.on("end", () => this.push(null));
    // A reset is seen as a close.
    stream.on("error", () => {});
    stream.on("close", () => this.destroy());
  }
}

/** Asks for a WebSocket on a connection that speaks HTTP/2. */
export async function openWebSocketOn(
  session: ClientHttp2Session,
  host: string,
  path: string,
  protocols: readonly string[] = [],
): Promise<WebSocket> {
  await until(
    "the gateway said that it takes WebSocket",
    () => session.remoteSettings?.enableConnectProtocol === true,
  );
  return new WebSocket(`ws://${host}${path}`, [...protocols], {
    createConnection: () => new ConnectSocket(session),
  });
}
