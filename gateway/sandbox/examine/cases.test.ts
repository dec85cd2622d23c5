import { expect } from "chai";
import { Bench, tables } from "../fixtures/test-sandbox.ts";
import { checkScript, examineScript } from "../index.ts";

const rule = `
export default function (request) {
  if (request.method === "DELETE") return deny(403, "no");
  if (request.path === "/old") return redirect("/new", 308);
  if (request.path === "/hi") return respond({ status: 201, headers: { "x-a": "b" }, body: "hi" });
  if (request.path === "/throw") throw new Error("out of cheese");
  if (request.path === "/loop") for (;;);
  request.path = "/v2" + request.path;
  request.headers.set("x-user", settings.user ?? "nobody");
  request.headers.delete("cookie");
  if (request.clientIp.startsWith("10.")) request.upstream = "inner";
}
export function onResponse(response, request) {
  response.headers.set("x-seen", response.status + " " + request.path);
  response.headers.delete("server");
}
`;

const check = (cases: string, setting = {}) =>
  checkScript("a.example.com", tables(`${rule}export const tests = ${cases};`, {}, setting));

describe("the tests of a script", () => {
  it("pass when every outcome is as it is expected", async () => {
    const cases = `[
      { name: "denies", request: { method: "DELETE" }, expect: { deny: 403 } },
      { request: { method: "DELETE" }, expect: { deny: { status: 403, body: "no" } } },
      { request: { path: "/old" }, expect: { redirect: "/new" } },
      { request: { path: "/old" }, expect: { redirect: { location: "/new", status: 308 } } },
      { request: { path: "/hi" }, expect: { respond: { status: 201, headers: { "X-A": "b" }, body: "hi" } } },
      { request: { path: "/a?b=c", clientIp: "10.0.0.1", headers: { Cookie: "x=1" } },
        settings: { user: "ada" },
        expect: { pass: true, path: "/v2/a", query: "b=c", upstream: "inner",
                  headers: { "x-user": "ada", cookie: null } } },
      { request: { path: "/a" }, expect: { pass: true, headers: { "x-user": "bob" }, upstream: "" } },
      { request: { path: "/a" }, response: { status: 404, headers: { Server: "x", "x-keep": "1" } },
        expectResponse: { "x-seen": "404 /v2/a", server: null, "x-keep": "1" } },
    ]`;
    const given = tables(`${rule}export const tests = ${cases};`, {}, { user: "bob" });
    const examination = await examineScript("a.example.com", given);
    expect(examination.fault).to.equal(null);
    expect(examination.passed).to.equal(8);
  });

  it("see paths in the form in which a gateway sees them, and as they are written", async () => {
    const text = `
      export const match = { paths: ["/%61dmin"] };
      export default ({ path, rawPath }) => respond({ body: path + " " + rawPath });
      export const tests = [
        { request: { path: "/x/..//adm%69%6e/%c3?/.." },
          expect: { respond: { body: "/admin/%C3 /x/..//adm%69%6e/%c3" } } },
        { request: { path: "/admin/../b//" }, expect: { pass: true, path: "/b/" } },
        { request: { path: "/admin%2fx" }, expect: { deny: 400 } },
      ];`;
    const { fault, passed } = await examineScript("a.example.com", tables(text));
    expect(fault).to.equal(null);
    expect(passed).to.equal(3);
  });

  const failing: Readonly<Record<string, readonly [string, RegExp]>> = {
    "another status": [
      `[{ name: "one", request: { method: "DELETE" }, expect: { deny: 404 } }]`,
      /^test "one": expected \{"deny":\{"status":404\}\}, got \{"deny":\{"status":403,"body":"no"/,
    ],
    "a pass that was to be denied": [
      `[{ name: "one", expect: { deny: 403 } }]`,
      /got \{"pass":true,"path":"\/v2\/"\}$/,
    ],
    "a verdict that was to pass": [
      `[{ name: "one", request: { path: "/old" }, expect: { pass: true } }]`,
      /got \{"redirect":\{"location":"\/new","status":308\}\}$/,
    ],
    "another path": [
      `[{ name: "one", expect: { pass: true, path: "/" } }]`,
      /expected \{"pass":true,"path":"\/"\}, got \{"pass":true,"path":"\/v2\/"\}$/,
    ],
    "a header that is there": [
      `[{ name: "one", expect: { pass: true, headers: { "x-user": null } } }]`,
      /got \{"pass":true,"path":"\/v2\/","headers":\{"x-user":"nobody"\}\}$/,
    ],
    "a header of the answer": [
      `[{ name: "one", response: { status: 200 }, expectResponse: { "x-seen": "201 /v2/" } }]`,
      /expected \{"expectResponse":\{"x-seen":"201 \/v2\/"\}\}, got \{"expectResponse":\{"x-seen":"200 \/v2\/"\}\}$/,
    ],
  };
  for (const [name, [cases, message]] of Object.entries(failing)) {
    it(`fail for ${name}, with expected and actual and the case's place`, async () => {
      const fault = await check(cases);
      expect(fault?.message).to.match(message);
      expect(fault?.test?.name).to.equal("one");
      expect(fault?.line).to.equal(rule.split("\n").length);
      expect(fault?.column).to.be.above(20);
    });
  }

  it("fail for a script that throws or loops in a case, with the place in the script", async () => {
    const thrown = await check(
      `[{ name: "one", request: { path: "/throw" }, expect: { deny: 500 } }]`,
    );
    expect(thrown).to.deep.include({ key: "scripts/a.example.com", line: 6 });
    expect(thrown?.message).to.equal('test "one": Error: out of cheese');
    expect(thrown?.test).to.deep.equal({
      name: "one",
      expected: '{"deny":{"status":500}}',
      actual: '{"error":"Error: out of cheese"}',
    });
    const looped = await check(
      `[{ name: "two", request: { path: "/loop" }, expect: { deny: 500 } }]`,
    );
    expect(looped?.message).to.equal('test "two": ran longer than 10 ms');
  });

  it("may name hosts in any alphabet, and so may scripts", async () => {
    const text = `export default function (request) {
        if (request.host === "xn--mller-kva.example") request.host = "BÜCHER.example:8080";
      }
      export const tests = [
        { request: { host: "Müller.example" }, expect: { pass: true, host: "bücher.example:8080" } },
        { request: { host: "xn--mller-kva.example" }, expect: { pass: true, host: "xn--bcher-kva.example:8080" } },
      ];`;
    expect(await checkScript("a.example.com", tables(text))).to.equal(null);
    const one = new Bench(tables(text.replace("xn--mller-kva.example", "a.example.com")));
    expect(one.request().exchange.authority).to.equal("xn--bcher-kva.example:8080");
    one.sandbox.dispose();
  });

  const unnamed = (cases: string) => check(`[\n  { expect: { pass: true } },\n  ${cases}\n]`);
  const line = rule.split("\n").length + 2;
  it("name the place of a case that has no name, also where the script runs out of time in it", async () => {
    const other = await unnamed(`  { request: { path: "/old" }, expect: { deny: 403 } }`);
    expect(other).to.deep.include({ line, column: 5 });
    expect(other?.message).to.contain('test "case 2": expected');
    const looped = await unnamed(`{ request: { path: "/loop" }, expect: { deny: 403 } }`);
    expect(looped).to.deep.include({ key: "scripts/a.example.com" });
    expect(looped?.line).to.be.above(0);
    const unreadable = await unnamed(`{ request: { path: "old" }, expect: { deny: 403 } }`);
    expect(unreadable).to.deep.include({ line, column: 3 });
  });

  it("name the place of all tests where a case is not written out among them", async () => {
    for (const cases of ["[1].map(() => ({ expect: { deny: 403 } }))", "[...[{ expect: 1 }]]"]) {
      expect(await check(cases), cases).to.deep.include({ line: line - 2, column: 14 });
    }
    const { fault } = await examineScript(
      "a.example.com",
      tables(`${rule}export { tests } from "modules/cases";`, {
        cases: "export const tests = [{ expect: { deny: 403 } }];",
      }),
    );
    expect(fault).to.deep.include({ line: line - 2, column: 10 });
  });

  it("do not run the script for a request that does not match", async () => {
    const text = `export const match = { methods: ["DELETE"] };
      export default () => deny(403);
      export const tests = [{ request: { method: "GET" }, expect: { pass: true } },
        { request: { method: "DELETE" }, expect: { deny: 403 } }];`;
    expect(await checkScript("a.example.com", tables(text))).to.equal(null);
  });

  const wrong: Readonly<Record<string, readonly [string, string]>> = {
    "no list": ["{}", "tests must be a list of at most 200 cases"],
    functions: ["() => 1", "tests must be plain data"],
    "an unknown field": ["[{ expects: {} }]", "tests[0].expects is not known"],
    "no expectation": ["[{ name: 'a' }]", "tests[0].expect is missing"],
    "two verdicts": [
      "[{ expect: { pass: true, deny: 403 } }]",
      "tests[0].expect must have one of pass, deny, respond and redirect",
    ],
    "a change beside a verdict": [
      "[{ expect: { deny: 403, path: '/' } }]",
      "tests[0].expect.path is only known with pass: true",
    ],
    "a path that is none": [
      "[{ request: { path: 'a' }, expect: { pass: true } }]",
      "tests[0].request.path must start with /",
    ],
    "a header of two lines": [
      "[{ request: { headers: { a: 'b\\nc: d' } }, expect: { pass: true } }]",
      "tests[0].request.headers: a must be a header with one line of text",
    ],
  };
  for (const [name, [cases, message]] of Object.entries(wrong)) {
    it(`are refused for ${name}`, async () => {
      expect((await check(cases))?.message).to.contain(message);
    });
  }
});

describe("what a script declares", () => {
  const byDefault = {
    minErrors: 5,
    maxErrorShare: 0.01,
    windowMs: 10_000,
    minClients: 3,
    isOn: true,
    probationMs: 3_600_000,
    mayOpen: false,
  };
  const declare = (text: string) =>
    examineScript("a.example.com", tables(`export default () => {}; ${text}`));

  it("is read at load, with its defaults", async () => {
    const { declared } = await declare(`export const onError = "skip";
      export const rollout = { percent: 5, steps: ["10m", "1h", "30s"], by: "X-User" };
      export const schedule = { from: "0 2 * * *", to: "0 4 * * *", timezone: "Asia/Shanghai" };
      export const takeBack = { errors: 50, percent: 5 };`);
    expect(declared).to.deep.equal({
      onError: "skip",
      rollout: { percent: 5, stepsMs: [600_000, 3_600_000, 30_000], by: "x-user" },
      schedule: { from: "0 2 * * *", to: "0 4 * * *", timezone: "Asia/Shanghai" },
      takeBack: { ...byDefault, minErrors: 50, maxErrorShare: 0.05 },
      canRefuse: false,
    });
    expect((await declare("")).declared).to.deep.equal({
      onError: "deny",
      rollout: null,
      schedule: null,
      takeBack: byDefault,
      canRefuse: false,
    });
    const { declared: own } = await declare(
      'export const takeBack = { seconds: 20, clients: 1, probation: "2d", open: true };',
    );
    const rule = { windowMs: 20_000, minClients: 1, probationMs: 172_800_000, mayOpen: true };
    expect(own?.takeBack).to.deep.equal({ ...byDefault, ...rule });
    const { declared: off } = await declare("export const takeBack = false;");
    expect(off?.takeBack).to.deep.equal({ ...byDefault, isOn: false });
  });

  it("goes with whether it can refuse a request, by itself or by a module", async () => {
    const can = async (text: string, modules = {}) =>
      (await examineScript("a.example.com", tables(text, modules))).declared?.canRefuse;
    for (const text of [
      "export default () => deny(403);",
      "export default () => { const no = redirect; return no('/'); };",
      "export default () => globalThis['de' + 'ny'](403);",
      "const verdicts = { respond }; export default () => verdicts.respond();",
    ]) {
      expect(await can(text), text).to.equal(true);
    }
    for (const text of [
      "export default (request) => { request.path = '/deny'; }; // deny",
      `const all = { deny: 1 }; class A { redirect() { return all.deny; } }
        export default () => { new A().redirect(); };
        export const tests = [{ request: { method: "GET" }, expect: { pass: true } }];`,
    ]) {
      expect(await can(text), text).to.equal(false);
    }
    const importing = 'import { no } from "modules/no"; export default () => no();';
    const through = 'export { no } from "modules/deep";';
    const modules = { no: through, deep: "export const no = () => deny(403);" };
    expect(await can(importing, modules)).to.equal(true);
  });

  const wrong: Readonly<Record<string, string>> = {
    'onError = "ignore"': 'onError must be "deny" or "skip"',
    "takeBack = { errors: 0 }": "takeBack.errors must be a number from 1 to 1000000",
    "takeBack = true": "takeBack must be an object",
    "takeBack = { clients: 17 }": "takeBack.clients must be a number from 1 to 16",
    "takeBack = { probation: 5 }":
      'takeBack.probation must be a duration like "30s", "10m" or "1h"',
    'takeBack = { probation: "400d" }': "takeBack.probation must be a year at most",
    'takeBack = { open: "yes" }': "takeBack.open must be true or false",
    "rollout = 5": "rollout must be an object",
    'rollout = { percent: 0, steps: ["1m"] }': "rollout.percent must be a number above 0",
    "rollout = { percent: 5, steps: [] }": "rollout.steps must be a list",
    'rollout = { percent: 5, steps: ["1m", "soon"] }': "rollout.steps[1] must be a duration",
    'rollout = { percent: 5, steps: ["1m"], by: "a b" }': "rollout.by must be the name of a header",
    'rollout = { percents: 5, steps: ["1m"] }': "rollout.percents is not known",
    'schedule = { from: "0 2 * * *" }': "schedule.to must be a cron expression of five fields",
    'schedule = { from: "* * * * * *", to: "0 4 * * *" }':
      "schedule.from must be a cron expression",
  };
  for (const [text, message] of Object.entries(wrong)) {
    it(`is refused: ${text}`, async () => {
      expect((await declare(`export const ${text};`)).fault?.message).to.contain(message);
    });
  }
});
