import { expect } from "chai";
import type { TestExchange } from "../fixtures/test-exchange.ts";
import { tables, useBenches } from "../fixtures/test-sandbox.ts";

describe("a script", () => {
  const bench = useBenches();

  it("sees the request as it is", () => {
    const one = bench(
      tables(`export default (r) => respond({ body: JSON.stringify([
        r.method, r.scheme, r.host, r.path, r.query, r.clientIp, r.id, r.upstream, r.hashKey,
        r.headers.get("X-ONE"), r.headers.get("x-two"), r.headers.has("x-three"),
        [...r.headers],
      ]) })`),
    );
    const { exchange } = one.request({
      method: "POST",
      path: "/a/b",
      query: "c=d&e",
      authority: "A.example.com:8080",
      headers: [
        ["X-One", "\t1 "],
        ["x-two", "a"],
        ["Cookie", "a=b"],
        ["X-Two", "b\xe9"],
      ],
    });
    const json: unknown = JSON.parse(String(exchange.answered?.body));
    expect(json).to.deep.equal([
      ...["POST", "http", "a.example.com", "/a/b", "c=d&e", "192.0.2.7", "test-1", "", ""],
      ...["1", "a, b\xe9", false],
      [
        ["cookie", "a=b"],
        ["host", "A.example.com:8080"],
        ["x-one", "1"],
        ["x-two", "a, b\xe9"],
      ],
    ]);
  });

  it("changes path, query, host and headers, and steers the routing", () => {
    const one = bench(
      tables(`export default function (r) {
        r.path = r.path.replace("/old", "/new");
        r.query = "a=1";
        r.host = "b.example.com:81";
        r.upstream = "thumb-v2";
        r.hashKey = "user é";
        r.headers.set("X-One", " 2 ");
        r.headers.append("x-list", "b");
        r.headers.append("cookie", "c=d");
        r.headers.delete("X-Gone");
        r.headers.set("x-back", "1");
        r.headers.delete("x-back");
      }`),
    );
    const { exchange, steering } = one.request({
      path: "/old/x",
      headers: [
        ["X-One", "1"],
        ["X-List", "a"],
        ["X-Gone", "1"],
        ["Cookie", "a=b"],
      ],
    });
    expect(one.report().lastError).to.equal(null);
    expect(exchange).to.include({ path: "/new/x", query: "a=1", authority: "b.example.com:81" });
    expect(steering).to.include({ upstream: "thumb-v2", hashKey: "user é" });
    expect(exchange.header("x-one")).to.equal("2");
    expect(exchange.header("x-list")).to.equal("a, b");
    expect(exchange.header("cookie")).to.equal("a=b; c=d");
    expect(exchange.header("x-gone")).to.equal(undefined);
    expect(exchange.header("x-back")).to.equal(undefined);
    expect(exchange.answered).to.equal(null);
  });

  it("answers by deny, respond and redirect", () => {
    const one = bench(
      tables(`export default function (r) {
        if (r.path === "/deny") return deny(451, "nö");
        if (r.path === "/empty") return deny(403);
        if (r.path === "/respond") return respond({
          status: 201, headers: { "X-One": "1", "set-cookie": ["a=b", "c=d"] }, body: "ok\\n\\nB",
        });
        if (r.path === "/redirect") return redirect("https://example.com/é".replace("é", "%C3%A9"));
        if (r.path === "/moved") return redirect("/", 308);
      }`),
    );
    const answer = (path: string) => one.request({ path }).exchange.answered;
    const plain = { "content-type": ["text/plain; charset=utf-8"] };
    expect(answer("/deny")).to.deep.equal({ status: 451, headers: plain, body: "nö" });
    expect(answer("/empty")).to.deep.equal({ status: 403, headers: plain, body: "" });
    expect(answer("/respond")).to.deep.equal({
      status: 201,
      headers: { "x-one": ["1"], "set-cookie": ["a=b", "c=d"] },
      body: "ok\n\nB",
    });
    const location = ["https://example.com/%C3%A9"];
    expect(answer("/redirect")).to.deep.equal({ status: 302, headers: { location }, body: "" });
    expect(answer("/moved")).to.deep.equal({ status: 308, headers: { location: ["/"] }, body: "" });
    expect(answer("/other")).to.equal(null);
  });

  it("redirects with what is not ASCII escaped, and nowhere where no address is given", () => {
    const one = bench(
      tables(`export default ({ headers }) => {
        const to = { none: undefined, empty: "", blank: "  ", half: "/\\ud800x", tab: "/\\tx", line: "/\\nx",
          number: NaN, object: {}, list: ["/"], symbol: Symbol("/") };
        const name = headers.get("x-to");
        return redirect(name in to ? to[name] : name);
      };`),
    );
    const answer = (to: string) => one.request({ headers: [["x-to", to]] }).exchange.answered;
    const location = (to: string) => answer(to)?.headers?.location;
    expect(location("/käse?ü=%C3%A4&b=c#ÿ%")).to.deep.equal([
      "/k%C3%A4se?%C3%BC=%C3%A4&b=c#%C3%BF%",
    ]);
    expect(location("/a b?c= d")).to.deep.equal(["/a%20b?c=%20d"]);
    const missing = /TypeError: redirect: the address is missing: redirect\("https:/;
    const noText = /redirect: the address is a string/;
    const wrong = {
      none: missing,
      empty: missing,
      blank: missing,
      half: /has half of a character/,
      ...Object.fromEntries(["number", "object", "list", "symbol"].map((to) => [to, noText])),
    };
    const control = /has a control character/;
    for (const [to, error] of Object.entries({ ...wrong, tab: control, line: control })) {
      expect(answer(to), to).to.equal(null);
      expect(one.report().lastError, to).to.match(error);
    }
  });

  it("answers with headers of an object alone", () => {
    for (const headers of [
      '[["a", "b"]]',
      'new Map([["a", "b"]])',
      "request.headers",
      '"a: b"',
      "1",
    ]) {
      const one = bench(tables(`export default (request) => respond({ headers: ${headers} });`));
      expect(one.request().exchange.answered, headers).to.equal(null);
      expect(one.report().lastError, headers).to.match(/respond: headers is an object like/);
    }
    const made = "Object.assign(Object.create(null), { a: 1 })";
    const one = bench(tables(`export default () => respond({ headers: ${made} });`));
    expect(one.request().exchange.answered?.headers).to.deep.equal({ a: ["1"] });
  });

  it("answers with the fields that an answer has, and refuses others by name", () => {
    for (const [answer, message] of [
      ["{ code: 404 }", /respond: "code" is no field; status, headers and body are/],
      ["{ [Symbol('body')]: 'x' }", /respond: "Symbol\(body\)" is no field/],
      ["'gone'", /respond: takes an object like/],
      ["", /respond: takes an object like/],
      ["[404]", /respond: takes an object like/],
    ] as const) {
      const one = bench(tables(`export default () => respond(${answer});`));
      expect(one.request().exchange.answered, answer).to.equal(null);
      expect(one.report().lastError, answer).to.match(message);
    }
    const one = bench(tables("export default () => respond({});"));
    expect(one.request().exchange.answered?.status).to.equal(200);
  });

  it("may have to do with answers only", () => {
    const one = bench(
      tables(`export function onResponse({ headers }) { headers.set("x-a", "b"); }`),
    );
    const { exchange } = one.request();
    exchange.respond(200, []);
    expect([exchange.answered, exchange.failure]).to.deep.equal([null, null]);
    one.find("a.example.com")?.onResponse(exchange);
    expect(exchange.responseHeader("x-a")).to.equal("b");
    expect(one.report()).to.include({ calls: 1, errors: 0 });
  });

  it("may leave out what the gateway tells of the client, in any case, but not write it", () => {
    const one = bench(
      tables(`export default function ({ headers, query }) {
        for (const name of ["X-Forwarded-For", "FORWARDED", "x-forwarded-port"]) headers.delete(name);
        if (headers.has("x-forwarded-for")) throw new Error("is still there");
        if (query === "forge") headers.set("X-Forwarded-For", "1.2.3.4");
      }`),
    );
    const headers = [["X-Forwarded-For", "192.0.2.1"]] as const;
    expect(one.request({ headers }).exchange.header("x-forwarded-for")).to.equal(undefined);
    expect(one.report()).to.include({ errors: 0 });
    one.request({ headers, query: "forge" });
    expect(one.report().lastError).to.match(/x-forwarded-for belongs to the gateway/);
  });

  it("may change the headers of the answer, and only those", () => {
    const one = bench(
      tables(`export default () => {};
      export function onResponse(response, request) {
        if (request.query === "forge") response.headers.set("content-length", "1");
        if (request.query === "late") request.path = "/";
        response.headers.set("x-frame-options", "DENY");
        response.headers.set("x-seen", response.status + " " + response.headers.get("server"));
        response.headers.delete("server");
      }`),
    );
    const respond = (query: string): TestExchange => {
      const { exchange } = one.request({ query });
      exchange.respond(200, [["Server", "nginx"]]);
      one.find("a.example.com")?.onResponse(exchange);
      return exchange;
    };
    const good = respond("");
    expect(one.find("a.example.com")?.hasOnResponse).to.equal(true);
    expect(good.responseHeader("x-frame-options")).to.equal("DENY");
    expect(good.responseHeader("x-seen")).to.equal("200 nginx");
    expect(good.responseHeader("server")).to.equal(undefined);
    expect(respond("forge").responseHeader("x-frame-options"), "unchanged").to.equal(undefined);
    expect(one.report().lastError).to.match(/:3:\d+: TypeError: the header content-length belongs/);
    expect(respond("late").responseHeader("server")).to.equal("nginx");
    expect(one.report().lastError).to.match(/request.path cannot be changed in onResponse/);
    expect(one.report()).to.include({ calls: 6, errors: 2 });
  });

  it("adds cookies to an answer, a line for each, beside those that are there", () => {
    const one = bench(
      tables(`export default () => {};
      export function onResponse({ headers }, request) {
        if (request.query === "first") headers.delete("set-cookie");
        headers.append("Set-Cookie", "b=2; Path=/");
        headers.append("set-cookie", "c=3");
        headers.set("x-seen", headers.get("set-cookie") + "|" + [...headers.keys()]);
        if (request.query === "last") headers.set("set-cookie", "d=4");
      }`),
    );
    const cookies = (query: string) => {
      const { exchange } = one.request({ query });
      const added: string[] = [];
      const add = exchange.addResponseHeader.bind(exchange);
      exchange.addResponseHeader = (name, value) => {
        added.push(`${name}: ${value}`);
        add(name, value);
      };
      exchange.respond(200, [["Set-Cookie", "a=1"]]);
      one.find("a.example.com")?.onResponse(exchange);
      expect(one.report().lastError).to.equal(null);
      const all = exchange.responseHeader("set-cookie");
      return { added, all, seen: exchange.responseHeader("x-seen") };
    };
    expect(cookies("")).to.deep.equal({
      added: ["set-cookie: b=2; Path=/", "set-cookie: c=3"],
      all: "a=1, b=2; Path=/, c=3",
      seen: "a=1, b=2; Path=/, c=3|set-cookie",
    });
    expect(cookies("first")).to.deep.equal({
      added: ["set-cookie: c=3"],
      all: "b=2; Path=/, c=3",
      seen: "b=2; Path=/, c=3|set-cookie",
    });
    expect(cookies("last"), "set replaces all").to.deep.include({ added: [], all: "d=4" });
  });

  it("is asked only for the methods and paths that it matches", () => {
    const one = bench(
      tables(`export const match = { methods: ["DELETE", "PUT"], paths: ["/api", "/v1/"] };
      export default () => deny(403);`),
    );
    const status = (method: string, path: string) => one.request({ method, path }).exchange.status;
    expect(status("DELETE", "/api")).to.equal(403);
    expect(status("PUT", "/api/x")).to.equal(403);
    expect(status("PUT", "/v1/x")).to.equal(403);
    expect(status("PUT", "/v1")).to.equal(403);
    expect(status("DELETE", "/apix")).to.equal(0);
    expect(status("DELETE", "/")).to.equal(0);
    expect(status("GET", "/api")).to.equal(0);
    expect(one.report().calls).to.equal(4);
  });

  it("logs with its level, bounded and in one line", () => {
    const one = bench(
      tables(`log.info("loaded");
      export default function () {
        log.debug("a", 1, { b: [2] }, null, undefined);
        log.error("\\x1b[31mred\\n" + "x".repeat(5000));
        for (let at = 0; at < 100; at++) log.warn(at);
      }`),
    );
    one.request();
    expect(one.logs[0]).to.include({ level: "info", message: "loaded" });
    expect(one.logs[1]).to.include({ level: "debug", message: 'a 1 {"b":[2]} null undefined' });
    expect(one.logs[2]?.message).to.match(/^\\u001b\[31mred\\u000ax{100,600}\.\.\.$/);
    expect(one.logs).to.have.length(21);
  });

  it("keeps what it logged before it threw, and the error says where", () => {
    const one = bench(tables(`export default () => {\n  log.info("here");\n  missing();\n}`));
    expect(one.request().exchange.failure?.message).to.equal(
      "the rewrite script of a.example.com failed",
    );
    const error = "scripts/a.example.com:3:3: ReferenceError: missing is not defined";
    expect(one.logs.map((each) => each.message)).to.deep.equal(["here", error]);
    expect(one.report()).to.include({ calls: 1, errors: 1, lastError: error });
  });

  it("that does not load answers every request with an error, and is tried again later", () => {
    let nowMs = 0;
    const text = `import { late } from "modules/late"; export default () => deny(403);`;
    const one = bench(tables(text), { now: () => nowMs });
    expect(one.body()).to.equal("script_error");
    expect(one.report().lastError).to.equal(
      'scripts/a.example.com:1:22: import "modules/late": there is no such key',
    );
    expect(one.body()).to.equal("script_error");
    one.sandbox.apply(tables(text, { late: "export const late = 1" }));
    expect(one.request().exchange.status, "at once when the module comes").to.equal(403);
    nowMs += 10_000;
    expect(one.request().exchange.status).to.equal(403);
  });
});
