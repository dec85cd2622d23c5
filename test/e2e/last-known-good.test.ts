/** A gateway that starts while Consul is down, from what the one before it wrote to the data directory. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { type GatewayAnswer, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const from = (name: string) => (answer: GatewayAnswer) =>
  expect(echoOf(answer).origin).to.equal(name);

for (const kind of consulKinds())
  describe(`the last known good state with ${kind.name}`, function () {
    this.timeout(300_000);
    let scene: Scene;
    let service: EchoOrigin;
    let directory = "";
    let file = "";

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "sluice-last-good-"));
      scene = await Scene.open(kind);
      service = await EchoOrigin.start("service");
      await scene.writes.register({ name: "kept", port: service.port });
      await scene.writes.put("scripts/scripted.example", "export default () => deny(418)");
      const gateway = await scene.start({ flags: flagsFor(directory) });
      await serves(gateway);
      const { version, snapshotFile } = await gateway.statusWhen(
        "the file has the current version",
        (status) => status.snapshotFile?.version === status.version,
      );
      expect(snapshotFile).to.include({ error: null, loadedFrom: null, version });
      file = snapshotFile?.path ?? "";
      await gateway.stop();
      await scene.consul.kill();
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await scene?.close();
      await service?.close();
      await rm(directory, { recursive: true, force: true });
    });

    // A machine that is busy is no reason for a service or a script to fail.
    const flagsFor = (dataDir: string) => [
      ...["--expose", "all", "--data-dir", dataDir],
      ...["--watch-timeout", "30s", "--script-timeout", "1s"],
    ];
    /** A script is examined at each start, and until then its host answers 503. */
    const serves = async (gateway: TestGateway) => {
      from("home")(await gateway.request({ host: homeHost }));
      // Which datacenter is the own one is part of the state.
      for (const host of ["kept", "kept.service.consul", "kept.service.dc1.consul"])
        from("service")(await gateway.request({ host }));
      await eventually("the script is examined", async () =>
        expect((await gateway.request({ host: "scripted.example" })).status).to.equal(418),
      );
    };
    const launch = (dataDir: string) => {
      const gateway = TestGateway.launch({
        consul: scene.consul.url,
        flags: flagsFor(dataDir),
      });
      scene.later(() => gateway.stop());
      return gateway;
    };

    it("is a single file that only its owner can read", async () => {
      // Beside the token that the gateway made for its admin API.
      const files = (await readdir(directory)).filter((name) => name !== "admin-token");
      expect(files).to.have.lengthOf(1);
      expect((await stat(file)).mode & 0o777).to.equal(0o600);
    });

    it("serves documents, services and scripts while Consul is down, and says so", async () => {
      const gateway = launch(directory);
      await gateway.ready();
      await serves(gateway);
      const status = await gateway.statusWhen(
        "it says that Consul does not answer",
        ({ consul }) => consul.stale !== null,
      );
      expect(status.notReady).to.equal(null);
      expect(Date.parse(status.snapshotFile?.loadedFrom ?? "")).to.be.below(Date.now());
      await until("the log says so", () =>
        gateway.records.some(({ msg }) => msg.includes("last known good")),
      );
    });

    it("names a file that is broken in one line, leaves it alone, and waits for Consul", async () => {
      const whole = await readFile(file);
      const other = await mkdtemp(join(tmpdir(), "sluice-broken-"));
      scene.later(() => rm(other, { recursive: true }));
      const path = join(other, file.slice(directory.length + 1));
      const flipped = Buffer.from(whole);
      const at = flipped.length - 10;
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      for (const broken of [whole.subarray(0, -20), flipped, Buffer.from("{}")]) {
        await writeFile(path, broken);
        const gateway = launch(other);
        await gateway.adminUp();
        const status = await gateway.status();
        expect(status.notReady).to.not.equal(null);
        expect(status.snapshotFile?.error).to.be.a("string").and.not.equal("");
        expect(await gateway.stop()).to.equal(0);
        const told = gateway.records.filter(({ msg }) => msg.includes(path));
        expect(told.map(({ msg }) => msg)).to.have.lengthOf(1);
        expect(await readFile(path)).to.deep.equal(broken);
      }
    });

    it("follows Consul again once it is back", async () => {
      const gateway = launch(directory);
      await gateway.ready();
      await scene.consul.restart({ keepData: true });
      await gateway.statusWhen("Consul answers", ({ consul }) => consul.stale === null);
      await scene.writes.put("hosts/back.example", { paths: { "/": "home" } });
      await eventually("a change arrived", async () =>
        from("home")(await gateway.request({ host: "back.example" })),
      );
      await gateway.statusWhen(
        "it is on disk, and nothing is held",
        ({ version, snapshotFile, held }) =>
          version > 1 && snapshotFile?.version === version && held.length === 0,
      );
      from("service")(await gateway.request({ host: "kept" }));
      await scene.consul.kill();
    });
  });
