import { readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { Examiner } from "./examiner.ts";
import { defaultSandboxLimits } from "./limits.ts";
import { tables } from "./test-sandbox.ts";

const host = "a.example.com";
/** What a top level throws is looked at by isolated-vm itself, when the time limit is over. */
const unendable = "throw { get message() { for (;;); } }; export default () => {};";
const good = "export default () => deny(403);";

/** The processes that this one has started, and what they run. */
function children(): readonly string[] {
  const tasks = readdirSync("/proc/self/task");
  const pids = tasks.flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean),
  );
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("examiner");
    } catch (error) {
      // It has ended since it was listed.
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
      throw error;
    }
  });
}

describe("an examiner", () => {
  let examiner: Examiner;
  beforeEach(() => {
    examiner = new Examiner({ ...defaultSandboxLimits, callTimeoutMs: 2 });
  });
  afterEach(async () => {
    examiner.close();
    await until("the process has ended", () => children().length === 0);
  });

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

  it("is rid of a script that nothing can end, and examines the next", async () => {
    const first = examiner.check(host, tables(unendable));
    const second = examiner.check("b.example.com", tables({ "b.example.com": good }));
    expect((await first)?.message).to.match(/did not load within 200 ms/);
    expect(await second).to.equal(null);
    expect(children()).to.have.length(1);
  });

  it("refuses a script whose examination ends the process twice", async () => {
    const slow = new Examiner({ ...defaultSandboxLimits, callTimeoutMs: 100 });
    const check = slow.check(host, tables(unendable));
    await until("there is a process", () => children().length === 1);
    const [first] = children();
    process.kill(Number(first), "SIGKILL");
    const others = () => children().filter((pid) => pid !== first);
    await until("there is another process", () => others().length === 1);
    process.kill(Number(others()[0]), "SIGKILL");
    expect((await check)?.message).to.match(/ends the process that examines it/);
    expect(await slow.check(host, tables(good))).to.equal(null);
    slow.close();
  });

  it("has no process before it is asked, and none once it is closed", async () => {
    expect(children()).to.have.length(0);
    await examiner.check(host, tables(good));
    expect(children()).to.have.length(1);
    examiner.close();
    await until("the process has ended", () => children().length === 0);
  });
});
