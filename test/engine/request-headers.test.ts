/** What the gateway does to a request's header fields: which it drops, writes, and leaves alone. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { fieldOf, fieldsOf, ok, requestBytes, type TestExchange } from "../support/http.ts";

describeEngines("headers of requests", (bench) => {
  /** What the origin is sent for a request with these header lines. */
  async function forwarded(
    headers: readonly string[],
    onRequest?: (exchange: TestExchange) => void,
  ) {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, onRequest ? { hooks: { onRequest } } : {});
    const client = await bench.client(gateway);
    const answer = await client.request(requestBytes("GET /", headers));
    return { request: origin.request, answer, gateway };
  }

  it("reach the origin in their order, repeated ones too, as they were written", async () => {
    const lines = [
      "x-lower: a",
      "X-UPPER: B",
      "Cookie: a=1",
      "Accept: */*",
      "Cookie: b=2",
      "X-Empty:",
      "X-Latin: caf\xe9 \x80\xff",
      'X-Quoted: "a, b" ; c',
    ];
    const { request } = await forwarded(lines);
    const sent = request.headers.map(([name, value]) => `${name}: ${value}`.trim());
    expect(sent.filter((line) => lines.includes(line))).to.deep.equal(lines);
  });

  it("lose the hop-by-hop fields", async () => {
    const { request } = await forwarded([
      "Connection: keep-alive",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: keep-alive",
      "TE: gzip",
      "Upgrade: raw",
      "X-Kept: 1",
    ]);
    for (const name of ["Keep-Alive", "Proxy-Connection", "TE", "Upgrade"]) {
      expect(fieldOf(request, name), name).to.equal(undefined);
    }
    expect([undefined, "keep-alive"]).to.include(fieldOf(request, "Connection")?.toLowerCase());
    expect(fieldOf(request, "X-Kept")).to.equal("1");
  });

  it("lose the fields that Connection names, in any case and over several lines", async () => {
    const { request } = await forwarded([
      "X-First: 1",
      "x-second: 2",
      "Connection: close, X-FIRST",
      "X-First: again",
      "Connection: ,x-second,, X-Absent",
      "X-Third: 3",
    ]);
    expect(fieldsOf(request, "X-First")).to.have.length(0);
    expect(fieldsOf(request, "X-Second")).to.have.length(0);
    expect(fieldOf(request, "X-Third")).to.equal("3");
  });

  it("keep Host and framing though Connection names them", async () => {
    const origin = await bench.origin(ok());
    const client = await bench.client(await bench.gateway(origin));
    await client.request(
      requestBytes(
        "POST /",
        [
          "Connection: host, content-length, transfer-encoding, x-forwarded-for, x-request-id",
          "Content-Length: 4",
        ],
        "body",
      ),
    );
    expect(fieldOf(origin.request, "Host")).to.equal("shop.example");
    expect(origin.request.body.toString()).to.equal("body");
    expect(fieldOf(origin.request, "X-Forwarded-For")).to.equal("127.0.0.1");
    expect(fieldOf(origin.request, "X-Request-Id")).to.not.equal(undefined);
  });

  it("carry Host as the client wrote it, once", async () => {
    const { request } = await forwarded(["hOsT:  Shop.Example.:8080 "]);
    expect(fieldsOf(request, "Host")).to.deep.equal(["Shop.Example.:8080"]);
  });

  it("give the handler the host in lower case, without port and final dot", async () => {
    const seen: string[] = [];
    for (const host of ["Shop.Example.:8080", "shop.example", "[::1]:80", "10.0.0.1:1"]) {
      await forwarded([`Host: ${host}`], (exchange) =>
        seen.push(exchange.host, exchange.authority),
      );
    }
    expect(seen).to.deep.equal([
      "shop.example",
      "Shop.Example.:8080",
      "shop.example",
      "shop.example",
      "[::1]",
      "[::1]:80",
      "10.0.0.1",
      "10.0.0.1:1",
    ]);
  });

  it("carry the authority that the handler set", async () => {
    const hosts: string[] = [];
    const { request } = await forwarded([], (exchange) => {
      exchange.authority = "Inner.Example:81";
      hosts.push(exchange.host);
    });
    expect(fieldsOf(request, "Host")).to.deep.equal(["Inner.Example:81"]);
    expect(hosts).to.deep.equal(["inner.example"]);
  });

  it("cannot carry an authority of the handler's that would break the message", async () => {
    const thrown: unknown[] = [];
    const { request } = await forwarded([], (exchange) => {
      for (const bad of ["a\r\nX-Injected: 1", "a b", "", "user@a", "a/b", "a:port"]) {
        try {
          exchange.authority = bad;
          thrown.push(bad);
        } catch (error) {
          thrown.push(error);
        }
      }
    });
    expect(thrown).to.have.length(6);
    for (const error of thrown) expect(error).to.be.instanceOf(TypeError);
    expect(fieldOf(request, "Host")).to.equal("shop.example");
  });

  it("say who the client is, whatever an untrusted client said before", async () => {
    const { request } = await forwarded([
      "X-Forwarded-For: 6.6.6.6",
      "x-forwarded-for: 7.7.7.7",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: evil.example",
    ]);
    expect(fieldsOf(request, "X-Forwarded-For")).to.deep.equal(["127.0.0.1"]);
    expect(fieldsOf(request, "X-Forwarded-Proto")).to.deep.equal(["http"]);
    expect(fieldsOf(request, "X-Forwarded-Host")).to.deep.equal(["shop.example"]);
  });

  it("are believed and extended when they come from a trusted proxy", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { trusts: (address) => address === "127.0.0.2" });
    const said = [
      "X-Forwarded-For: 6.6.6.6",
      "X-Forwarded-For: 7.7.7.7",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: outer.example",
      "X-Request-Id: from-outside",
    ];
    const trusted = await bench.client(gateway, { from: "127.0.0.2" });
    await trusted.request(requestBytes("GET /", said));
    const [request] = origin.requests;
    if (!request) throw new Error("nothing arrived");
    expect(fieldsOf(request, "X-Forwarded-For")).to.deep.equal(["6.6.6.6, 7.7.7.7, 127.0.0.2"]);
    expect(fieldsOf(request, "X-Forwarded-Proto")).to.deep.equal(["https"]);
    expect(fieldsOf(request, "X-Forwarded-Host")).to.deep.equal(["outer.example"]);
    expect(fieldsOf(request, "X-Request-Id")).to.deep.equal(["from-outside"]);
    const other = await bench.client(gateway);
    await other.request(requestBytes("GET /", said));
    expect(fieldsOf(origin.requests[1] ?? request, "X-Forwarded-For")).to.deep.equal(["127.0.0.1"]);
  });

  it("name the host that the client asked for though the handler forwards another", async () => {
    const { request } = await forwarded([], (exchange) => {
      exchange.authority = "inner.example";
    });
    expect(fieldOf(request, "X-Forwarded-Host")).to.equal("shop.example");
  });

  it("carry a request id of the gateway's, another for each request", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    for (let n = 0; n < 20; n += 1) {
      await client.request(requestBytes("GET /", ["X-Request-Id: from-outside"]));
    }
    await gateway.outcomeOf(19);
    const ids = origin.requests.map((request) => fieldOf(request, "X-Request-Id") ?? "");
    expect(new Set(ids).size).to.equal(20);
    for (const id of ids) expect(id).to.match(/^test[A-Za-z0-9-]+$/);
    expect(gateway.ended.map((end) => end.id)).to.deep.equal(ids);
  });

  it("are read, replaced, added and removed by the handler without regard to case", async () => {
    const seen: unknown[] = [];
    const { request } = await forwarded(
      ["X-One: 1", "x-one: uno", "X-Two: 2", "X-Gone: 3", "x-gone: 4", "Accept: text/html"],
      (exchange) => {
        seen.push(exchange.header("x-ONE"), exchange.header("absent"), exchange.header("host"));
        exchange.setHeader("x-one", "changed");
        exchange.setHeader("X-New", "new");
        exchange.removeHeader("X-GONE");
        seen.push(exchange.header("X-One"), exchange.header("X-New"), exchange.header("x-gone"));
      },
    );
    expect(seen).to.deep.equal(["1", undefined, "shop.example", "changed", "new", undefined]);
    expect(fieldsOf(request, "X-One")).to.deep.equal(["changed"]);
    expect(fieldsOf(request, "X-New")).to.deep.equal(["new"]);
    expect(fieldsOf(request, "X-Gone")).to.deep.equal([]);
    expect(fieldsOf(request, "X-Two")).to.deep.equal(["2"]);
    expect(fieldsOf(request, "Accept")).to.deep.equal(["text/html"]);
  });

  it("are given raw to the handler as they came, before any change", async () => {
    let raw = "";
    await forwarded(["X-One:  1 ", "Connection: close"], (exchange) => {
      exchange.setHeader("X-One", "2");
      raw = exchange.rawHeaders;
    });
    expect(raw).to.equal("Host: shop.example\r\nX-One:  1 \r\nConnection: close");
  });

  it("are given to the handler as they stand, with its changes", async () => {
    const lines: string[] = [];
    await forwarded(
      ["X-One: 1", "X-Two: 2", "X-Named: 3", "Connection: close, X-Named"],
      (exchange) => {
        lines.push(exchange.headerLines);
        exchange.setHeader("X-One", "changed");
        exchange.setHeader("X-New", "new");
        exchange.removeHeader("x-two");
        lines.push(exchange.headerLines);
      },
    );
    expect(lines).to.deep.equal([
      "Host: shop.example\r\nX-One: 1\r\nX-Two: 2\r\nConnection: close, X-Named",
      "Host: shop.example\r\nConnection: close, X-Named\r\nX-One: changed\r\nX-New: new",
    ]);
  });

  it("cannot be set by the handler to what breaks the message", async () => {
    const thrown: unknown[] = [];
    const { request } = await forwarded(["X-Kept: 1"], (exchange) => {
      for (const [name, value] of [
        ["X-Bad", "a\r\nX-Injected: 1"],
        ["X-Bad", "a\nb"],
        ["X-Bad", "a\x00b"],
        ["X-Bad", "\u0100"],
        ["X Bad", "a"],
        ["X-Bad:", "a"],
        ["", "a"],
        ["Content-Length", "0"],
        ["transfer-encoding", "chunked"],
        ["Connection", "close"],
        ["HOST", "other"],
      ] as const) {
        try {
          exchange.setHeader(name, value);
          thrown.push(`${name}: ${value}`);
        } catch (error) {
          thrown.push(error);
        }
      }
    });
    expect(thrown).to.have.length(11);
    for (const error of thrown) expect(error).to.be.instanceOf(TypeError);
    expect(fieldOf(request, "X-Kept")).to.equal("1");
    expect(fieldOf(request, "X-Injected")).to.equal(undefined);
  });
});
