/** Bodies of requests reach the origin whole and unchanged, however they are framed and cut. */
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { digest, lookalike, MEGABYTE } from "../support/bodies.ts";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, chunked, fieldOf, ok, requestBytes, until } from "../support/http.ts";

describeEngines("bodies of requests", (bench) => {
  it("forwards a body with a length", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    await client.request(requestBytes("POST /", ["Content-Length: 5"], "hello"));
    expect(origin.request.framing).to.equal("length");
    expect(origin.request.body.toString()).to.equal("hello");
    expect((await gateway.outcome()).bytesIn).to.equal(5);
  });

  it("forwards a chunked body, and drops the extensions of its chunks", async () => {
    const origin = await bench.origin(ok());
    const client = await bench.client(await bench.gateway(origin));
    const body = '5;a=b\r\nhello\r\n6;c="d;e"\r\n world\r\n000\r\n\r\n';
    const answer = await client.request(
      requestBytes("POST /", ["Transfer-Encoding: Chunked"], body),
    );
    expect(answer.status).to.equal(200);
    expect(origin.request.framing).to.equal("chunked");
    expect(origin.request.body.toString()).to.equal("hello world");
    expect(origin.request.raw.toString()).to.not.include("a=b");
  });

  it("forwards an empty body of both framings as an empty body", async () => {
    const origin = await bench.origin(ok());
    const client = await bench.client(await bench.gateway(origin));
    await client.request(requestBytes("POST /length", ["Content-Length: 0"]));
    await client.request(
      requestBytes("POST /chunked", ["Transfer-Encoding: chunked"], "0\r\n\r\n"),
    );
    await client.request(requestBytes("GET /after"));
    expect(origin.requests.map((request) => request.body.length)).to.deep.equal([0, 0, 0]);
    expect(fieldOf(origin.requests[0] as never, "Content-Length")).to.equal("0");
  });

  it("forwards a body on any method", async () => {
    const origin = await bench.origin(ok());
    const client = await bench.client(await bench.gateway(origin));
    for (const method of ["GET", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH"]) {
      await client.request(requestBytes(`${method} /`, ["Content-Length: 4"], "body"));
    }
    expect(origin.requests.map((request) => request.body.toString())).to.deep.equal(
      Array.from({ length: 6 }, () => "body"),
    );
  });

  it("begins to forward a body before it is whole", async () => {
    const origin = await bench.origin(ok());
    const client = await bench.client(await bench.gateway(origin));
    client.send(requestBytes("POST /", ["Content-Length: 10"], "first"), "POST");
    await until("the first half arrived", () => origin.connections[0]?.reader.bodyBytes === 5);
    expect(origin.requests).to.have.length(0);
    client.send("after");
    expect((await client.answer()).status).to.equal(200);
    expect(origin.request.body.toString()).to.equal("firstafter");
  });

  for (const framing of ["length", "chunked"] as const) {
    it(`forwards 8 MB framed by ${framing} unchanged`, async () => {
      const body = Buffer.concat([randomBytes(4 * MEGABYTE), lookalike(4 * MEGABYTE)]);
      const origin = await bench.origin((request, connection) =>
        connection.send(ok(digest(request.body))),
      );
      const client = await bench.client(await bench.gateway(origin));
      const chunks = [];
      for (let at = 0; at < body.length; at += 70_001) chunks.push(body.subarray(at, at + 70_001));
      const head =
        framing === "length" ? `Content-Length: ${body.length}` : "Transfer-Encoding: chunked";
      client.send(requestBytes("PUT /", [head]), "PUT");
      client.send(framing === "length" ? body : chunked(chunks));
      expect((await client.answer()).body.toString()).to.equal(digest(body));
      expect((await client.request(requestBytes("GET /next"))).status).to.equal(200);
    });
  }

  it("reads requests cut at any single byte", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(ok(`${request.target} ${request.body}`)),
    );
    const client = await bench.client(await bench.gateway(origin));
    const bytes =
      requestBytes("POST /a", ["Content-Length: 5"], "hello") +
      requestBytes("POST /b", ["Transfer-Encoding: chunked"], "3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n");
    for (let at = 1; at < bytes.length; at += 1) {
      client.send("", "POST", "POST");
      await client.sendSplit(bytes, [at]);
      expect((await client.answer()).body.toString(), `cut at ${at}`).to.equal("/a hello");
      expect((await client.answer()).body.toString(), `cut at ${at}`).to.equal("/b abc");
    }
  });

  it("reads requests whose every byte comes alone", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(ok(`${request.target} ${request.body}`)),
    );
    const client = await bench.client(await bench.gateway(origin));
    const bytes = requestBytes(
      "POST /c",
      ["Transfer-Encoding: chunked"],
      "5\r\nhello\r\n0\r\n\r\n",
    );
    client.send("", "POST");
    await client.sendSplit(
      bytes,
      Array.from({ length: bytes.length - 1 }, (_, n) => n + 1),
    );
    expect((await client.answer()).body.toString()).to.equal("/c hello");
  });

  it("drops trailers that nobody allowed, and reads the next request after them", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(ok(`${request.body}`)),
    );
    const client = await bench.client(await bench.gateway(origin));
    const body = "2\r\nab\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n";
    const answer = await client.request(
      requestBytes("POST /", ["Transfer-Encoding: chunked", "Trailer: X-Sum"], body),
    );
    expect(answer.body.toString()).to.equal("ab");
    expect(origin.request.trailers).to.deep.equal([]);
    expect(fieldOf(origin.request, "Trailer")).to.equal(undefined);
    expect((await client.request(requestBytes("GET /next"))).status).to.equal(200);
  });

  it("never passes on a trailer that would decide on framing, routing or rights", async () => {
    const lines = ["Content-Length: 1", "Transfer-Encoding: x", "Host: b", "Authorization: c"];
    const trailers = lines.map((line) => `${line}\r\n`).join("");
    const origin = await bench.origin((_, connection) =>
      connection.send(
        answerBytes("200 OK", ["Transfer-Encoding: chunked"], `2\r\nok\r\n0\r\n${trailers}\r\n`),
      ),
    );
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(
      requestBytes("POST /", ["Transfer-Encoding: chunked"], `1\r\na\r\n0\r\n${trailers}\r\n`),
    );
    expect(answer.body.toString()).to.equal("ok");
    expect(answer.trailers).to.deep.equal([]);
    expect(origin.request.trailers).to.deep.equal([]);
  });

  it("gives up the request to the origin when the client's body is cut", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    for (const [n, head] of ["Content-Length: 10", "Transfer-Encoding: chunked"].entries()) {
      const client = await bench.client(gateway);
      client.send(requestBytes("POST /", [head], "5\r\nhello"), "POST");
      const connection = await origin.connection(n);
      await until("the body began", () => connection.reader.bodyBytes > 0);
      client.close();
      await connection.whenClosed();
      expect((await gateway.outcomeOf(n)).errorCode).to.not.equal("");
    }
    expect(origin.requests).to.have.length(0);
  });

  it("passes on an answer that comes before the request's body ended", async () => {
    const origin = await bench.origin(ok(), {
      onHead: (_, connection) => connection.end(ok("no need", ["Connection: close"])),
    });
    const client = await bench.client(await bench.gateway(origin));
    client.send(requestBytes("POST /", ["Content-Length: 1000000"], "start"), "POST");
    const answer = await client.answer();
    expect(answer.status).to.equal(200);
    expect(answer.body.toString()).to.equal("no need");
    await client.whenClosed();
    expect(origin.requests).to.have.length(0);
  });
});
