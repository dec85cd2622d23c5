import { readdirSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { expect } from "chai";
import { until } from "../../../test/support/conditions.ts";
import { Bench, tables } from "../fixtures/test-sandbox.ts";
import { defaultSandboxLimits } from "../limits.ts";
import type { ScriptTables } from "../sandbox.ts";
import { Examiner } from "./examiner.ts";

const host = "a.example.com";
/** What a top level throws is looked at by isolated-vm itself, when the time limit is over. */
const unendable = "throw { get message() { for (;;); } }; export default () => {};";
const good = "export default () => deny(403);";

/** What the system says of a process or of a thread; nothing where that has ended since it was listed. */
function told(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "ENOENT" || code === "ESRCH") return "";
    throw error;
  }
}

/** The processes that this one has started, and what they run. */
function children(): readonly string[] {
  const tasks = readdirSync("/proc/self/task");
  const pids = tasks.flatMap((task) =>
    told(`/proc/self/task/${task}/children`).split(" ").filter(Boolean),
  );
  return pids.filter((pid) => told(`/proc/${pid}/cmdline`).includes("examiner-process"));
}

describe("an examiner", function () {
  // What is too much for an examination takes long on a busy machine, and some tests have two of it.
  this.timeout(600_000);
  let examiner: Examiner;
  beforeEach(() => {
    examiner = new Examiner(defaultSandboxLimits);
  });
  afterEach(async () => {
    examiner.close();
    await allEnded();
  });
  const allEnded = () => until("the process has ended", () => children().length === 0);

  it("says of a script what its throw-away isolate says", async () => {
    expect(await examiner.check(host, tables(good))).to.equal(null);
    expect(await examiner.check(host, tables("export default 1;\nconst;"))).to.include({
      key: `scripts/${host}`,
      line: 2,
    });
    const examination = await examiner.examine(
      host,
      tables(`export const onError = "skip"; ${good}
        export const tests = [{ request: { path: "/" }, expect: { deny: 403 } }];`),
    );
    expect(examination).to.deep.include({ fault: null, passed: 1 });
    expect(examination.declared).to.include({ onError: "skip" });
    const text = 'import { a } from "modules/a"; export default () => deny(a + settings.b);';
    const given = tables(text, { a: "export const a = 1;" }, { b: 402 });
    expect(await examiner.check(host, given)).to.equal(null);
  });

  it("tries requests that failed in a worker against any version, and says what became of each", async () => {
    const failing = tables(`export default function (request) {
        if (request.path.startsWith("/bad")) request.path = request.path + settings.suffix;
      }
      export function onResponse(response) { response.headers.set("x-a", settings.bad); }`);
    const given = (text: string) => tables(text, { no: "export const no = () => deny(400);" });
    const withSettings = {
      ...failing,
      setting: new Map([
        ["suffix", " "],
        ["bad", "\n"],
      ]),
    };
    const bench = new Bench(withSettings);
    const client = {
      path: "/bad",
      query: "a=b",
      headers: [["x-long", "y".repeat(20_000)]],
    } as const;
    bench.request(client);
    const first = bench.report().failed?.samples ?? [];
    const { exchange } = bench.request({ path: "/good" });
    exchange.respond(200, []);
    bench.find(host)?.onResponse(exchange);
    const samples = [...first, ...(bench.report().failed?.samples ?? [])];
    bench.sandbox.dispose();
    expect(samples.map(({ request }) => request.split("\n")[3])).to.deep.equal(["/bad", "/good"]);
    const replay = (tried: ScriptTables) => examiner.replay(host, tried, samples);
    expect(await replay(withSettings)).to.deep.equal(["failed", "failed"]);
    expect(await replay(given("export default () => {};"))).to.deep.equal(["passed", "passed"]);
    const refuses = `import { no } from "modules/no";
      export default ({ path, query }) => path === "/bad" && query === "a=b" ? no() : undefined;
      export const onResponse = () => {};
      export const tests = [{ expect: { deny: 400 } }];`;
    expect(await replay(given(refuses)), "its tests do not run").to.deep.equal([
      "refused",
      "passed",
    ]);
    const other = `export const match = { paths: ["/x"] }; export default () => deny(400);`;
    expect(await replay(given(other))).to.deep.equal(["passed", "passed"]);
    const answers = `export default ({ path }) => path === "/bad" ? redirect("/") : respond({});`;
    expect((await replay(given(answers)))?.[0]).to.equal("answered");
    expect(await replay(given("export default () => { for (;;); };"))).to.deep.equal([
      "failed",
      "passed",
    ]);
    expect(await replay(given("export default 1;"))).to.equal(null);
    expect(await replay(given(unendable))).to.equal(null);
  });

  it("is rid of a script that nothing can end, and examines the next", async () => {
    const first = examiner.check(host, tables(unendable));
    const second = examiner.check("b.example.com", tables({ "b.example.com": good }));
    expect((await first)?.message).to.match(/did not load within 1000 ms/);
    expect(await second).to.equal(null);
    expect(await examiner.check(host, tables(good))).to.equal(null);
  });

  it("refuses a script whose examination ends the process again and again", async () => {
    const slow = new Examiner({ ...defaultSandboxLimits, callTimeoutMs: 100 });
    let isDone = false;
    const check = slow.check(host, tables(unendable)).finally(() => {
      isDone = true;
    });
    const killed = new Set<string>();
    while (!isDone) {
      for (const pid of children()) {
        if (killed.has(pid)) continue;
        killed.add(pid);
        process.kill(Number(pid), "SIGKILL");
      }
      await setTimeout(20);
    }
    expect((await check)?.message).to.match(/ends the process that examines it/);
    // Once in the lane that everything begins in, twice in the other.
    expect(killed.size).to.be.within(1, 3);
    expect(await slow.check(host, tables(good))).to.equal(null);
    slow.close();
  });

  /** 200 cases, each of which makes two calls that run for 60 ms and passes: too much in all, however busy the machine is. */
  const slowRule = `const spin = () => { for (const end = Date.now() + 60; Date.now() < end; ); };
    export default () => spin();
    export const onResponse = () => spin();
    export const tests = Array.from({ length: 200 }, (_, at) => ({
      name: "case " + at, response: { status: 200 }, expectResponse: { "x-a": null } }));`;

  for (const helps of [true, false])
    it(`answers for good sources first, however many slow ones came before (${helps ? "two lanes" : "one lane"})`, async () => {
      const one = new Examiner({ ...defaultSandboxLimits, callTimeoutMs: 100 }, { helps });
      const order: string[] = [];
      const examine = async (name: string, text: string) => {
        const fault = await one.check(name, tables({ [name]: text }));
        order.push(name.slice(0, 4));
        return fault;
      };
      const all = Array.from({ length: 2 }, (_, at) => examine(`slow${at}.example`, slowRule));
      all.push(...Array.from({ length: 20 }, (_, at) => examine(`good${at}.example`, good)));
      const faults = await Promise.all(all);
      expect(order.slice(0, 20)).to.deep.equal(Array.from({ length: 20 }, () => "good"));
      expect(faults.slice(2).filter((fault) => fault !== null)).to.deep.equal([]);
      for (const fault of faults.slice(0, 2)) {
        expect(fault?.message).to.match(/its examination takes more than 2000 ms/);
      }
      one.close();
    });

  it("gives everything in the examination of a source one budget, and says where it ended", async () => {
    const one = new Examiner({ ...defaultSandboxLimits, callTimeoutMs: 100 });
    const fault = await one.check(host, tables(slowRule));
    expect(fault?.message).to.match(
      /^its examination takes more than 2000 ms of processor time: test "case \d+", \d+ of 200, /,
    );
    one.close();
  });

  it("does not examine what was replaced while it waited", async () => {
    const one = new Examiner({ ...defaultSandboxLimits });
    let isWanted = true;
    const first = one.check(host, tables(good));
    const all = Array.from({ length: 10 }, () =>
      one.examine(host, tables("const;"), () => isWanted),
    );
    isWanted = false;
    const last = one.check(host, tables(good));
    for (const each of all.slice(2)) {
      expect((await each).fault?.message).to.match(/another source came before/);
    }
    expect([await first, await last]).to.deep.equal([null, null]);
    one.close();
  });

  it("has no process before it is asked, and none once it is closed", async () => {
    expect(children()).to.have.length(0);
    await examiner.check(host, tables(good));
    expect(children()).to.have.length.above(0);
    examiner.close();
    await allEnded();
  });
});
