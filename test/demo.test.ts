import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { until } from "./support/conditions.ts";
import { type CurlAnswer, curl } from "./support/curl.ts";
import { freePort } from "./support/ports.ts";

const cli = fileURLToPath(new URL("../gateway/cli.ts", import.meta.url));
const lastLine = "Ctrl-C ends everything.";

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

/** All processes below `root`, whatever their process group. */
function descendants(root: number): readonly number[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
    .trim()
    .split("\n");
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number));
  const found = new Set([root]);
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const [pid = 0, parent = 0] of pairs) if (found.has(parent)) found.add(pid);
  }
  found.delete(root);
  return [...found];
}

interface Ports {
  readonly agent?: number;
  readonly http?: number;
}

/** A demo in a process group and a temporary directory of its own. */
class RunningDemo {
  readonly process: ChildProcess;
  readonly temporary = mkdtempSync(join(tmpdir(), "sluice-demo-test-"));
  readonly ended: Promise<number | string>;
  output = "";
  errors = "";
  hasEnded = false;
  #family: readonly number[] = [];

  private constructor(ports: Readonly<Record<string, number>>) {
    const flags = Object.entries(ports).flatMap(([name, port]) => [
      `--${name}`,
      `127.0.0.1:${port}`,
    ]);
    this.process = spawn(process.execPath, [cli, "demo", ...flags], {
      detached: true,
      env: { ...process.env, TMPDIR: this.temporary },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
    });
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
    // `close`, not `exit`: what it wrote has all arrived by then.
    this.ended = once(this.process, "close").then(([status, signal]) => {
      this.hasEnded = true;
      return signal ?? status;
    });
  }

  /** Without a port: any free one that nothing takes before the demo does. */
  static async start(ports: Ports): Promise<RunningDemo> {
    return new RunningDemo({
      agent: ports.agent ?? (await freePort()),
      http: ports.http ?? (await freePort()),
      internal: await freePort(),
      admin: await freePort(),
    });
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  get family(): readonly number[] {
    return this.#family;
  }

  async ready(): Promise<void> {
    await until("the demo is ready", () => this.output.includes(lastLine) || this.hasEnded, {
      deadlineMs: 180_000,
      describe: () => [this.output, this.errors],
    });
    if (!this.output.includes(lastLine))
      throw new Error(`the demo ended before it was ready: ${this.output}${this.errors}`);
    this.#family = descendants(this.pid);
  }

  command(pattern: RegExp): string {
    const found = this.output.split("\n").find((line) => pattern.test(line));
    expect(found, `a command like ${pattern}`).to.be.a("string");
    return found ?? "";
  }

  /** Nothing that it started runs, and nothing of what it wrote is there. */
  async leftNothing(): Promise<void> {
    await until("every process of the demo has ended", () => !this.#family.some(isAlive), {
      describe: () => this.#family.filter(isAlive),
    });
    const left = () => [...this.#others(), ...readdirSync(this.temporary)];
    await until("it has left nothing", () => left().length === 0, { describe: left });
  }

  /** What was started after the family was looked at: the directory is in its arguments, too. */
  #others(): readonly string[] {
    const all = execFileSync("ps", ["-A", "-o", "args="], { encoding: "utf8" }).split("\n");
    return all.filter((line) => line.includes(this.temporary));
  }

