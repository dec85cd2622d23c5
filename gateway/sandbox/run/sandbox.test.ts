import { expect } from "chai";
import { until } from "../../../test/support/conditions.ts";
import { tables, useBenches } from "../fixtures/test-sandbox.ts";
import { IsolateSandbox } from "./isolate-sandbox.ts";

const counting = `let times = 0;
  export default function () { return respond({ body: String(++times) }); }`;

describe("createSandbox", () => {
  const bench = useBenches();

  it("keeps isolates and counters of what is the same, and begins anew what changed", () => {
    const importing = `import { one } from "modules/one"; ${counting}`;
    const indirect = `import { two } from "modules/two"; ${counting}`;
    const scripts = {
      "a.example.com": counting,
      "b.example.com": importing,
      "c.example.com": indirect,
    };
    const two = `import { one } from "modules/one"; export const two = one + 1;`;
    const one = bench(tables(scripts, { one: "export const one = 1", two }));
    const all = () => Object.keys(scripts).map((host) => one.body(host));
    expect(all()).to.deep.equal(["1", "1", "1"]);
    one.sandbox.apply(tables(scripts, { one: "export const one = 1", two }));
    expect(all(), "the same").to.deep.equal(["2", "2", "2"]);
    one.sandbox.apply(tables(scripts, { one: "export const one = 2", two, three: "" }));
    expect(all(), "a module of two of them changed").to.deep.equal(["3", "1", "1"]);
    const changed = { ...scripts, "a.example.com": `${counting}\n` };
    one.sandbox.apply(tables(changed, { one: "export const one = 2", two }));
    expect(all(), "one script changed").to.deep.equal(["1", "2", "2"]);
    expect(one.report("c.example.com").calls).to.equal(2);
    one.sandbox.apply(tables({}));
    expect(one.sandbox.reports()).to.deep.equal([]);
    expect(one.find("a.example.com")).to.equal(null);
  });

  it("brings changed settings to isolates that live, without making them anew", () => {
    const text = `let times = 0;
      export default () => respond({ body: ++times + JSON.stringify(settings) });`;
    const one = bench(tables(text, {}, { limits: { max: 5, list: [1] } }));
    expect(one.body()).to.equal('1{"limits":{"max":5,"list":[1]}}');
    one.sandbox.apply(tables(text, {}, { limits: { max: 6 }, on: true }));
    expect(one.body()).to.equal('2{"limits":{"max":6},"on":true}');
    one.sandbox.apply(tables(text, {}, {}));
    expect(one.body()).to.equal("3{}");
  });

  it("gives settings to those that may read them alone: no others pay for what does not fit", () => {
    const texts = {
      "reads.example.com": "export default () => deny(settings.small);",
      "imports.example.com": `import { status } from "modules/m"; export default () => deny(status());`,
      "escapes.example.com": "export default () => deny(\\u0073ettings.small);",
      "none.example.com": "export default () => deny(403);",
    };
    const modules = { m: "export const status = () => settings.small;" };
    let laterMs = 0;
    const now = () => performance.now() + laterMs;
    const one = bench(tables(texts, modules, { small: 404 }), { now });
    const statuses = () =>
      Object.keys(texts).map((authority) => one.request({ authority }).exchange.status);
    expect(statuses()).to.deep.equal([404, 404, 404, 403]);
    const large = Array.from({ length: 40 }, (_, at) => [`large${at}`, "x".repeat(500_000)]);
    one.sandbox.apply(tables(texts, modules, { small: 410, ...Object.fromEntries(large) }));
    expect(statuses()).to.deep.equal([500, 500, 500, 403]);
    one.sandbox.apply(tables(texts, modules, { small: 410 }));
    // They rest for what running out of memory took.
    laterMs += 600_000;
    expect(statuses()).to.deep.equal([410, 410, 410, 403]);
  });

  it("puts the least recently used isolate away beyond the limit, and keeps its counters", () => {
    const hosts = ["a", "b", "c"].map((name) => `${name}.example.com`);
    const limits = { memoryMb: 16, callTimeoutMs: 1_000, maxIsolates: 2 };
    const one = bench(tables(Object.fromEntries(hosts.map((host) => [host, counting]))), {
      limits,
    });
    const [a = "", b = "", c = ""] = hosts;
    expect([a, b, a, c].map((host) => one.body(host))).to.deep.equal(["1", "1", "2", "1"]);
    expect(one.body(a), "used later than b").to.equal("3");
    expect(one.body(b), "was put away").to.equal("1");
    expect(one.body(c), "made room for b").to.equal("1");
    expect(one.report(b).calls).to.equal(2);
  });

  it("puts an isolate away that nobody uses, and leaves one alone that is used", async () => {
    const [idle, busy] = ["idle.example.com", "busy.example.com"];
    const one = bench(tables({ [idle]: counting, [busy]: counting }), { idleMs: 200 });
    expect(one.body(idle)).to.equal("1");
    let calls = 0;
    const { sandbox } = one;
    if (!(sandbox instanceof IsolateSandbox)) throw new Error("another sandbox");
    await until("one of two is left", () => {
      calls += 1;
      expect(one.body(busy)).to.equal(String(calls));
      return sandbox.isolates === 1;
    });
    expect(calls).to.be.above(1);
    expect(one.body(idle), "begins anew").to.equal("1");
    expect(one.report(idle).calls).to.equal(2);
  });

  it("lets an exchange finish with the version that it began with", () => {
    const rule = (value: string) => `export default () => {};
      export function onResponse(response) { response.headers.set("x-rule", "${value}"); }`;
    let nowMs = 0;
    const one = bench(tables(rule("old")), { now: () => nowMs });
    const { exchange } = one.request();
    const before = one.find("a.example.com");
    one.sandbox.apply(tables(rule("new")));
    exchange.respond(200, []);
    before?.onResponse(exchange);
    expect(exchange.responseHeader("x-rule")).to.equal("old");
    nowMs += 60_000;
    one.sandbox.apply(tables(rule("newer")));
    exchange.removeResponseHeader("x-rule");
    before?.onResponse(exchange);
    expect(exchange.responseHeader("x-rule"), "long gone").to.equal(undefined);
  });

  it("makes no isolate before a request asks for one", () => {
    const scripts: Record<string, string> = {};
    for (let at = 0; at < 10_000; at += 1) scripts[`h${at}.example.com`] = counting;
    const before = process.memoryUsage.rss();
    const one = bench(tables(scripts));
    expect(one.sandbox.reports()).to.have.length(10_000);
    expect(process.memoryUsage.rss() - before).to.be.below(200e6);
    expect(one.body("h9999.example.com")).to.equal("1");
  });
});
