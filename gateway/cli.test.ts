import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { onTerminal } from "../test/support/terminal.ts";
import { FixturePrimary } from "./primary/fixtures/run.ts";

const root = join(import.meta.dirname, "..");
const cli = join(root, "gateway", "cli.ts");

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The test's own environment without what would change the commands' behaviour. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SLUICE|CONSUL|DOCKER)_/.test(name)),
);

async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    stderr += chunk;
  });
  await once(child, "close");
  return { status: child.exitCode, stdout, stderr };
}

function sluice(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const options = { env: { ...environment, ...env } };
  return outcomeOf(spawn(process.execPath, [cli, ...args], options));
}

describe("commands", () => {
  const oneLiners: readonly (readonly [args: string, stderr: string])[] = [
    ["fly", "sluice: unknown command 'fly'\n"],
    ["start --htpp 1", "sluice: unknown option '--htpp' (Did you mean --http?)\n"],
    ["start --http", "sluice: option '--http <ADDRESS:PORT>' argument missing\n"],
    ["start --workers none", 'sluice: --workers: "none" is not a whole number from 1 to 256\n'],
    ["status --admin nowhere", 'sluice: --admin: "nowhere" is not ADDRESS:PORT, for example'],
    ["explain --admin 127.0.0.1:1", "sluice: missing required argument 'METHOD'\n"],
    ["explain x --admin 127.0.0.1:y", 'sluice: --admin: "127.0.0.1:y" is not ADDRESS:PORT'],
    ["registrator --docker ssh://x", "sluice: --docker: not supported; it takes unix:///path or"],
    ["registrator --resync often", "sluice: --resync takes a whole number of seconds"],
  ];
  for (const [args, expected] of oneLiners) {
    it(`end "${args}" with status 2 and one line`, async () => {
      const { status, stdout, stderr } = await sluice(args.split(" "));
      expect({ status, stdout }).to.deep.equal({ status: 2, stdout: "" });
      expect(stderr).to.match(/^[^\n]+\n$/);
      expect(stderr.slice(0, expected.length)).to.equal(expected);
    });
  }

  it("explain a URL alone as a request with GET", async () => {
    const { stderr } = await sluice(["explain", "http://a.example/", "--admin", "127.0.0.1:1"]);
    expect(stderr).to.contain("/explain?method=GET&url=http%3A%2F%2Fa.example%2F&");
  });

  it("name the variable that is wrong", async () => {
    const { status, stderr } = await sluice(["start"], { SLUICE_HTTPX: "1" });
    expect(status).to.equal(2);
    expect(stderr).to.equal(
      "sluice: SLUICE_HTTPX: no setting has this name (see sluice start --help)\n",
    );
  });

  it("list every setting with its variable in the help of start", async () => {
    const { status, stdout } = await sluice(["start", "--help"]);
    expect(status).to.equal(0);
    expect(stdout).to.match(/--drain-timeout <DURATION>[^-]+SLUICE_DRAIN_TIMEOUT/);
  });

  it("say which version they are, and in a checkout of which commit", async () => {
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    const { status, stdout } = await sluice(["--version"]);
    expect(status).to.equal(0);
    expect(stdout.startsWith(version)).to.equal(true);
    expect(stdout).to.match(/^\S+( \(commit [0-9a-f]{12}\))?\n$/);
  });

  for (const args of ["help script push", "script push --help", "script help push"]) {
    it(`explain a nested command: sluice ${args}`, async () => {
      const { status, stdout } = await sluice(args.split(" "));
      expect(status).to.equal(0);
      expect(stdout).to.contain("Usage: sluice script push [options] <FILE>");
    });
  }

  it("list the flags of the registrator in its help, however it is asked for", async () => {
    for (const args of [
      ["help", "registrator"],
      ["registrator", "--help"],
    ]) {
      expect((await sluice(args)).stdout).to.contain("--resync <seconds>");
    }
  });

  describe("status", () => {
    let primary: FixturePrimary | null = null;

    afterEach(async () => {
      await primary?.end();
      primary = null;
    });

    it("says in one line that no gateway answers", async () => {
      const { status, stderr } = await sluice(["status"], { SLUICE_ADMIN: "127.0.0.1:1" });
      expect(status).to.equal(1);
      expect(stderr).to.match(
        /^sluice: no gateway answers at http:\/\/127\.0\.0\.1:1\/status: .+\n$/,
      );
    });

    it("takes the variable of whoever started it for no setting", async () => {
      const env = { SLUICE_ADMIN: "127.0.0.1:1", SLUICE_STARTER: "1" };
      expect((await sluice(["status"], env)).stderr).to.contain("no gateway answers");
    });

    it("says so when something else answers there", async () => {
      const server = createServer((_request, response) => response.end("hello"));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const { status, stderr } = await sluice(["status", "--admin", `127.0.0.1:${port}`]);
      server.close();
      expect(status).to.equal(1);
      expect(stderr).to.contain("is no gateway's status");
    });

    it("shows people aligned lines, and programs JSON, also in a pipe without being told", async () => {
      primary = new FixturePrimary({ flags: { workers: "1" } });
      primary.tell({ type: "ready" });
      const { boot } = await primary.statusWhen("ready", ({ notReady }) => notReady === null);
      const admin = `127.0.0.1:${await primary.adminPort()}`;
      const { shown } = await onTerminal(["status", "--admin", admin]);
      expect(shown).to.contain(`(boot ${boot})`);
      expect(shown).to.match(/^ready {5}yes$/m);
      expect(shown).to.match(/^ {2}pid +state +version +lag/m);
      for (const flags of [["--json"], []]) {
        const programs = await sluice(["status", "--admin", admin, ...flags]);
        expect(JSON.parse(programs.stdout)).to.include({ boot, notReady: null });
      }
    });
  });
});

describe("tools/sluice.mjs", () => {
  let directory = "";

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-bin-"));
    await symlink(join(root, "tools", "sluice.mjs"), join(directory, "sluice"));
  });
  after(() => rm(directory, { recursive: true }));

  it("runs the commands through a symlink, from anywhere", async () => {
    const child = spawn(join(directory, "sluice"), ["fly"], { cwd: directory, env: environment });
    expect(await outcomeOf(child)).to.deep.equal({
      status: 2,
      stdout: "",
      stderr: "sluice: unknown command 'fly'\n",
    });
  });
});
