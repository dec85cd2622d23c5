/** What a gateway keeps in its data directory, and what it does when that directory is not as it should be. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { type EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

for (const kind of consulKinds())
  describe(`the data directory of a gateway with ${kind.name}`, function () {
    this.timeout(60_000);
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
      const { held } = await again.statusWhen(
        "it holds the rest",
        (status) => status.consul.stale === null && status.held.length > 0,
      );
      expect(held.map(({ kind: what, key }) => `${what} ${key}`)).to.include.members([
        ...[`host ${hosts[1]}`, `host ${hosts[2]}`, `host ${homeHost}`],
        ...["upstream home", "service kept"],
      ]);
      await everythingServes(again);
      await scene.writeHome();
    });
  });
