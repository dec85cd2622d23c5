/** Heads to and from a real HTTP/2 library, over sockets: `node:http2` on one side, encoder and decoder on the other. */

import { once } from "node:events";
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { until } from "../../../../test/support/conditions.ts";
import { seedOf } from "../../../../test/support/effort.ts";
import {
  type Frame,
  FrameReader,
  frame,
  frameFlag,
  frameType,
  preface,
  setting,
  settingsFrame,
} from "../../../../test/support/http2/frames.ts";
import { seeded } from "../../../../test/support/random.ts";
import type { HpackDecoder } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";
import { decoded, encoded, type Field, pairs, roomyDecoder } from "./fixtures/blocks.ts";

/** The side that is tested: heads of one connection, and no more of HTTP/2 than they need. */
class Link {
  readonly heads: (readonly Field[])[] = [];
  /** How often the other side has said what it allows. */
  settings = 0;
  readonly #socket: Socket;
  readonly #decoder: HpackDecoder;
  readonly #encoder = new HpackEncoder();
  readonly #reader = new FrameReader();
  #onHead: (stream: number) => void = () => {};
  #preface: number;

  constructor(socket: Socket, decoder: HpackDecoder, awaitsPreface: boolean) {
    this.#socket = socket;
    this.#decoder = decoder;
    this.#preface = awaitsPreface ? preface.length : 0;
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      const skipped = Math.min(this.#preface, bytes.length);
      this.#preface -= skipped;
      this.#reader.push(bytes.subarray(skipped));
      for (let next = this.#reader.next(); next !== null; next = this.#reader.next())
        this.#take(next);
    });
  }

  /** Sends a head in a frame that ends its stream. */
  send(stream: number, fields: readonly Field[]): void {
    const flags = frameFlag.endHeaders | frameFlag.endStream;
    this.#socket.write(frame(frameType.headers, flags, stream, encoded(this.#encoder, fields)));
  }

  answerEach(fields: (nth: number) => readonly Field[]): void {
    this.#onHead = (stream) => this.send(stream, fields(this.heads.length - 1));
  }

  #take({ type, flags, stream, payload }: Frame): void {
    if (type === frameType.settings && (flags & frameFlag.ack) === 0) {
      for (let at = 0; at + 6 <= payload.length; at += 6) {
        if (payload.readUInt16BE(at) === setting.headerTableSize)
          this.#encoder.setMaxTableBytes(payload.readUInt32BE(at + 2));
      }
      this.settings += 1;
      this.#socket.write(frame(frameType.settings, frameFlag.ack, 0));
    } else if (type === frameType.headers) {
      expect(flags & frameFlag.endHeaders).to.equal(frameFlag.endHeaders);
      const skipped = (flags & frameFlag.priority) === 0 ? 0 : 5;
      const { outcome, fields } = decoded(this.#decoder, payload.subarray(skipped));
      expect(outcome).to.equal("ok");
      this.heads.push(fields);
      this.#onHead(stream);
    }
  }
}

const values = [
  "",
  "1",
  "text/html; charset=utf-8",
  "gzip, deflate",
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
  "with all of \x21\x22\x5c\x5e\x60\x7b\x7c\x7d\x7e",
  "x".repeat(300),
];

function randomFields(random: () => number): readonly Field[] {
  return Array.from({ length: Math.floor(random() * 9) }, () => {
    const name = `x-name-${Math.floor(random() ** 3 * 60)}`;
    const isNew = random() < 0.2;
    const value = isNew ? `${random()}` : (values[Math.floor(random() * values.length)] ?? "");
    return [random() < 0.05 ? "cookie" : name, value];
  });
}

async function portOf(server: Server | ReturnType<typeof createHttp2Server>): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

describe("header compression beside node:http2", () => {
  for (const tableBytes of [4_096, 200, 0]) {
    it(`understands a server that allows ${tableBytes} bytes and changes its mind, and is understood`, async () => {
      const random = seeded(seedOf() + tableBytes);
      const received: (readonly Field[])[] = [];
      const sent: (readonly Field[])[] = [];
      const server = createHttp2Server({ settings: { headerTableSize: tableBytes } });
      server.on("stream", (stream: ServerHttp2Stream, _fields, _flags, raw: readonly string[]) => {
        received.push(pairs(raw));
        const answer: readonly Field[] = [[":status", "200"], ...randomFields(random)];
        sent.push(answer);
        stream.respond([...answer.flat(), "date", "today"], { endStream: true });
        const size = Math.floor(random() * 5_000);
        if (received.length % 20 === 0) stream.session?.settings({ headerTableSize: size });
      });
      const socket = connect(await portOf(server), "127.0.0.1");
      try {
        const link = new Link(socket, roomyDecoder(), false);
        socket.write(Buffer.concat([preface, settingsFrame()]));
        await until("the server's settings have come", () => link.settings > 0);
        const requests: (readonly Field[])[] = [];
        for (let n = 0; n < 200; n += 1) {
          const head: readonly Field[] = [
            [":method", random() < 0.5 ? "GET" : "POST"],
            [":scheme", "http"],
            [":authority", "shop.example"],
            [":path", random() < 0.5 ? "/" : `/${Math.floor(random() * 5)}`],
            ...randomFields(random),
          ];
          requests.push(head);
          link.send(2 * n + 1, head);
          if (n % 10 === 0) await until("the answers have come", () => link.heads.length > n);
        }
        await until("all answers have come", () => link.heads.length === requests.length);
        expect(received).to.deep.equal(requests);
        expect(link.heads).to.deep.equal(sent.map((answer) => [...answer, ["date", "today"]]));
        expect(link.settings).to.be.greaterThan(1);
      } finally {
        socket.destroy();
        server.close();
      }
    });

    it(`allows a client ${tableBytes} bytes, understands it, and is understood`, async () => {
      const random = seeded(seedOf() + tableBytes);
      const links: Link[] = [];
      const answers = Array.from({ length: 200 }, (): readonly Field[] => [
        [":status", random() < 0.5 ? "200" : "404"],
        ...randomFields(random),
      ]);
      const server = createServer((socket) => {
        const link = new Link(socket, roomyDecoder(tableBytes), true);
        link.answerEach((nth) => answers[nth] ?? []);
        socket.write(settingsFrame([[setting.headerTableSize, tableBytes]]));
        links.push(link);
      });
      const session = connectHttp2(`http://127.0.0.1:${await portOf(server)}`);
      session.on("error", () => {});
      try {
        await once(session, "remoteSettings");
        const requests: (readonly Field[])[] = [];
        const received: (readonly Field[])[] = [];
        for (let n = 0; n < answers.length; n += 1) {
          const head: readonly Field[] = [
            [":method", "GET"],
            [":scheme", "http"],
            [":authority", "shop.example"],
            [":path", `/${Math.floor(random() * 5)}`],
            ...randomFields(random),
          ];
          requests.push(head);
          const stream = session.request(head.flat(), { endStream: true });
          stream.resume();
          stream.on("response", (_fields, _flags, raw: readonly string[]) => {
            received.push(pairs(raw));
          });
          if (n % 10 === 0) await until("the answers have come", () => received.length > n);
        }
        await until("all answers have come", () => received.length === requests.length);
        expect(links[0]?.heads).to.deep.equal(requests);
        expect(received).to.deep.equal(answers);
      } finally {
        session.destroy();
        server.close();
      }
    });
  }
});
