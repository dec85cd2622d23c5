/** Answers that have no body whatever their headers say: to HEAD, 204 and 304. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, fieldOf, ok, requestBytes } from "../support/http.ts";

describeEngines("answers without a body", (bench) => {
  it("passes on the length of an answer to HEAD and expects no body", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(
        request.method === "HEAD" ? answerBytes("200 OK", ["Content-Length: 1234"]) : ok("next"),
      ),
    );
    const client = await bench.client(await bench.gateway(origin));
    const head = await client.request(requestBytes("HEAD /"));
    expect(fieldOf(head, "Content-Length")).to.equal("1234");
    expect(head.body).to.have.length(0);
    expect((await client.request(requestBytes("GET /"))).body.toString()).to.equal("next");
    expect(origin.connections).to.have.length(1);
  });

  it("reads an answer to HEAD that names a chunked body", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(
        request.method === "HEAD"
          ? answerBytes("200 OK", ["Transfer-Encoding: chunked"])
          : ok("next"),
      ),
    );
    const client = await bench.client(await bench.gateway(origin));
    expect((await client.request(requestBytes("HEAD /"))).status).to.equal(200);
    expect((await client.request(requestBytes("GET /"))).body.toString()).to.equal("next");
    expect(origin.connections).to.have.length(1);
  });

  it("reads an answer to HEAD without any framing", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(request.method === "HEAD" ? answerBytes("200 OK", ["X-A: b"]) : ok("next")),
    );
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(requestBytes("HEAD /"));
    expect(fieldOf(answer, "X-A")).to.equal("b");
    expect((await client.request(requestBytes("GET /"))).body.toString()).to.equal("next");
    expect(origin.connections).to.have.length(1);
  });

  it("gives a 205 of its own no content", async () => {
    const gateway = await bench.gateway([], {
      hooks: { onRequest: (exchange) => exchange.answer({ status: 205, body: "not sent" }) },
    });
    const client = await bench.client(gateway);
    for (let each = 0; each < 2; each += 1) {
      const answer = await client.request(requestBytes("GET /"));
      expect(answer.status).to.equal(205);
      expect(fieldOf(answer, "Content-Length")).to.equal("0");
      expect(answer.body).to.have.length(0);
    }
  });

  it("passes on a 204 without framing headers", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(request.target === "/" ? answerBytes("204 No Content", []) : ok("next")),
    );
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(requestBytes("DELETE /"));
    expect(answer.status).to.equal(204);
    expect(fieldOf(answer, "Content-Length")).to.equal(undefined);
    expect(fieldOf(answer, "Transfer-Encoding")).to.equal(undefined);
    expect((await client.request(requestBytes("GET /next"))).body.toString()).to.equal("next");
    expect(origin.connections).to.have.length(1);
  });

  it("passes on a 304 with the length of what it stands for, and expects no body", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(
        request.target === "/"
          ? answerBytes("304 Not Modified", ['ETag: "a"', "Content-Length: 999"])
          : ok("next"),
      ),
    );
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(requestBytes("GET /", ['If-None-Match: "a"']));
    expect(answer.status).to.equal(304);
    expect(fieldOf(answer, "ETag")).to.equal('"a"');
    expect(answer.body).to.have.length(0);
    expect((await client.request(requestBytes("GET /next"))).body.toString()).to.equal("next");
    expect(origin.connections).to.have.length(1);
  });

  it("never passes on as an answer what an origin sends after one that has no body", async () => {
    const origin = await bench.origin((request, connection) => {
      if (request.target === "/next") return connection.send(ok("next"));
      const status = request.target === "/204" ? "204 No Content" : "304 Not Modified";
      connection.send(
        `${answerBytes(status, ["X-A: b"])}HTTP/1.1 200 OK\r\nX-Stolen: 1\r\n\r\nstolen`,
      );
    });
    const client = await bench.client(await bench.gateway(origin));
    for (const status of [204, 304]) {
      expect((await client.request(requestBytes(`GET /${status}`))).status).to.equal(status);
      expect((await client.request(requestBytes("GET /next"))).body.toString()).to.equal("next");
    }
    expect(origin.connections, "each of the two is thrown away").to.have.length(3);
    for (const n of [0, 1]) await (await origin.connection(n)).whenClosed();
  });

  it("answers HEAD by itself without a body when there is no origin to ask", async () => {
    const client = await bench.client(await bench.gateway([]));
    const answer = await client.request(requestBytes("HEAD /"));
    expect(answer.status).to.equal(503);
    expect(answer.body).to.have.length(0);
    expect((await client.request(requestBytes("GET /"))).body.toString()).to.not.equal("");
  });

  it("gives an empty answer of the handler's with no body and keeps the connection", async () => {
    const gateway = await bench.gateway([], {
      hooks: {
        onRequest(exchange) {
          exchange.answer({ status: exchange.path === "/204" ? 204 : 200 });
        },
      },
    });
    const client = await bench.client(gateway);
    const none = await client.request(requestBytes("GET /204"));
    expect(fieldOf(none, "Content-Length")).to.equal(undefined);
    const empty = await client.request(requestBytes("GET /200"));
    expect(fieldOf(empty, "Content-Length")).to.equal("0");
  });
});
