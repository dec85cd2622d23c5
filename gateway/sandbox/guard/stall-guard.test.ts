import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { CallMarker } from "./call-marker.ts";
import { createStallGuard } from "./stall-guard.ts";

const stallMs = 1_000;
/** Loading may take ten times as long, which is less than a stall. */
const callTimeoutMs = 50;
/** V8 lists the properties of a long text in one go, which takes it many seconds. */
const stuck = `let long = "x"; while (long.length < 2 ** 24) long += long; ({ ...long });
  export default () => {};`;
const children = new Set<ChildProcess>();
/** Only in its second call. */
const stuckLater = `let calls = 0;
  export default () => {
    if (++calls < 2) return;
    let long = "x"; while (long.length < 2 ** 24) long += long; ({ ...long });
  };`;

interface Run {
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
  /** What was written for the primary, a record for each line. */
  readonly words: readonly unknown[];
}

/** Runs a script in a process of its own, as a worker would. @param signal is sent when it says something. */
async function run(script: string, signal?: NodeJS.Signals, before = ""): Promise<Run> {
  const child = spawn(process.execPath, ["--input-type=module-typescript"], {
    cwd: fileURLToPath(new URL(".", import.meta.url)),
    stdio: ["pipe", "pipe", "pipe", "pipe"],
  });
  children.add(child);
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  let words = "";
  const pipe = child.stdio[3];
  if (!(pipe instanceof Readable)) throw new Error("there is no pipe");
  pipe.setEncoding("utf8").on("data", (text: string) => {
    words += text;
    if (signal !== undefined) child.kill(signal);
  });
  child.stdin.end(`
    import { Bench, tables } from "../fixtures/test-sandbox.ts";
    const bench = new Bench(tables(${JSON.stringify(script)}), {
      limits: { memoryMb: 16, callTimeoutMs: ${callTimeoutMs} },
      stallMs: ${stallMs},
      lastWordsDescriptor: 3,
    });
    ${before}
    const { exchange } = bench.request();
    process.stdout.write(String(exchange.status));`);
  const [, endedBy] = (await once(child, "close")) as [number | null, string | null];
  const lines = words.split("\n").filter((line) => line !== "");
  return { signal: endedBy, out, err, words: lines.map((line): unknown => JSON.parse(line)) };
}

describe("the stall guard", () => {
  afterEach(() => {
    for (const child of children) child.kill("SIGKILL");
    children.clear();
  });

  it("ends the process when a script cannot be interrupted, and names the script", async () => {
    const { signal, out, err, words } = await run(stuck);
    expect(signal).to.equal("SIGKILL");
    expect(out).to.equal("");
    const record: unknown = JSON.parse(err.trim());
    expect(record).to.include({ level: 60, name: "sluice-sandbox" });
    expect(record)
      .to.have.property("script")
      .that.matches(/^scripts\/a\.example\.com [0-9a-f]{64}$/);
    expect(words).to.have.length(2);
    expect(words[1]).to.include({ host: "a.example.com" });
    expect(words[0]).to.deep.equal({ inside: words[1] });
  });

  it("has named the script when the process crashes in it", async () => {
    const { signal, words } = await run(stuck, "SIGABRT");
    expect(signal).to.equal("SIGABRT");
    expect(words).to.have.length(1);
    expect(words[0]).to.have.nested.include({ "inside.host": "a.example.com" });
  });

  it("is started anew when its thread ends, knows what it knew, and says so", async () => {
    const before = `
      const threads = [];
      process.on("worker", (thread) => threads.push(thread));
      bench.sandbox.apply(tables({ "a.example.com": ${JSON.stringify(stuckLater)} }));
      bench.request();
      const wait = () => new Promise((resolve) => setTimeout(resolve, 10));
      while (threads.length < 1) await wait();
      await threads[0].terminate();
      while (threads.length < 2) await wait();
      process.stdout.write(JSON.stringify(bench.logs.map(({ message }) => message)));`;
    const { signal, out, words } = await run("export default () => {};", undefined, before);
    expect(signal).to.equal("SIGKILL");
    expect(out).to.match(/the guard against stalled scripts has ended and is started anew/);
    expect(words.at(-1)).to.include({ host: "a.example.com" });
  });

  it("takes the name back when the script returns after all", async () => {
    // Loading may take ten times as long as a call.
    const late =
      "const until = Date.now() + 300; while (Date.now() < until); export default () => deny(403);";
    // Until it was named: the thread that looks may not have started yet, or may have to wait for its turn.
    const before = `
      let isNamed = false;
      process.on("SIGTERM", () => { isNamed = true; });
      for (let at = 0; !isNamed; at += 1) {
        bench.sandbox.apply(tables({ "a.example.com": ${JSON.stringify(late)} + "//" + at }));
        bench.request();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }`;
    const { signal, out, words } = await run(late, "SIGTERM", before);
    expect({ signal, out }).to.deep.equal({ signal: null, out: "403" });
    expect(words.at(-1)).to.deep.equal({ inside: null });
  });

  it("forgets an isolate that is gone", () => {
    const guard = createStallGuard(
      new CallMarker(),
      { stallMs: 60_000, lastWordsDescriptor: null },
      (message) => expect.fail(message),
    );
    const script = {
      host: "a",
      version: "1",
      methods: null,
      paths: ["/a"],
      onError: "deny",
    } as const;
    for (let number = 1; number <= 1_000; number += 1) {
      guard.name(number, script);
      guard.name(number, { ...script, paths: null });
      if (number > 1) guard.forget(number - 1);
      expect(guard.known).to.equal(1);
    }
    guard.dispose();
  });

  it("leaves a process alone whose scripts return, and does not keep it alive", async () => {
    const ran = await run("export default () => deny(403);");
    expect(ran).to.deep.equal({ signal: null, out: "403", err: "", words: [] });
  });

  it("leaves it to the time limit to end what can be interrupted", async () => {
    for (const endless of [
      "export default () => { for (;;); };",
      "for (;;); export default () => {};",
      // isolated-vm itself looks at what a top level throws, when the time limit is over.
      "throw { get message() { for (;;); } }; export default () => {};",
    ]) {
      const { signal, out } = await run(endless);
      expect({ signal, out }, endless).to.deep.equal({ signal: null, out: "500" });
    }
  });
});
