/** How processes end: what their output needs, what holds them up, and what started them. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "chai";
import { FixturePrimary } from "../../gateway/primary/fixtures/run.ts";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { cleanEnvironment } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..");
const cli = join(root, "gateway", "cli.ts");
const pipeBytes = 65_536;

describe("what a command prints", function () {
  this.timeout(180_000);
  let primary: FixturePrimary;
  let command = "";

  before(async () => {
    primary = new FixturePrimary({ flags: { workers: "1" } });
    const hosts = Array.from({ length: 400 }, (_, n) => `host-${n}.example.com`);
    for (const key of hosts) {
      const value = { text: "right", version: "1".repeat(64), modifyIndex: 1 };
      primary.emit({ kind: "script", key, value });
    }
    primary.tell({ type: "ready" });
    await primary.statusWhen("it has them all", ({ scripts }) => scripts.length === hosts.length);
    const admin = `127.0.0.1:${await primary.adminPort()}`;
    command = `"${process.execPath}" "${cli}" status --json --admin ${admin}`;
  });
  after(() => primary.end());

  /** Also gives the status of the command before the pipe. */
  const inShell = (line: string) =>
    run("bash", ["-c", `${line}; exit \${PIPESTATUS[0]}`], { maxBuffer: 1e8 });

  it("reaches a slow reader whole", async () => {
    const { stdout } = await inShell(`${command} | (sleep 1; cat)`);
    expect(stdout.length).to.be.above(2 * pipeBytes);
    expect(JSON.parse(stdout).scripts).to.have.length(400);
  });

  it("ends quietly with a reader that has seen enough", async () => {
    const { stdout, stderr } = await inShell(`${command} | (sleep 1; head -c 1)`);
    expect({ stdout, stderr }).to.deep.equal({ stdout: "{", stderr: "" });
  });

  it("is a failure in one line when it cannot be written", async () => {
    const failed = await inShell(`${command} >/dev/full`).catch((error) => error);
    expect(failed).to.include({ code: 1 });
    expect(failed.stderr).to.match(/^sluice: the output cannot be written: [^\n]*ENOSPC[^\n]*\n$/);
  });
});

describe("what holds up the end of", function () {
  this.timeout(180_000);
  let directory = "";

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-endings-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  for (const what of ["start", "agent"] as const) {
    it(`sluice ${what}: a data directory that blocks`, async () => {
      const files = { start: "last-known-good.snapshot", agent: "state.json" };
      // Opened for reading, it blocks until somebody writes.
      await run("mkfifo", [join(directory, files[what])]);
      const flags = {
        start: [
          "--consul",
          "http://127.0.0.1:1",
          "--admin",
          "127.0.0.1:0",
          "--drain-timeout",
          "1s",
        ],
        agent: [],
      };
      const args = [what, "--http", "127.0.0.1:0", "--data-dir", directory, ...flags[what]];
      const child = spawn(process.execPath, [cli, ...args], {
        env: cleanEnvironment,
        stdio: ["ignore", "pipe", "pipe"],
      });
      const output = text(child.stdout);
      const exit = once(child, "exit");
      try {
        // It blocks once it has opened the file, which a thread of its own does.
        await until("a thread of it waits for the file", () => isBlocked(child.pid ?? 0), {
          deadlineMs: 60_000,
        });
        child.kill("SIGTERM");
        const [status, signal] = await exit;
        expect({ status, signal }).to.deep.equal({ status: null, signal: "SIGTERM" });
      } finally {
        child.kill("SIGKILL");
      }
      expect(await output).to.contain("ending at once: it did not end within");
    });
  }

  it("sluice start: a log that nobody reads", async () => {
    const child = spawn(
      process.execPath,
      [
        ...[cli, "start", "--consul", "http://127.0.0.1:1", "--log-level", "trace"],
        // It may take its time to end on a busy machine, but not for ever.
        ...["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--drain-timeout", "30s"],
      ],
      { env: cleanEnvironment, stdio: ["ignore", "pipe", "ignore"] },
    );
    const exit = once(child, "exit");
    // Its first words tell that it has started; nothing is read after them.
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes("admin API")) child.stdout.pause();
    });
    await until("it has started", () => said.includes("admin API"), {
      deadlineMs: 60_000,
      describe: () => said,
    });
    // Each of these is a line, until the pipe holds no more.
    const filling = setInterval(() => child.kill("SIGUSR1"), 1);
    await sleep(1_500);
    clearInterval(filling);
    child.kill("SIGTERM");
    expect(await exit).to.deep.equal([0, null]);
  });
});

