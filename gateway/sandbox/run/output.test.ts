import { expect } from "chai";
import { TestExchange } from "../fixtures/test-exchange.ts";
import type { Steering } from "../sandbox.ts";
import { applyToRequest, applyToResponse, readOutput } from "./output.ts";

/** What comes out of an isolate is taken for hostile, as if the code inside had checked nothing. */
describe("what comes out of an isolate", () => {
  const request = (text: string) => {
    const exchange = new TestExchange();
    const steering: Steering = { upstream: "", hashKey: "", authority: "" };
    applyToRequest(text, exchange, steering, null);
    return { exchange, steering };
  };

  const refused: Readonly<Record<string, readonly [text: string, error: RegExp]>> = {
    "an unknown letter": ["Zx\n", /cannot be read/],
    "a framing header": ["Scontent-length:5\n", /header content-length belongs to the gateway/],
    "a deleted framing header": ["Dtransfer-encoding\n", /transfer-encoding belongs/],
    "a client address": ["Sx-forwarded-for:1\n", /x-forwarded-for belongs/],
    "a client address as others may read it": ["Sx_forwarded_for:1\n", /belongs to the gateway/],
    "a deleted request id": ["Dx-request-id\n", /x-request-id belongs/],
    "a header name in capitals": ["SHost:a\n", /name is not allowed/],
    "a header without a name": ["S:a\n", /name is not allowed/],
    "a header without a colon": ["Sabc\n", /not allowed/],
    "CR in a header": ["Sx-a:1\rx-b:2\n", /header x-a is not allowed/],
    "NUL in a header": ["Sx-a:1\0\n", /header x-a is not allowed/],
    "a character beyond latin1 in a header": ["Sx-a:\u0141\n", /header x-a is not allowed/],
    "a long header": [`Sx-a:${"1".repeat(9_000)}\n`, /header x-a is not allowed/],
    "many headers": ["Sx-a:1\n".repeat(101), /more than 100 headers/],
    "large headers": [`Sx-a:${"1".repeat(8_000)}\n`.repeat(5), /longer than 32768 bytes/],
    "a relative path": ["Pa\n", /request.path is not allowed/],
    "a blank in a path": ["P/a b\n", /request.path is not allowed/],
    "a fragment in a query": ["Qa#b\n", /request.query is not allowed/],
    "a bad host": ["Ha b\n", /not a host/],
    "a bad escape in a path": ["P/a%zz\n", /request.path is not allowed/],
    "an escaped NUL in a path": ["P/a%00\n", /request.path is not allowed/],
    "an upstream with a slash": ["U../a\n", /request.upstream is not allowed/],
    "an empty hash key": ["K\n", /request.hashKey is not allowed/],
    "a status of 199": ["V199\nB", /status of an answer/],
    "a status that is no number": ["Vabc\nB", /status of an answer/],
    "an answer without a body": ["V200\n", /answer cannot be read/],
    "an answer with a framing header": ["V200\nAcontent-length:1\nB", /content-length belongs/],
    "an answer with CR in a header": ["V200\nAx-a:\r\nB", /header x-a is not allowed/],
    "a body beyond 1 MiB of UTF-8": [`V200\nB${"é".repeat(600_000)}`, /body is longer/],
  };
  for (const [name, [text, error]] of Object.entries(refused)) {
    it(`is refused when it has ${name}`, () => {
      expect(() => request(text)).to.throw(TypeError, error);
    });
  }

  it("is put into effect when it is good", () => {
    const text = "Sx-a:1\nDaccept\nP/b\nQc=d\nHb.example.com\nUthumb\nKkey\n";
    const { exchange, steering } = request(text);
    expect(exchange).to.include({ path: "/b", query: "c=d", authority: "b.example.com" });
    expect(exchange.header("x-a")).to.equal("1");
    expect(steering).to.deep.equal({ upstream: "thumb", hashKey: "key", authority: "" });
    expect(request(`V599\nB${"x".repeat(1_048_576)}`).exchange.answered?.status).to.equal(599);
  });

  it("may leave out what the gateway tells of the client", () => {
    for (const name of ["x-forwarded-for", "x-forwarded-proto", "forwarded", "x-real-ip"]) {
      const exchange = new TestExchange({ headers: [[name, "1"]] });
      applyToRequest(`D${name}\n`, exchange, { upstream: "", hashKey: "", authority: "" }, null);
      expect(exchange.header(name)).to.equal(undefined);
    }
  });

  it("changes an answer wholly or not at all", () => {
    const exchange = new TestExchange();
    exchange.respond(200, [["Server", "nginx"]]);
    expect(() => applyToResponse("Dserver\nSdate:a\nSconnection:close\n", exchange)).to.throw(
      /connection belongs/,
    );
    expect(exchange.responseHeader("server")).to.equal("nginx");
    expect(() => applyToResponse("V200\nB", exchange)).to.throw(/cannot be read/);
    applyToResponse("Dserver\nSx-a:1\n", exchange);
    expect(exchange.responseHeader("server")).to.equal(undefined);
    expect(exchange.responseHeader("x-a")).to.equal("1");
  });

  it("has its log and error lines taken off, also when they cannot be read", () => {
    expect(readOutput("P/a\n")).to.deep.equal({ logs: [], error: null, rest: "P/a\n" });
    expect(readOutput('Li"a"\nLx"b"\nL\nE"c"\nT"d"\nP/a\n')).to.deep.equal({
      logs: [
        { level: "info", text: "a" },
        { level: "error", text: "b" },
        { level: "error", text: "a line that cannot be read" },
      ],
      error: { message: "c", stack: "d" },
      rest: "P/a\n",
    });
  });
});
