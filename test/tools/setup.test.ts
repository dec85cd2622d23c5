import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import * as z from "zod";

const root = join(import.meta.dirname, "..", "..");
const version = "26.10.0";

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      integrity: z.string().optional(),
      resolved: z.string().optional(),
      hasInstallScript: z.boolean().optional(),
      os: z.union([z.string(), z.array(z.string())]).optional(),
      cpu: z.union([z.string(), z.array(z.string())]).optional(),
    }),
  ),
});

async function lockedPackages() {
  return lockSchema.parse(JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")))
    .packages;
}

/** Runs a program to its end. */
async function run(command: string, args: readonly string[], cwd: string, env = process.env) {
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { status: child.exitCode, stdout, stderr };
}

describe("what is installed", () => {
  it("has a hash in the lock file, package by package, Node's binaries included", async () => {
    const packages = Object.entries(await lockedPackages()).filter(([path]) => path !== "");
    const without = packages.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? ""));
    expect(without).to.deep.equal([]);
    const binaries = packages
      .filter(([path]) => /^node_modules\/node-(bin-)?(linux|darwin)-/.test(path))
      .map(([, entry]) => `${entry.os} ${entry.cpu} ${entry.version}`);
    expect(binaries).to.have.members(
      ["darwin arm64", "darwin x64", "linux arm64", "linux x64"].map((one) => `${one} ${version}`),
    );
  });

  it("names no place that a package must come from", async () => {
    const placed = Object.values(await lockedPackages()).filter((one) => one.resolved);
    expect(placed).to.deep.equal([]);
  });
});

/** A project with nothing but Node's binary to install, and a registry that has it. */
describe("the setup step", () => {
  let folder = "";
  let registry: Server;
  let name = "";
  let tarball: Buffer;

  before(async () => {
    const found = Object.entries(await lockedPackages()).find(
      ([path, { os, cpu }]) =>
        path.startsWith("node_modules/node-") && os === process.platform && cpu === process.arch,
    );
    name = found?.[0].slice("node_modules/".length) ?? "";
    const made = await mkdtemp(join(tmpdir(), "sluice-tarball-"));
    await mkdir(join(made, "package", "bin"), { recursive: true });
    await writeFile(
      join(made, "package", "package.json"),
      JSON.stringify({ name, version, bin: { node: "bin/node" } }),
    );
    const binary = join(made, "package", "bin", "node");
    await writeFile(binary, "#!/bin/sh\necho ours\n", { mode: 0o755 });
    await run("tar", ["-czf", "node.tgz", "package"], made);
    tarball = await readFile(join(made, "node.tgz"));
    await rm(made, { recursive: true });
    registry = createServer((request, response) => {
      const { port } = registry.address() as AddressInfo;
      if (request.url?.endsWith(".tgz")) {
        response.end(tarball);
        return;
      }
      const dist = { tarball: `http://127.0.0.1:${port}/node.tgz`, integrity: hashOf(tarball) };
      const manifest = { name, version, bin: { node: "bin/node" }, dist };
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify({
          name,
          "dist-tags": { latest: version },
          versions: { [version]: manifest },
        }),
      );
    });
    registry.listen(0, "127.0.0.1");
    await once(registry, "listening");
  });

  after(() => {
    registry.closeAllConnections();
    registry.close();
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-setup-"));
    await mkdir(join(folder, "gateway", "worker"), { recursive: true });
    await mkdir(join(folder, "tools"));
    await writeFile(join(folder, "gateway", "worker", "worker.ts"), "");
    for (const file of ["setup.mjs", "node-binary.mjs"]) {
      await cp(join(root, "tools", file), join(folder, "tools", file));
    }
  });

  afterEach(() => rm(folder, { recursive: true }));

  function hashOf(bytes: Buffer): string {
    return `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  }

  /** Writes the project with the hash that its lock file has for the binary, and sets it up. */
  async function setUp(integrity: string) {
    const project = { name: "x", version: "1.0.0", optionalDependencies: { [name]: version } };
    const entry = { version, integrity, optional: true, bin: { node: "bin/node" } };
    const packages = { "": project, [`node_modules/${name}`]: entry };
    const lock = { name: "x", version: "1.0.0", lockfileVersion: 3, requires: true, packages };
    await writeFile(join(folder, "package.json"), JSON.stringify(project));
    await writeFile(join(folder, "package-lock.json"), JSON.stringify(lock));
    const { port } = registry.address() as AddressInfo;
    const env = {
      ...process.env,
      npm_config_registry: `http://127.0.0.1:${port}/`,
      npm_config_cache: join(folder, "cache"),
      npm_config_fetch_retries: "0",
    };
    return run(process.execPath, ["tools/setup.mjs"], folder, env);
  }

  const link = () => join(folder, "node_modules", ".bin", "node");

  it("installs the binary whose hash the lock file has, and makes it the scripts' node", async () => {
    const { status, stderr } = await setUp(hashOf(tarball));
    expect({ status, stderr }).to.include({ status: 0 });
    expect((await run(link(), [], folder)).stdout).to.equal("ours\n");
    // npm 10 leaves the link out; and nothing is installed a second time.
    await rm(link());
    const again = await setUp(hashOf(tarball));
    expect(again).to.deep.equal({ status: 0, stdout: "", stderr: "" });
    expect((await run(link(), [], folder)).stdout).to.equal("ours\n");
  });

  it("takes no binary whose hash is another", async () => {
    const { status, stderr } = await setUp(hashOf(Buffer.from("another")));
    expect(status).to.equal(1);
    expect(stderr).to.contain(`npm left out ${name}`);
  });

  it("installs anew when the lock file has another hash than what is installed", async () => {
    await setUp(hashOf(tarball));
    const { status, stderr } = await setUp(hashOf(Buffer.from("another")));
    expect(status).to.equal(1);
    expect(stderr).to.contain("installing dependencies");
    expect(stderr).to.contain(`npm left out ${name}`);
  });
});
