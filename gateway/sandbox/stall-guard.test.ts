import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const children = new Set<ChildProcess>();

/** Runs a script in a process of its own, as a worker would. */
async function run(script: string): Promise<{ signal: string | null; out: string; err: string }> {
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
  child.stdin.end(`
    import { Bench, tables } from "./test-sandbox.ts";
    const bench = new Bench(tables(${JSON.stringify(script)}), { stallMs: 400 });
    const { exchange } = bench.request();
    process.stdout.write(String(exchange.status));`);
  const [, signal] = (await once(child, "close")) as [number | null, string | null];
  return { signal, out, err };
}

describe("the stall guard", () => {
  afterEach(() => {
    for (const child of children) child.kill("SIGKILL");
    children.clear();
  });

  it("ends the process when a script cannot be interrupted, and names the script", async () => {
    // What a top level throws is looked at by isolated-vm itself, when the time limit is over.
    const stuck = "throw { get message() { for (;;); } }; export default () => {};";
    const { signal, out, err } = await run(stuck);
    expect(signal).to.equal("SIGKILL");
    expect(out).to.equal("");
    const record: unknown = JSON.parse(err.trim());
    expect(record).to.include({ level: 60, name: "sluice-sandbox" });
    expect(record)
      .to.have.property("script")
      .that.matches(/^scripts\/a\.example\.com [0-9a-f]{64}$/);
  });

  it("leaves a process alone whose scripts return, and does not keep it alive", async () => {
    const { signal, out, err } = await run("export default () => deny(403);");
    expect({ signal, out, err }).to.deep.equal({ signal: null, out: "403", err: "" });
  });

  it("leaves it to the time limit to end what can be interrupted", async () => {
    const { signal, out } = await run("export default () => { for (;;); };");
    expect({ signal, out }).to.deep.equal({ signal: null, out: "500" });
  });
});
