/** A handler that holds an exchange, and answers that it gives by itself. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { fieldOf, fieldsOf, ok, requestBytes, type TestExchange, until } from "../support/http.ts";

describeEngines("held exchanges and the handler's own answers", (bench) => {
  it("asks the handler again when a held exchange is resumed", async () => {
    const origin = await bench.origin(ok("late"));
    const held: TestExchange[] = [];
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          if (held.length > 0) return;
          held.push(exchange);
          exchange.hold();
        },
      },
    });
    const client = await bench.client(gateway);
    client.send(requestBytes("POST /", ["Content-Length: 4"], "body"), "POST");
    await until("it is held", () => held.length === 1);
    expect(origin.connections).to.have.length(0);
    held[0]?.resume();
    expect((await client.answer()).body.toString()).to.equal("late");
    expect(origin.request.body.toString()).to.equal("body");
    expect((await gateway.outcome()).status).to.equal(200);
  });

  it("answers and fails while an exchange is held", async () => {
    const held: TestExchange[] = [];
    const gateway = await bench.gateway([], {
      hooks: {
        onRequest(exchange) {
          held.push(exchange);
          exchange.hold();
        },
      },
    });
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /"), "GET");
    await until("it is held", () => held.length === 1);
    held[0]?.answer({ status: 200, body: "by hand" });
    expect((await client.answer()).body.toString()).to.equal("by hand");
    client.send(requestBytes("GET /"), "GET");
    await until("it is held", () => held.length === 2);
    held[1]?.fail(503, "not_yet", "come back later");
    expect((await client.answer()).status).to.equal(503);
    expect((await gateway.outcomeOf(1)).errorCode).to.equal("not_yet");
  });

  it("ends a held exchange whose client leaves, and ignores a late resume", async () => {
    const held: { exchange: TestExchange; serial: number }[] = [];
    const gateway = await bench.gateway([], {
      hooks: {
        onRequest(exchange) {
          if (exchange.path !== "/hold") return exchange.answer({ status: 204 });
          held.push({ exchange, serial: exchange.serial });
          exchange.hold();
        },
      },
    });
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /hold"), "GET");
    await until("it is held", () => held.length === 1);
    client.close();
    expect((await gateway.outcome()).errorCode).to.equal("client_closed");
    const [first] = held;
    if (first?.exchange.serial === first?.serial) first?.exchange.resume();
    const other = await bench.client(gateway);
    expect((await other.request(requestBytes("GET /"))).status).to.equal(204);
    expect(gateway.ended).to.have.length(2);
  });

  it("gives another serial to each exchange of a connection", async () => {
    const serials: number[] = [];
    const gateway = await bench.gateway([], {
      hooks: {
        onRequest(exchange) {
          serials.push(exchange.serial);
          exchange.answer({ status: 200 });
        },
      },
    });
    const client = await bench.client(gateway);
    for (let n = 0; n < 10; n += 1) await client.request(requestBytes("GET /"));
    expect(new Set(serials).size).to.equal(10);
  });

  it("sends the handler's answer with its headers, as UTF-8 and framed by length", async () => {
    const gateway = await bench.gateway([], {
      hooks: {
        onRequest(exchange) {
          exchange.answer({
            status: 451,
            headers: { "Content-Type": "text/plain; charset=utf-8", "Set-Cookie": ["a=1", "b=2"] },
            body: "caf\u00e9 \u2713",
          });
        },
      },
    });
    const client = await bench.client(gateway);
    const answer = await client.request(requestBytes("GET /"));
    expect(answer.status).to.equal(451);
    expect(answer.framing).to.equal("length");
    expect(answer.body.toString("utf8")).to.equal("caf\u00e9 \u2713");
    expect(fieldsOf(answer, "Set-Cookie")).to.deep.equal(["a=1", "b=2"]);
    expect(fieldOf(answer, "Content-Type")).to.equal("text/plain; charset=utf-8");
    expect((await gateway.outcome()).status).to.equal(451);
  });

  it("reads on after an answer that it gave before the request's body came, or closes", async () => {
    const gateway = await bench.gateway([], {
      hooks: { onRequest: (exchange) => exchange.answer({ status: 403, body: exchange.path }) },
    });
    const body = requestBytes("GET /stolen");
    for (const split of [false, true]) {
      const client = await bench.client(gateway);
      const head = requestBytes("POST /first", [`Content-Length: ${body.length}`]);
      if (split) client.send(head, "POST");
      else client.send(head + body, "POST");
      expect((await client.answer()).body.toString()).to.equal("/first");
      client.send((split ? body : "") + requestBytes("GET /next"), "GET");
      await until(
        "it goes on or closes",
        () => client.waiting > 0 || client.ended || client.closed,
      );
      if (client.waiting > 0) expect((await client.answer()).body.toString()).to.equal("/next");
    }
    expect(gateway.ended.length).to.be.lessThan(5);
  });

  it("ends each exchange exactly once, whatever happens to it", async () => {
    const begun = new Set<string>();
    const ended: string[] = [];
    const origin = await bench.origin((request, connection) => {
      if (request.target === "/drop") connection.reset();
      else if (request.target === "/cut")
        connection.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na");
      else if (request.target !== "/wait") connection.send(ok());
    });
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          begun.add(exchange.id);
          if (exchange.path === "/fail") exchange.fail(404, "no_route", "no");
        },
        onEnd: (exchange) => ended.push(exchange.id),
      },
    });
    for (const path of ["/ok", "/drop", "/cut", "/fail", "/wait", "/ok"]) {
      const client = await bench.client(gateway);
      const before = begun.size;
      client.send(requestBytes(`GET ${path}`), "GET");
      await until("it began", () => begun.size > before);
      if (path === "/wait") client.close();
      else await until("it is over", () => client.waiting > 0 || client.ended || client.closed);
      client.close();
      await until("it ended", () => gateway.ended.length === begun.size);
    }
    expect(ended).to.deep.equal([...begun]);
  });
});
