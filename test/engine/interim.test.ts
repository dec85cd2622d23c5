/** Interim answers and `Expect: 100-continue` (RFC 9110 sections 10.1.1 and 15.2). */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, fieldOf, fieldsOf, ok, requestBytes, until } from "../support/http.ts";

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const EXPECT = ["Expect: 100-continue", "Content-Length: 4"];

describeEngines("interim answers", (bench) => {
  it("forwards the expectation and passes on the origin's 100", async () => {
    const origin = await bench.origin(ok("done"), {
      onHead: (_, connection) => connection.send(CONTINUE),
    });
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    for (let n = 0; n < 2; n += 1) {
      client.send(requestBytes("POST /", EXPECT), "POST");
      expect((await client.answer()).status).to.equal(100);
      client.send("body");
      expect((await client.answer()).body.toString()).to.equal("done");
    }
    expect(fieldOf(origin.requests[0] as never, "Expect")).to.equal("100-continue");
    expect(origin.requests.map((request) => request.body.toString())).to.deep.equal([
      "body",
      "body",
    ]);
    expect((await gateway.outcomeOf(0)).status).to.equal(200);
  });

  it("sends no 100 of its own while the origin is silent", async () => {
    const origin = await bench.origin(ok());
    const client = await bench.client(await bench.gateway(origin));
    client.send(requestBytes("POST /", EXPECT), "POST");
    await until("the head arrived", () => origin.heads.length === 1);
    expect(client.receivedBytes).to.equal(0);
    client.send("body");
    expect((await client.answer()).status).to.equal(200);
    expect(origin.request.body.toString()).to.equal("body");
  });

  it("passes on a final answer that comes instead of the 100", async () => {
    const origin = await bench.origin(ok(), {
      onHead: (_, connection) =>
        connection.send(answerBytes("417 Expectation Failed", ["Content-Length: 2"], "no")),
    });
    const client = await bench.client(await bench.gateway(origin));
    client.send(requestBytes("POST /", EXPECT), "POST");
    expect((await client.answer()).status).to.equal(417);
    expect(origin.requests).to.have.length(0);
  });

  it("never takes the body that a refused client sends all the same for a request", async () => {
    const origin = await bench.origin(ok("never"), {
      onHead: (_, connection) =>
        connection.send(answerBytes("401 Unauthorized", ["Content-Length: 0"])),
    });
    const client = await bench.client(await bench.gateway(origin));
    const body = requestBytes("GET /stolen");
    client.send(
      requestBytes("POST /", ["Expect: 100-continue", `Content-Length: ${body.length}`]),
      "POST",
    );
    expect((await client.answer()).status).to.equal(401);
    client.send(body + requestBytes("GET /after"), "GET");
    await until(
      "the body was used up or the connection closed",
      () => client.ended || client.closed || origin.heads.length > 1,
    );
    for (const head of origin.heads.slice(1)) expect(head.startLine).to.include("GET /after");
  });

  it("passes on early hints and then the answer", async () => {
    const origin = await bench.origin((_, connection) =>
      connection.sendPieces([
        answerBytes("103 Early Hints", ["Link: </a.css>", "Link: </b.css>"]),
        answerBytes("103 Early Hints", ["Link: </c.css>"]),
        ok("page"),
      ]),
    );
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /"), "GET");
    expect(fieldsOf(await client.answer(), "Link")).to.deep.equal(["</a.css>", "</b.css>"]);
    expect(fieldsOf(await client.answer(), "Link")).to.deep.equal(["</c.css>"]);
    expect((await client.answer()).body.toString()).to.equal("page");
    expect((await gateway.outcome()).status).to.equal(200);
  });

  it("passes on interim and final answers that come in one piece", async () => {
    const origin = await bench.origin(CONTINUE + CONTINUE + ok("page"));
    const client = await bench.client(await bench.gateway(origin));
    expect((await client.request(requestBytes("GET /"))).body.toString()).to.equal("page");
    expect((await client.request(requestBytes("GET /"))).body.toString()).to.equal("page");
    expect(origin.connections).to.have.length(1);
  });

  it("calls the handler's answer phase for the final answer only", async () => {
    const statuses: number[] = [];
    const origin = await bench.origin(CONTINUE + ok("page"));
    const gateway = await bench.gateway(origin, {
      hooks: { onResponse: (exchange) => statuses.push(exchange.status) },
    });
    const client = await bench.client(gateway);
    await client.request(requestBytes("GET /"));
    expect(statuses).to.deep.equal([200]);
  });

  it("does not end an exchange with 101 when no upgrade was asked for", async () => {
    const origin = await bench.origin(
      answerBytes("101 Switching Protocols", ["Upgrade: x", "Connection: Upgrade"]),
    );
    const client = await bench.client(await bench.gateway(origin));
    expect((await client.request(requestBytes("GET /"))).status).to.equal(502);
    await (await origin.connection()).whenClosed();
  });
});