  /** For a test that failed half-way. */
  async cleanUp(): Promise<void> {
    const family = [...new Set([...this.#family, ...descendants(this.pid)])];
    if (!this.hasEnded) this.process.kill("SIGKILL");
    for (const pid of family) kill(pid);
    await this.ended;
    await until("they have ended", () => !family.some(isAlive));
    rmSync(this.temporary, { recursive: true, force: true });
  }
}

describe("the demo", function () {
  this.timeout(600_000);
  let demo: RunningDemo | null = null;
  let taken: Server | null = null;

  afterEach(async () => {
    await demo?.cleanUp();
    demo = null;
    if (taken !== null) {
      taken.close();
      await once(taken, "close");
      taken = null;
    }
  });

  async function start(ports: Ports = {}): Promise<RunningDemo> {
    demo = await RunningDemo.start(ports);
    return demo;
  }

  async function takePort(): Promise<number> {
    const port = await freePort();
    taken = createServer().listen(port, "127.0.0.1");
    await once(taken, "listening");
    return port;
  }

  /** Carries the command out until the answer is as it should be. */
  async function shows(command: string, isRight: (answer: CurlAnswer) => boolean): Promise<void> {
    let last: CurlAnswer | null = null;
    let right = false;
    let busy = false;
    await until(
      `this shows what it should: ${command}`,
      () => {
        if (!right && !busy) {
          busy = true;
          void curl(command).then(
            (answer) => {
              last = answer;
              right = isRight(answer);
              busy = false;
            },
            () => {
              busy = false;
            },
          );
        }
        return right;
      },
      { describe: () => last },
    );
  }

  it("shows with each of its commands what it says, and ends with Ctrl-C without a trace", async () => {
    const running = await start({ agent: await takePort() });
    await running.ready();
    expect(running.output).to.contain("already: the demo's agent uses");

    const shop = running.command(/^curl -H 'Host: shop\.example\.com' \S+\/$/);
    const seen = new Set<string>();
    for (let i = 0; i < 8; i += 1) {
      const answer = await curl(shop);
      expect(answer.status).to.equal(200);
      seen.add(answer.body.slice(0, 5));
    }
    expect([...seen]).to.have.members(["web-1", "web-2"]);

    const api = await curl(running.command(/\/api\/items$/));
    expect(api.body).to.match(/^api-1 .* GET \/api\/items for shop\.example\.com$/m);
    expect((await curl(running.command(/web\.service\.consul/))).body).to.match(/^web-[12] /);
    const hidden = await curl(running.command(/-i -H 'Host: api\.service\.consul'/));
    expect(hidden.status).to.equal(404);
    const inside = await curl(running.command(/^curl -H 'Host: api\.service\.consul'/));
    expect(inside.body).to.match(/^api-1 .* for api\.service\.consul$/m);

    const refused = await curl(running.command(/-X DELETE/));
    expect(refused.status).to.equal(403);
    expect(refused.body).to.contain("DELETE is switched off here");

    const put = await curl(running.command(/-X PUT/));
    expect(put).to.deep.include({ status: 200 });
    expect(put.body).to.contain("true");
    await shows(
      running.command(/-H 'Host: hello\.example\.com'/),
      ({ status, body }) => status === 200 && body === "hello from hello.example.com\n",
    );

    const pid = Number(running.command(/^kill \d+$/).slice("kill ".length));
    expect(running.family).to.include(pid);
    process.kill(pid, "SIGTERM");
    await until("the end of web-2 is told", () => running.output.includes("[web-2 has ended"));
    for (let i = 0; i < 8; i += 1) {
      const answer = await curl(shop);
      expect([answer.status, answer.body.slice(0, 5)]).to.deep.equal([200, "web-1"]);
    }

    const status = await curl(running.command(/\/status$/));
    expect(status.status).to.equal(200);
    expect(JSON.parse(status.body)).to.be.an("object").that.has.property("workers");

    process.kill(-running.pid, "SIGINT");
    expect(await running.ended).to.equal(0);
    expect(running.errors).to.equal("");
    await running.leftNothing();
  });

  it("leaves nothing behind when it is killed outright", async () => {
    const running = await start();
    await running.ready();
    expect(running.family.length).to.be.at.least(7);
    process.kill(running.pid, "SIGKILL");
    expect(await running.ended).to.equal("SIGKILL");
    await running.leftNothing();
  });

  it("ends the rest and says why when its gateway dies", async () => {
    const running = await start();
    await running.ready();
    const commands = execFileSync("ps", ["-o", "pid=,args=", "-p", running.family.join()], {
      encoding: "utf8",
    });
    const gateway = commands.split("\n").find((line) => line.includes("cli.ts start --consul"));
    process.kill(Number.parseInt(gateway ?? "", 10), "SIGKILL");
    expect(await running.ended).to.equal(1);
    expect(running.errors).to.contain("the gateway ended with SIGKILL");
    await running.leftNothing();
  });

  it("ends what it has started when the signal comes before it is ready", async () => {
    const running = await start();
    await until("something is started", () => descendants(running.pid).length > 1);
    const family = descendants(running.pid);
    running.process.kill("SIGTERM");
    expect(await running.ended).to.equal(0);
    await until("all of it has ended", () => !family.some(isAlive));
    await running.leftNothing();
  });

  it("names the flag and the address when a port is in use, and starts nothing", async () => {
    const port = await takePort();
    const running = await start({ http: port });
    expect(await running.ended).to.equal(1);
    expect(running.errors.trim().split("\n")).to.have.lengthOf(1);
    expect(running.errors).to.contain(`--http 127.0.0.1:${port}: the port is in use`);
    expect(running.output).to.equal("");
    await running.leftNothing();
  });
});
