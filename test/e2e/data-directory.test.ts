/** What a gateway keeps in its data directory, and what it does when that directory is not as it should be. */
import { spawnSync } from "node:child_process";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { type EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

for (const kind of consulKinds())
  describe(`the data directory of a gateway with ${kind.name}`, function () {
    this.timeout(240_000);
    let scene: Scene;
    let directory = "";

    before(async () => {
      scene = await Scene.open(kind);
    });
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), "sluice-data-"));
    });
    afterEach(async () => {
      await scene.endTest();
      await rm(directory, { recursive: true, force: true });
    });
    after(() => scene?.close());

    it("has what is held, so that a restart after Consul lost its data takes nothing away", async () => {
      const { writes } = scene;
      const instances: EchoOrigin[] = [];
      for (const at of [1, 2, 3]) instances.push(await scene.origin(`instance-${at}`));
      const register = (origin: EchoOrigin) =>
        writes.register({ id: `kept-${origin.port}`, name: "kept", port: origin.port });
      for (const origin of instances) await register(origin);
      const hosts = ["one", "two", "three"].map((name) => `${name}.held.example`);
      for (const host of hosts) await writes.put(`hosts/${host}`, { paths: { "/": "kept" } });
      const flags = ["--expose", "all", "--data-dir", directory];
      const gateway = await scene.start({ flags });
      const everythingServes = (of: typeof gateway) =>
        eventually("every host and every instance serves", async () => {
          const seen = new Set<unknown>();
          for (const host of [...hosts, ...hosts])
            seen.add(echoOf(await of.request({ host })).origin);
          expect(seen.size).to.equal(instances.length);
          expect(echoOf(await of.request({ host: homeHost })).origin).to.equal("home");
        });
      await everythingServes(gateway);
      await gateway.statusWhen(
        "the file has the current version",
        ({ version, snapshotFile }) => snapshotFile?.version === version,
      );

      await scene.consul.restart({ keepData: false });
      // One document and one instance are back before the gateway looks.
      await writes.put(`hosts/${hosts[0]}`, { paths: { "/": "kept" } });
      if (instances[0] !== undefined) await register(instances[0]);
      const again = await scene.start({ flags });
      await eventually("it holds the rest", async () => {
        const { consul, held } = await again.status();
        expect(consul.stale).to.equal(null);
        expect(held.map(({ kind: what, key }) => `${what} ${key}`)).to.include.members([
          ...[`host ${hosts[1]}`, `host ${hosts[2]}`, `host ${homeHost}`],
          ...["upstream home", "service kept"],
        ]);
      });
      await everythingServes(again);
      await scene.writeHome();
    });

    it("is one gateway's alone, however the one before has ended", async () => {
      const options = { consul: scene.consul.url, workers: 1, flags: ["--data-dir", directory] };
      const first = await TestGateway.start(options);
      scene.later(() => first.stop());
      const second = TestGateway.launch(options);
      scene.later(() => second.stop());
      expect(await second.ended).to.equal(1);
      expect(second.errors).to.equal(
        `sluice: --data-dir ${directory}: another gateway that runs here uses it; give each one of its own\n`,
      );
      first.signal("SIGKILL");
      await first.ended;
      const third = await TestGateway.start(options);
      scene.later(() => third.stop());
      expect(await third.stop()).to.equal(0);
      const fourth = await TestGateway.start(options);
      scene.later(() => fourth.stop());
    });

    for (const [what, path] of [
      ["that cannot be made", () => "/proc/nope"],
      ["in whose place a file is", () => join(directory, "file")],
    ] as const) {
      it(`${what}: the gateway serves, and says so`, async () => {
        await writeFile(join(directory, "file"), "");
        const gateway = await scene.start({ workers: 1, flags: ["--data-dir", path()] });
        expect(echoOf(await gateway.request({ host: homeHost })).origin).to.equal("home");
        const { snapshotFile } = await gateway.statusWhen(
          "it says that it cannot write",
          (status) => status.snapshotFile?.error?.startsWith("not written: ") ?? false,
        );
        expect(snapshotFile?.path).to.contain(path());
        const says = `--data-dir: ${path()}/admin-token cannot be used: `;
        await until("the log says what becomes of its token", () =>
          gateway.records.some(({ msg }) => msg.includes(says)),
        );
        // What it has made is left for commands all the same.
        expect((await gateway.admin("/resync", "POST")).status).to.equal(200);
      });
    }
  });