/** Whether a thread of the process waits for the other side of a FIFO. */
function isBlocked(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.some((thread) => /fifo|partner/.test(waitsIn(pid, thread)));
}

/** What the kernel says a thread waits in; empty: the thread has ended. */
function waitsIn(pid: number, thread: string): string {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/wchan`, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return "";
  }
}

describe("whoever starts a command", function () {
  this.timeout(180_000);
  const agent = ["agent", "--http", "127.0.0.1:0"];
  let directory = "";

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-starter-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    it(`npx: the command ends with it after ${signal}`, async () => {
      const bin = { sluice: "run.mjs" };
      await writeFile(join(directory, "package.json"), JSON.stringify({ name: "x", bin }));
      const line = `await import(${JSON.stringify(join(root, "tools", "sluice.mjs"))});`;
      await writeFile(join(directory, "run.mjs"), `#!/usr/bin/env node\n${line}\n`, {
        mode: 0o755,
      });
      const npx = spawn("npx", ["sluice", ...agent], {
        cwd: directory,
        env: {
          ...cleanEnvironment,
          npm_config_cache: join(directory, "cache"),
          npm_config_update_notifier: "false",
          npm_config_offline: "true",
        },
        stdio: ["ignore", "pipe", "inherit"],
      });
      // Everything that it started has this open.
      const closed = once(npx.stdout, "close");
      const [first] = await once(npx.stdout, "data");
      expect(String(first)).to.contain("sluice-agent");
      npx.stdout.resume();
      npx.kill(signal);
      await closed;
    });

    it(`tools/sluice.mjs on an older Node: the command ends with it after ${signal}`, async () => {
      // As it does: a child that knows who started it. This one passes nothing on.
      const launcher = `
        const { spawn } = require("node:child_process");
        const env = { ...process.env, SLUICE_STARTER: String(process.pid) };
        spawn(process.execPath, ${JSON.stringify([cli, ...agent])}, { env, stdio: "inherit" });`;
      const child = spawn(process.execPath, ["-e", launcher], {
        env: cleanEnvironment,
        stdio: ["ignore", "pipe", "inherit"],
      });
      const closed = once(child.stdout, "close");
      await once(child.stdout, "data");
      child.stdout.resume();
      child.kill(signal);
      await closed;
    });
  }
});

// Consul has no part in it.
const [kind] = consulKinds();
if (kind !== undefined)
  describe("SIGUSR1", function () {
    this.timeout(180_000);
    let scene: Scene;
    let directory = "";

    before(async () => {
      scene = await Scene.open(kind);
      directory = await mkdtemp(join(tmpdir(), "sluice-rotated-"));
    });
    after(async () => {
      await scene?.close();
      await rm(directory, { recursive: true });
    });

    const lines = async (file: string) =>
      (await readFile(join(directory, file), "utf8")).split("\n").filter((line) => line !== "");

    it("opens the access log anew in every worker, and loses no record", async () => {
      const file = join(directory, "access.log");
      const gateway = await scene.start({ flags: ["--access-log", file], workers: 2 });
      const ask = async (count: number) => {
        for (let n = 0; n < count; n += 1) await gateway.request({ host: homeHost });
      };
      const pids = (await gateway.status()).workers.map(({ pid }) => pid);
      await ask(20);
      await rename(file, `${file}.1`);
      gateway.signal("SIGUSR1");
      await eventually("every worker has the new file open and the old one closed", async () => {
        for (const pid of pids) {
          const { stdout } = await run("ls", ["-l", `/proc/${pid}/fd`]);
          const isDone = stdout.includes(file) && !stdout.includes(`${file}.1`);
          if (!isDone) throw new Error(stdout);
        }
      });
      const before = (await lines("access.log.1")).length;
      await ask(20);
      await eventually("every request is in one of the files", async () => {
        const count = (await lines("access.log")).length;
        expect(count + before).to.equal(40);
        expect(count).to.be.at.least(20);
      });
    });

    it("opens no debugger in any process, whoever is sent it", async () => {
      const gateway = await scene.start({ workers: 1 });
      const pids = [gateway.pid, ...(await gateway.status()).workers.map(({ pid }) => pid)];
      for (const pid of pids) process.kill(pid, "SIGUSR1");
      await gateway.statusWhen("it has reopened its log", () =>
        gateway.records.some(({ signal }) => signal === "SIGUSR1"),
      );
      // What it says when it opens one would be here: "Debugger listening on ...".
      expect((await gateway.request({ host: homeHost })).status).to.equal(200);
      expect(gateway.errors).to.equal("");
    });
  });
