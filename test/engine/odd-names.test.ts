/** Names of request fields that somebody behind the gateway could take for others: `X_User` for `X-User`. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { fieldsOf, type GatewayOptions, ok, requestBytes } from "../support/http.ts";

describeEngines("odd names of request fields", (bench) => {
  async function sent(lines: readonly string[], options: GatewayOptions = {}, body = "") {
    const origin = await bench.origin(ok());
    const seen = { raw: "", headers: [] as (string | undefined)[] };
    const gateway = await bench.gateway(origin, {
      ...options,
      hooks: {
        onRequest(exchange) {
          // Names are in lower case over HTTP/2.
          seen.raw = exchange.rawHeaders.toLowerCase();
          seen.headers = lines.map((line) => exchange.header(line.split(":")[0] ?? ""));
          options.hooks?.onRequest?.(exchange);
        },
      },
    });
    const client = await bench.client(gateway);
    const answer = await client.request(requestBytes("POST /a_b?c_d=e_f", lines, body));
    expect(answer.status).to.equal(200);
    const names = origin.request.headers.map(([name]) => name.toLowerCase());
    return { seen, names, request: origin.request, stats: gateway.engine.stats() };
  }

  for (const name of [
    ...["X_Forwarded_For", "X_User", "Transfer_Encoding", "Content_Length", "x-us_er", "_", "a_"],
    ...["X.User", "X!User", "X~User", "X|User", "X*User", "X'User", "X`User", "X#User", "X%User"],
    ...["X$User", "X&User", "X+User", "X^User", "Content.Length"],
  ]) {
    it(`are dropped and counted, and nobody sees them: ${name}`, async () => {
      const { seen, names, stats } = await sent(["X-A: a_b", `${name}: 5`, "X-B: c.d"]);
      expect(names).to.include.members(["x-a", "x-b"]).and.not.include(name.toLowerCase());
      expect(seen.headers).to.deep.equal(["a_b", undefined, "c.d"]);
      expect(seen.raw.split("\r\n").map((line) => line.split(":")[0])).to.not.include(
        name.toLowerCase(),
      );
      expect(seen.raw).to.contain("x-a: a_b\r\nx-b: c.d");
      expect(stats.droppedHeaders).to.equal(1);
    });
  }

  it("are only those of names: values, targets and cookies have what they like", async () => {
    const lines = ["Cookie: _ga=GA1.2; session_id=a_b", "X-Plain: under_score.and.dot"];
    const { names, request, stats } = await sent(lines);
    expect(names).to.include.members(["cookie", "x-plain"]);
    expect(request.target).to.equal("/a_b?c_d=e_f");
    expect(stats.droppedHeaders).to.equal(0);
  });

  it("are dropped wherever they stand, and counted one by one", async () => {
    const { names, stats } = await sent(["X_A: 1", "X_B: 2", "X-C: 3", "X_D:", "X_E: 5"]);
    expect(names).to.include("x-c");
    expect(names.filter((name) => name.includes("_"))).to.deep.equal([]);
    expect(stats.droppedHeaders).to.equal(4);
  });

  it("never frame a request, and bodies behind them are read as they are", async () => {
    const lines = ["Content_Length: 1", "Content-Length: 4", "Transfer_Encoding: chunked"];
    const { request } = await sent(lines, {}, "body");
    expect(request.body.toString()).to.equal("body");
  });

  it("do not overrule what the handler sets, and the handler may set them itself", async () => {
    const { request } = await sent(["X_User: root", "Connection: x_user"], {
      hooks: {
        onRequest(exchange) {
          exchange.setHeader("X-User", "ada");
          exchange.setHeader("X_Own", "operator");
        },
      },
    });
    const about = request.headers.filter(([name]) => /user|own/i.test(name));
    expect(about).to.deep.equal([
      ["X-User", "ada"],
      ["X_Own", "operator"],
    ]);
  });

  it("count among the header lines of a request", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { maxHeaders: 3 } });
    const client = await bench.client(gateway);
    const lines = ["X_A: 1", "X_B: 2", "X_C: 3"];
    expect((await client.request(requestBytes("GET /", lines))).status).to.equal(431);
  });

  it("pass with underscoresInHeaders, others still do not", async () => {
    const limits = { underscoresInHeaders: true };
    const { names, stats } = await sent(["X_A: 1", "X.B: 2", "_: 3", "x-C_d: 4"], { limits });
    expect(names).to.include.members(["x_a", "_", "x-c_d"]).and.not.include("x.b");
    expect(stats.droppedHeaders).to.equal(1);
  });

  it("pass without ignoreInvalidHeaders, whatever they are", async () => {
    const limits = { ignoreInvalidHeaders: false };
    const { names, stats } = await sent(["X_A: 1", "X.B: 2"], { limits });
    expect(names).to.include.members(["x_a", "x.b"]);
    expect(stats.droppedHeaders).to.equal(0);
  });

  for (const name of [
    ...["X_Forwarded_For", "X.Real.IP", "Content_Length", "Transfer_Encoding", "X_Request_Id"],
    ...["X-Forwarded_Prefix", "True_Client_IP"],
  ]) {
    it(`never pass as another spelling of what the gateway vouches for: ${name}`, async () => {
      const limits = { underscoresInHeaders: true, ignoreInvalidHeaders: false };
      for (const trusts of [() => false, () => true]) {
        const { names, seen, stats } = await sent([`${name}: 1.2.3.4`], { limits, trusts });
        expect(names).to.not.include(name.toLowerCase());
        expect(seen.headers).to.deep.equal([undefined]);
        expect(stats.droppedHeaders).to.equal(1);
      }
    });
  }

  it("are dropped from trailers, and counted", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          exchange.trailers = new Set(["x-sum", "x_user"]);
        },
      },
    });
    const client = await bench.client(gateway);
    const body = "1\r\na\r\n0\r\nX_User: root\r\nX-Sum: 1\r\n\r\n";
    await client.request(requestBytes("POST /", ["Transfer-Encoding: chunked"], body));
    expect(origin.request.trailers.map((line) => line.toLowerCase())).to.deep.equal(["x-sum: 1"]);
    expect(fieldsOf(origin.request, "X_User")).to.deep.equal([]);
    expect(gateway.engine.stats().droppedHeaders).to.equal(1);
  });

  it("of answers are the origin's own word, and pass", async () => {
    const origin = await bench.origin(ok("", ["X_Origin: 1"]));
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(requestBytes("GET /"));
    expect(fieldsOf(answer, "X_Origin")).to.deep.equal(["1"]);
  });
});
