/** Bodies of answers reach the client whole and unchanged, or are seen to be cut. */
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { digest, lookalike, MEGABYTE } from "../support/bodies.ts";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  chunked,
  type OriginConnection,
  requestBytes,
  until,
} from "../support/http.ts";
import { cuts, seeded } from "../support/random.ts";

describeEngines("bodies of answers", (bench) => {
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
        await connection.sendPieces(ends.map((end, n) => whole.subarray(n ? ends[n - 1] : 0, end)));
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
    for (const piece of ["5\r\nhel", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0"]) {
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
