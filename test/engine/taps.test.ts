/** Bodies that go through taps on their way, with `node:zlib` in both directions. */
import { randomBytes } from "node:crypto";
import { createGunzip, createGzip, gunzipSync, gzipSync } from "node:zlib";
import { expect } from "chai";
import type { Hooks } from "../support/engine.ts";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, fieldOf, ok, requestBytes, settled, until } from "../support/http.ts";
import { ZlibTap } from "../support/zlib-tap.ts";

/** Text that gzip makes about half as long. */
const text = (bytes: number) => Buffer.from(randomBytes(Math.ceil(bytes / 2)).toString("hex"));

const compressing: Hooks = {
  onResponse(exchange) {
    exchange.setResponseHeader("content-encoding", "gzip");
    exchange.tapAnswer(new ZlibTap(createGzip()));
  },
};

describeEngines("taps", (bench) => {
  for (const size of [10, 10_000, 3_000_000]) {
    it(`compress an answer of ${size} bytes, which then has no length`, async () => {
      const body = text(size);
      const origin = await bench.origin((_, connection) => {
        connection.send(answerBytes("200 OK", [`Content-Length: ${body.length}`]));
        connection.send(body);
      });
      const gateway = await bench.gateway(origin, { hooks: compressing });
      const client = await bench.client(gateway);
      for (let n = 0; n < 2; n += 1) {
        const answer = await client.request(requestBytes("GET /"));
        expect(fieldOf(answer, "content-length")).to.equal(undefined);
        expect(gunzipSync(answer.body).equals(body)).to.equal(true);
      }
      expect(gateway.ended[0]?.bytesOut).to.be.above(0);
    });
  }

  it("decompress a request, which then has no length", async () => {
    const body = text(2_000_000);
    const origin = await bench.origin(ok("taken"));
    const gateway = await bench.gateway(origin, {
      hooks: { onRequest: (exchange) => exchange.tapRequest(new ZlibTap(createGunzip())) },
    });
    const client = await bench.client(gateway);
    for (const plain of [text(100), body]) {
      const packed = gzipSync(plain);
      const head = requestBytes("POST /", [`Content-Length: ${packed.length}`]);
      client.send(Buffer.concat([Buffer.from(head), packed]), "POST");
      expect((await client.answer()).body.toString()).to.equal("taken");
      expect(origin.requests.at(-1)?.body.equals(plain)).to.equal(true);
    }
  });

  it("keep a streaming answer flowing, and end with its trailers", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin, {
      hooks: { onResponse: (exchange) => exchange.tapAnswer(new ZlibTap(createGzip(), true)) },
    });
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /", ["TE: trailers", "Connection: TE"]), "GET");
    const connection = await origin.connection();
    await until("the request came", () => origin.requests.length === 1);
    connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked", "Trailer: X-Sum"]));
    let sent = "";
    for (const piece of ["one ", "two ", "three "]) {
      const before = client.receivedBytes;
      connection.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
      sent += piece;
      await until(`${piece} is on its way`, () => client.receivedBytes > before);
    }
    connection.send("0\r\nX-Sum: 1\r\n\r\n");
    const answer = await client.answer();
    expect(gunzipSync(answer.body).toString()).to.equal(sent);
    // Names are in lower case over HTTP/2.
    expect(answer.trailers.map((line) => line.toLowerCase())).to.deep.equal(["x-sum: 1"]);
  });

  it("hold back the origin while the client takes nothing, and lose nothing by it", async () => {
    // More than the sockets in between can hold, and stored as it is so that it takes no time.
    const body = Buffer.alloc(30_000_000, text(65_536));
    const origin = await bench.origin((_, connection) => {
      connection.send(answerBytes("200 OK", [`Content-Length: ${body.length}`]));
      connection.send(body);
    });
    const gateway = await bench.gateway(origin, {
      hooks: {
        onResponse: (exchange) => exchange.tapAnswer(new ZlibTap(createGzip({ level: 0 }))),
      },
    });
    const client = await bench.client(gateway);
    client.socket.pause();
    client.send(requestBytes("GET /"), "GET");
    const { socket } = await origin.connection();
    await until("the origin sends", () => socket.writableLength > 0);
    await settled(() => socket.writableLength, 3);
    expect(socket.writableLength, "the origin waits").to.be.above(0);
    client.socket.resume();
    const answer = await client.answer();
    expect(gunzipSync(answer.body).equals(body)).to.equal(true);
  }).timeout(120_000);

  it("are let go when the client leaves", async () => {
    const tap = new ZlibTap(createGzip());
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin, {
      hooks: { onResponse: (exchange) => exchange.tapAnswer(tap) },
    });
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /"), "GET");
    const connection = await origin.connection();
    await until("the request came", () => origin.requests.length === 1);
    connection.send(answerBytes("200 OK", ["Content-Length: 900"], "x"));
    await until("the answer began", () => client.receivedBytes > 0);
    client.close();
    await until("it is over", () => gateway.ended.length === 1);
    expect(tap.isAborted).to.equal(true);
  });

  it("that fail are answered for, or cut the answer off", async () => {
    const origin = await bench.origin((_, connection) =>
      connection.send(answerBytes("200 OK", ["Content-Length: 5"], "plain")),
    );
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          if (exchange.hasBody) exchange.tapRequest(new ZlibTap(createGunzip()));
        },
        onResponse: (exchange) => exchange.tapAnswer(new ZlibTap(createGunzip())),
      },
    });
    const client = await bench.client(gateway);
    const post = requestBytes("POST /", ["Content-Length: 5"], "plain");
    expect((await client.request(post)).status).to.equal(400);
    const other = await bench.client(gateway);
    other.send(requestBytes("GET /"), "GET");
    await other.whenClosed();
    expect(other.violation).to.not.equal(null);
    expect(gateway.ended.map(({ errorCode }) => errorCode)).to.deep.equal([
      "bad_content",
      "bad_content",
    ]);
  });
});
