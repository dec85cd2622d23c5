/** Trailers of requests: only what the host allows by name. Those of answers are the origin's own word. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, fieldsOf, ok, requestBytes } from "../support/http.ts";

/** Names are in lower case over HTTP/2. */
function lower(lines: readonly string[]): readonly string[] {
  return lines.map((line) => line.toLowerCase());
}

describeEngines("trailers of requests", (bench) => {
  async function sent(
    trailers: readonly string[],
    allowed: readonly string[] | null,
    lines: readonly string[] = [],
  ) {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          exchange.setHeader("X-User", "ada");
          if (allowed !== null) exchange.trailers = new Set(allowed);
        },
      },
    });
    const client = await bench.client(gateway);
    const body = `2\r\nab\r\n0\r\n${trailers.map((line) => `${line}\r\n`).join("")}\r\n`;
    const head = ["Transfer-Encoding: chunked", ...lines];
    const answer = await client.request(requestBytes("POST /", head, body));
    expect(answer.status).to.equal(200);
    expect(origin.request.body.toString()).to.equal("ab");
    expect((await client.request(requestBytes("GET /next"))).status).to.equal(200);
    return origin.requests[0] ?? origin.request;
  }

  it("are dropped, with what announced them", async () => {
    const request = await sent(["X-User: root", "X-Sum: 1"], null, ["Trailer: X-User, X-Sum"]);
    expect(request.trailers).to.deep.equal([]);
    expect(fieldsOf(request, "Trailer")).to.deep.equal([]);
    expect(fieldsOf(request, "X-User")).to.deep.equal(["ada"]);
  });

  it("that are allowed pass in their order, and they alone are announced", async () => {
    const request = await sent(
      ["X-User: root", "X-SUM: 1", "x-more:2", "X-Sum: 3"],
      ["x-sum", "x-more"],
      ["Trailer: X-User, X-Sum", "Trailer: x-more"],
    );
    expect(lower(request.trailers).map((line) => line.replace(/: ?/, "="))).to.deep.equal([
      ...["x-sum=1", "x-more=2", "x-sum=3"],
    ]);
    expect(fieldsOf(request, "Trailer").join()).to.match(/^x-sum, ?x-more$/i);
  });

  it("are not announced without a chunked body", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          exchange.trailers = new Set(["x-sum"]);
        },
      },
    });
    const client = await bench.client(gateway);
    await client.request(requestBytes("GET /", ["Trailer: X-Sum"]));
    expect(fieldsOf(origin.request, "Trailer")).to.deep.equal([]);
  });

  for (const name of [
    ...["host", "connection", "authorization", "cookie", "content-type", "x-forwarded-for"],
    ...["x-request-id", "x-real-ip", "forwarded", "via", "te", "x-forwarded-prefix"],
  ]) {
    it(`never pass, allowed or not: ${name}`, async () => {
      const request = await sent([`${name}: 1`, "X-Sum: 1"], [name, "x-sum"]);
      expect(lower(request.trailers)).to.deep.equal(["x-sum: 1"]);
    });
  }

  it("are allowed anew for each request", async () => {
    const origin = await bench.origin(ok());
    let allowed: ReadonlySet<string> | null = new Set(["x-sum"]);
    const seen: unknown[] = [];
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          seen.push(exchange.trailers);
          exchange.trailers = allowed;
        },
      },
    });
    const client = await bench.client(gateway);
    const bytes = requestBytes("POST /", ["Transfer-Encoding: chunked"], "0\r\nX-Sum: 1\r\n\r\n");
    await client.request(bytes);
    allowed = null;
    await client.request(bytes);
    const sent = origin.requests.map((request) => lower(request.trailers));
    expect(sent).to.deep.equal([["x-sum: 1"], []]);
    expect(seen).to.deep.equal([null, null]);
  });

  it("of answers pass, whatever their names, and what announces them", async () => {
    const body = "2\r\nok\r\n0\r\nGrpc-Status: 0\r\nX_Sum: 1\r\n\r\n";
    const origin = await bench.origin(
      answerBytes("200 OK", ["Transfer-Encoding: chunked", "Trailer: Grpc-Status"], body),
    );
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(requestBytes("POST /", ["Content-Length: 1"], "a"));
    expect(lower(answer.trailers)).to.deep.equal(["grpc-status: 0", "x_sum: 1"]);
    expect(fieldsOf(answer, "Trailer")).to.deep.equal(["Grpc-Status"]);
  });
});
