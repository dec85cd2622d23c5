/** What the gateway does to an answer's header fields: which it drops, writes, and leaves alone. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  fieldOf,
  fieldsOf,
  ok,
  requestBytes,
  type TestExchange,
} from "../support/http.ts";

describeEngines("headers of answers", (bench) => {
  /** What the client is sent when the origin answers with these header lines. */
  async function answered(
    headers: readonly string[],
    onResponse?: (exchange: TestExchange) => void,
  ) {
    const origin = await bench.origin(ok("body", headers));
    const gateway = await bench.gateway(origin, onResponse ? { hooks: { onResponse } } : {});
    const client = await bench.client(gateway);
    return client.request(requestBytes("GET /"));
  }

  it("reach the client in their order, several Set-Cookie too", async () => {
    const lines = ["Set-Cookie: a=1", "X-A: b", "set-cookie: c=2; Path=/", "X-Latin: \xe9"];
    const answer = await answered(lines);
    const got = answer.headers.map(([name, value]) => `${name}: ${value}`);
    expect(got.filter((line) => lines.includes(line))).to.deep.equal(lines);
  });

  it("lose the hop-by-hop fields and those that Connection names", async () => {
    const answer = await answered([
      "Connection: keep-alive, X-Internal",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: close",
      "X-Internal: secret",
      "Upgrade: h2c",
      "X-Kept: 1",
    ]);
    for (const name of ["Keep-Alive", "Proxy-Connection", "X-Internal", "Upgrade"]) {
      expect(fieldOf(answer, name), name).to.equal(undefined);
    }
    expect([undefined, "keep-alive"]).to.include(fieldOf(answer, "Connection")?.toLowerCase());
    expect(fieldOf(answer, "X-Kept")).to.equal("1");
    expect(answer.body.toString()).to.equal("body");
  });

  it("are read and changed by the handler", async () => {
    const seen: unknown[] = [];
    const answer = await answered(["X-One: 1", "Server: old", "X-Gone: 1"], (exchange) => {
      seen.push(exchange.status, exchange.responseHeader("x-one"), exchange.responseHeaderLines);
      exchange.setResponseHeader("Server", "new");
      exchange.setResponseHeader("X-New", "1");
      exchange.removeResponseHeader("x-gone");
    });
    expect(seen).to.deep.equal([
      200,
      "1",
      "X-One: 1\r\nServer: old\r\nX-Gone: 1\r\nContent-Length: 4",
    ]);
    expect(fieldsOf(answer, "Server")).to.deep.equal(["new"]);
    expect(fieldsOf(answer, "X-New")).to.deep.equal(["1"]);
    expect(fieldsOf(answer, "X-Gone")).to.deep.equal([]);
    expect(answer.body.toString()).to.equal("body");
  });

  it("cannot be set by the handler to what breaks the message", async () => {
    const thrown: unknown[] = [];
    const answer = await answered([], (exchange) => {
      for (const [name, value] of [
        ["X-Bad", "a\r\n\r\nbody"],
        ["Content-Length", "1"],
        ["Transfer-Encoding", "chunked"],
        ["Bad Name", "1"],
      ] as const) {
        try {
          exchange.setResponseHeader(name, value);
          thrown.push(name);
        } catch (error) {
          thrown.push(error);
        }
      }
    });
    expect(thrown).to.have.length(4);
    for (const error of thrown) expect(error).to.be.instanceOf(TypeError);
    expect(answer.body.toString()).to.equal("body");
  });

  it("do not gain a second framing header", async () => {
    const origin = await bench.origin(
      answerBytes("200 OK", ["content-length:   4  ", "Date: now"], "body"),
    );
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(requestBytes("GET /"));
    expect(fieldsOf(answer, "Content-Length")).to.deep.equal(["4"]);
    expect(fieldsOf(answer, "Date")).to.deep.equal(["now"]);
  });
});
