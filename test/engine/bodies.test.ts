/** Bodies of every framing reach the other side whole and unchanged, however they are cut. */
import { createHash, randomBytes } from "node:crypto";
import { expect } from "chai";
import {
  answerBytes,
  chunked,
  fieldOf,
  type OriginConnection,
  ok,
  requestBytes,
  until,
  useTestBench,
} from "../support/http.ts";
import { cuts, seeded } from "../support/random.ts";

const MEGABYTE = 1024 * 1024;

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes that look like HTTP, so that a reader that loses its place is found out. */
function lookalike(length: number): Buffer {
  const text = "0\r\n\r\nGET /stolen HTTP/1.1\r\nHost: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n5\r\n";
  return Buffer.from(text.repeat(Math.ceil(length / text.length))).subarray(0, length);
}

describe("engine: bodies", () => {
  const bench = useTestBench();

  describe("from the client", () => {
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
        for (let at = 0; at < body.length; at += 70_001)
          chunks.push(body.subarray(at, at + 70_001));
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
        requestBytes(
          "POST /b",
          ["Transfer-Encoding: chunked"],
          "3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
        );
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

    it("passes on trailers or drops them, and reads the next request after them", async () => {
      const origin = await bench.origin((request, connection) =>
        connection.send(ok(`${request.body}`)),
      );
      const client = await bench.client(await bench.gateway(origin));
      const body = "2\r\nab\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n";
      const answer = await client.request(
        requestBytes("POST /", ["Transfer-Encoding: chunked", "Trailer: X-Sum"], body),
      );
      expect(answer.body.toString()).to.equal("ab");
      expect([[], ["X-Sum: 1", "X-More: 2"]]).to.deep.include(origin.request.trailers);
      expect((await client.request(requestBytes("GET /next"))).status).to.equal(200);
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

  describe("from the origin", () => {
    /** Each framing, as the pieces of an answer. */
    const framings: Record<string, (body: Buffer) => Buffer[]> = {
      length: (body) => [
        Buffer.from(answerBytes("200 OK", [`Content-Length: ${body.length}`])),
        body,
      ],
      chunked: (body) => [
        Buffer.from(answerBytes("200 OK", ["Transfer-Encoding: chunked"])),
        chunked([body.subarray(0, 1), body.subarray(1, 300), body.subarray(300)]),
      ],
      close: (body) => [Buffer.from(answerBytes("200 OK", [])), body],
    };
    const finish = (framing: string, connection: OriginConnection) => {
      if (framing === "close") connection.end();
    };

    for (const [framing, build] of Object.entries(framings)) {
      it(`passes on a body framed by ${framing}, and keeps the client's connection`, async () => {
        const body = lookalike(1000);
        const origin = await bench.origin((_, connection) => {
          connection.send(Buffer.concat(build(body)));
          finish(framing, connection);
        });
        const gateway = await bench.gateway(origin);
        const client = await bench.client(gateway);
        for (let n = 0; n < 3; n += 1) {
          const answer = await client.request(requestBytes("GET /"));
          expect(answer.body.equals(body)).to.equal(true);
          expect(answer.framing).to.equal(framing === "close" ? "chunked" : framing);
        }
        expect((await gateway.outcomeOf(0)).bytesOut).to.equal(1000);
        expect(origin.connections).to.have.length(framing === "close" ? 3 : 1);
      });

      it(`passes on 8 MB framed by ${framing} unchanged`, async () => {
        const body = Buffer.concat([randomBytes(4 * MEGABYTE), lookalike(4 * MEGABYTE)]);
        const origin = await bench.origin((_, connection) => {
          for (const piece of build(body)) connection.send(piece);
          finish(framing, connection);
        });
        const client = await bench.client(await bench.gateway(origin));
        const answer = await client.request(requestBytes("GET /"));
        expect(digest(answer.body)).to.equal(digest(body));
      });

      it(`reads an answer framed by ${framing} that is cut at any byte or many`, async () => {
        const random = seeded(7);
        const body = lookalike(400);
        const whole = Buffer.concat(build(body));
        const plans = Array.from({ length: whole.length - 1 }, (_, n) => [n + 1]);
        for (let n = 0; n < 40; n += 1) plans.push(cuts(random, whole.length, 12));
        const origin = await bench.origin(async (request, connection) => {
          const plan = plans[Number(request.target.slice(1))] ?? [];
          const ends = [...plan, whole.length];
          await connection.sendPieces(
            ends.map((end, n) => whole.subarray(n ? ends[n - 1] : 0, end)),
          );
          finish(framing, connection);
        });
        const client = await bench.client(await bench.gateway(origin));
        for (const [n, plan] of plans.entries()) {
          const answer = await client.request(requestBytes(`GET /${n}`));
          expect(answer.body.equals(body), `cut at ${plan}`).to.equal(true);
        }
      });
    }

    it("passes on an answer as it comes, before its body is whole", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked"], "5\r\nhello\r\n")),
      );
      const client = await bench.client(await bench.gateway(origin));
      client.send(requestBytes("GET /events"), "GET");
      await until("the first chunk came", () => client.underWay?.bodyBytes === 5);
      origin.connections[0]?.send("0\r\n\r\n");
      expect((await client.answer()).body.toString()).to.equal("hello");
    });

    it("shows the client that a body with a length was cut", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.end(answerBytes("200 OK", ["Content-Length: 10"], "half")),
      );
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      client.send(requestBytes("GET /"), "GET");
      await client.whenClosed();
      await until("the cut is seen", () => client.violation !== null);
      expect(client.waiting).to.equal(0);
      expect((await gateway.outcome()).errorCode).to.equal("truncated");
    });

    it("shows the client that a chunked body was cut", async () => {
      for (const piece of [
        "5\r\nhel",
        "5\r\nhello\r\n",
        "5\r\nhello\r\n0\r\n",
        "5\r\nhello\r\n0",
      ]) {
        const origin = await bench.origin((_, connection) =>
          connection.end(answerBytes("200 OK", ["Transfer-Encoding: chunked"], piece)),
        );
        const gateway = await bench.gateway(origin);
        const client = await bench.client(gateway);
        client.send(requestBytes("GET /"), "GET");
        await client.whenClosed();
        await until("the cut is seen", () => client.violation !== null);
        expect(client.waiting, JSON.stringify(piece)).to.equal(0);
        expect((await gateway.outcome()).errorCode).to.equal("truncated");
      }
    });

    it("shows the client that a body delimited by close was reset", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.send(answerBytes("200 OK", [], "half")),
      );
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      client.send(requestBytes("GET /"), "GET");
      await until("the first half came", () => client.underWay?.bodyBytes === 4);
      origin.connections[0]?.reset();
      await client.whenClosed();
      await until("the cut is seen", () => client.violation !== null);
      expect(client.waiting).to.equal(0);
    });

    it("shows a client of HTTP/1.0 by a reset that its body, delimited by close, was cut", async () => {
      for (const head of ["Content-Length: 10", "Transfer-Encoding: chunked"]) {
        const origin = await bench.origin((_, connection) =>
          connection.send(answerBytes("200 OK", [head], "4\r\nhalf\r\n")),
        );
        const client = await bench.client(await bench.gateway(origin));
        client.send("GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n", "GET");
        await until("the first half came", () => (client.underWay?.bodyBytes ?? 0) >= 4);
        origin.connections[0]?.reset();
        await until("the connection closed", () => client.closed);
        expect(client.violation, head).to.not.equal(null);
        expect(client.waiting, head).to.equal(0);
      }
    });

    it("cuts an answer whose chunks turn to nonsense", async () => {
      for (const piece of ["5\r\nhello\r\nxyz\r\n", "5\r\nhelloworld", "-1\r\n", "5\nhello\r\n"]) {
        const origin = await bench.origin(async (_, connection) => {
          connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked"], "2\r\nok\r\n"));
        });
        const client = await bench.client(await bench.gateway(origin));
        client.send(requestBytes("GET /"), "GET");
        await until("the answer began", () => client.underWay?.bodyBytes === 2);
        origin.connections[0]?.send(piece);
        await client.whenClosed();
        await until("the cut is seen", () => client.violation !== null);
        expect(client.waiting, JSON.stringify(piece)).to.equal(0);
        await (await origin.connection()).whenClosed();
      }
    });
  });
});
