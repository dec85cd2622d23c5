import { PassThrough, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { CommandError, UsageError } from "./command-error.ts";
import { type Flags, Invocation, type Run } from "./invocation.ts";

describe("a run of the program", () => {
  /** What its starter sees. `use` has it run something and print. */
  async function outcomeOf(
    use: (invocation: Invocation) => unknown,
    stdout: Writable & { isTTY?: boolean } = new PassThrough(),
  ) {
    const stderr = new PassThrough();
    const statuses: number[] = [];
    const exit = (status: number) => void statuses.push(status);
    const invocation = new Invocation({ stdout, stderr, env: {}, exit });
    await use(invocation);
    await invocation.end();
    stderr.end();
    return { statuses, complaints: await text(stderr) };
  }
  const running = (run: Run, flags: Flags = {}) =>
    outcomeOf((invocation) => invocation.running(run)(flags));
  const failing = (error: unknown) => running(() => Promise.reject(error));

  it("ends with the command's status", async () => {
    expect(await running(async () => 0)).to.deep.equal({ statuses: [0], complaints: "" });
    expect(await running(async () => 3)).to.deep.equal({ statuses: [3], complaints: "" });
  });

  it("tells a wrong line (2) from what failed (1), each in one printable line", async () => {
    expect(await failing(new UsageError("--x:\n  is \u001b[31mnot a number"))).to.deep.equal({
      statuses: [2],
      complaints: "sluice: --x: is \\u001b[31mnot a number\n",
    });
    expect(await failing(new CommandError("no answer"))).to.deep.equal({
      statuses: [1],
      complaints: "sluice: no answer\n",
    });
    const refused = Object.assign(new Error("connect ECONNREFUSED"), { syscall: "connect" });
    expect((await failing(refused)).complaints).to.equal("sluice: connect ECONNREFUSED\n");
    expect((await outcomeOf((invocation) => invocation.misused())).statuses).to.deep.equal([2]);
  });

  it("shows where a defect is", async () => {
    const { statuses, complaints } = await failing(new TypeError("x is not a function"));
    expect(statuses).to.deep.equal([1]);
    expect(complaints).to.match(/^TypeError: x is not a function\n +at .*invocation\.test\.ts/);
  });

  it("answers for a program in a pipe, unless it is told otherwise", async () => {
    const isJson = async (isTTY: boolean, flags: Flags) => {
      let json: unknown;
      const run: Run = async (given) => {
        json = given.json;
        return 0;
      };
      const stdout = Object.assign(new PassThrough(), { isTTY });
      await outcomeOf((invocation) => invocation.running(run)(flags), stdout);
      return json;
    };
    expect(await isJson(false, {})).to.equal(true);
    expect(await isJson(false, { text: true })).to.equal(false);
    expect(await isJson(true, {})).to.equal(false);
    expect(await isJson(true, { json: true })).to.equal(true);
  });

  it("steers no terminal by what it prints, and leaves a program's text as it is", async () => {
    const source = "a\n\u001b[2Jb";
    for (const isTTY of [true, false]) {
      const stdout = Object.assign(new PassThrough(), { isTTY });
      await outcomeOf(({ output }) => {
        output.printText(source);
        output.print("\u001b[2J");
      }, stdout);
      stdout.end();
      const first = isTTY ? "a\n\\u001b[2Jb" : source;
      expect(await text(stdout)).to.equal(`${first}\n\\u001b[2J\n`);
    }
  });

  it("fails when its output cannot be written, but not when its reader has gone", async () => {
    const printing = (code: string) =>
      outcomeOf(
        ({ output }) => output.print("a line"),
        new Writable({
          write: (_chunk, _encoding, done) => done(Object.assign(new Error("write"), { code })),
        }),
      );
    expect(await printing("ENOSPC")).to.deep.equal({
      statuses: [1],
      complaints: "sluice: the output cannot be written: write\n",
    });
    expect(await printing("EPIPE")).to.deep.equal({ statuses: [0], complaints: "" });
  });
});
