/** A gateway that starts while Consul is down, from what the one before it wrote to the data directory. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { type GatewayAnswer, TestGateway } from "../support/gateway.ts";
import { homeHost, Scene } from "./scene.ts";

const from = (name: string) => (answer: GatewayAnswer) =>
  expect(echoOf(answer).origin).to.equal(name);

for (const kind of consulKinds())
  describe(`the last known good state with ${kind.name}`, function () {
    this.timeout(40_000);
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
      const gateway = await scene.start({ flags: ["--expose", "all", "--data-dir", directory] });
      from("service")(await gateway.request({ host: "kept" }));
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

    const launch = (dataDir: string) => {
      const gateway = TestGateway.launch({
        consul: scene.consul.url,
        flags: ["--expose", "all", "--data-dir", dataDir],
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
      from("home")(await gateway.request({ host: homeHost }));
      // Which datacenter is the own one is part of the state.
      for (const host of ["kept.service.consul", "kept.service.dc1.consul"])
        from("service")(await gateway.request({ host }));
      expect((await gateway.request({ host: "scripted.example" })).status).to.equal(418);
      const status = await gateway.statusWhen(
        "it says that Consul does not answer",
        ({ consul }) => consul.stale !== null,
      );
      expect(status.notReady).to.equal(null);
      expect(Date.parse(status.snapshotFile?.loadedFrom ?? "")).to.be.below(Date.now());
      expect(gateway.records.map(({ msg }) => msg).join("\n")).to.contain("last known good");
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
        const told = gateway.records.filter(({ msg }) => msg.includes(path));
        expect(told.map(({ msg }) => msg)).to.have.lengthOf(1);
        const status = await gateway.status();
        expect(status.notReady).to.not.equal(null);
        expect(status.snapshotFile?.error).to.be.a("string").and.not.equal("");
        expect(await gateway.stop()).to.equal(0);
        expect(await readFile(path)).to.deep.equal(broken);
      }
    });

    it("follows Consul again once it is back", async () => {
      const gateway = launch(directory);
      await gateway.ready();
      await scene.consul.restart({ keepData: true });
      await gateway.statusWhen("Consul answers", ({ consul }) => consul.stale === null);
      await scene.writes.put("hosts/back.example", { paths: { "/": "home" } });
      await gateway.statusWhen("a change arrived and is on disk", ({ version, snapshotFile }) => {
        return version > 1 && snapshotFile?.version === version;
      });
      from("home")(await gateway.request({ host: "back.example" }));
      from("service")(await gateway.request({ host: "kept" }));
      expect((await gateway.status()).held).to.deep.equal([]);
      await scene.consul.kill();
    });
  });