const why = whyNoMounts();

if (why === null)
  describe("a data directory on a small disk", function () {
    this.timeout(240_000);
    let scene: Scene;
    let disk = "";

    before(async () => {
      const [kind] = consulKinds();
      if (kind === undefined) throw new Error("there is always the embedded agent");
      scene = await Scene.open(kind);
      disk = await mkdtemp(join(tmpdir(), "sluice-disk-"));
      mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", disk);
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await scene?.close();
      if (disk === "") return;
      spawnSync("umount", ["--lazy", disk]);
      await rm(disk, { recursive: true, force: true });
    });

    const start = () => scene.start({ workers: 1, flags: ["--data-dir", disk] });
    const written = (gateway: TestGateway) =>
      gateway.statusWhen(
        "the file has the current version",
        ({ version, snapshotFile }) =>
          snapshotFile?.version === version && snapshotFile.error === null,
      );

    it("that is full: the gateway starts, serves and says so; what is on it stays, and it is written once there is room", async () => {
      await written(await start());
      const fill = join(disk, "fill");
      await writeFile(fill, Buffer.alloc(1));
      for (const bytes of [1_048_576, 65_536, 4_096]) {
        while (await appendFile(fill, Buffer.alloc(bytes)).then(() => true, isFull));
      }
      const gateway = await start();
      await scene.writes.put("hosts/full.example", { paths: { "/": "home" } });
      const { snapshotFile } = await gateway.statusWhen(
        "it says that the disk is full",
        (status) => status.snapshotFile?.error?.includes("ENOSPC") ?? false,
      );
      expect(snapshotFile?.loadedFrom).to.be.a("string");
      await gateway.caughtUp();
      for (const host of [homeHost, "full.example"])
        expect(echoOf(await gateway.request({ host })).origin).to.equal("home");

      // Killed, and started with neither Consul nor room: what was on the disk is served.
      gateway.signal("SIGKILL");
      await gateway.ended;
      await scene.consul.kill();
      const alone = await start();
      expect(echoOf(await alone.request({ host: homeHost })).origin).to.equal("home");
      await scene.consul.restart({ keepData: true });
      await rm(fill);
      await scene.writes.put("hosts/full.example", { paths: { "/": "home", "/a": "home" } });
      await written(alone);
    });

    it("that is read-only: the gateway serves the last known good state, and says that it cannot write", async () => {
      const before = await start();
      await written(before);
      // The disk would be busy while a file there is being written.
      await before.stop();
      mount("-o", "remount,ro", disk);
      scene.later(() => mount("-o", "remount,rw", disk));
      const gateway = await start();
      await scene.writes.put("hosts/later.example", { paths: { "/": "home" } });
      const { snapshotFile } = await gateway.statusWhen(
        "it says so",
        (status) => status.snapshotFile?.error?.includes("EROFS") ?? false,
      );
      expect(snapshotFile?.loadedFrom).to.be.a("string");
      await eventually("what came later is served", async () => {
        expect(echoOf(await gateway.request({ host: "later.example" })).origin).to.equal("home");
      });
    });
  });

function isFull(error: NodeJS.ErrnoException): boolean {
  if (error.code !== "ENOSPC") throw error;
  return false;
}

function mount(...args: readonly string[]): void {
  const { status, stderr } = spawnSync("mount", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`mount ${args.join(" ")}: ${stderr}`);
}

/** Why no file system can be mounted here; `null`: one can. Throws when real parts are required. */
function whyNoMounts(): string | null {
  if (process.getuid?.() === 0) return null;
  if (process.env.SLUICE_REQUIRE_REAL === "1") throw new Error("mounting a small disk needs root");
  return "mounting a small disk needs root";
}
