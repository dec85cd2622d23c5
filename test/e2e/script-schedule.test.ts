/** A script that its schedule keeps out of service, across a restart from the data directory. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const host = "closed.example";

/** Opens in half an hour, for a minute. */
function laterToday(): string {
  const [from, to] = [30, 31].map((minutes) => {
    const time = new Date(Date.now() + minutes * 60_000);
    return `${time.getUTCMinutes()} ${time.getUTCHours()} * * *`;
  });
  return `export const schedule = ${JSON.stringify({ from, to })};
    export default () => deny(418);`;
}

for (const kind of consulKinds())
  describe(`a script outside its schedule with ${kind.name}`, function () {
    this.timeout(600_000);
    let scene: Scene;
    let directory = "";

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "sluice-schedule-"));
      scene = await Scene.open(kind);
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      await scene.writes.put(`scripts/${host}`, laterToday());
      // So that the folder is not empty once the other one is gone: that would be held.
      await scene.writes.put("scripts/other.example", "export default () => deny(418);");
      const gateway = await scene.start({ flags: ["--data-dir", directory] });
      await isOpen(gateway);
      await gateway.statusWhen("it is closed, and on disk", (status) => {
        const { scripts, snapshotFile, version } = status;
        const isClosed = scripts.some((one) => one.host === host && one.life.closedUntil !== null);
        return isClosed && snapshotFile?.version === version;
      });
      await gateway.stop();
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await scene?.close();
      await rm(directory, { recursive: true, force: true });
    });

    /** Until the host is served without the script: until that is examined it answers 503. */
    async function isOpen(gateway: TestGateway): Promise<void> {
      await eventually("it is served without the script", async () =>
        expect((await gateway.request({ host })).status).to.equal(200),
      );
    }

    const launch = () => {
      const flags = ["--data-dir", directory];
      const gateway = TestGateway.launch({ consul: scene.consul.url, flags });
      scene.later(() => gateway.stop());
      return gateway;
    };

    it("is known to a gateway that starts while Consul is down, and when it opens", async () => {
      await scene.consul.kill();
      const gateway = launch();
      await gateway.ready();
      const { scripts } = await gateway.statusWhen("its schedule is read", (status) =>
        status.scripts.some((one) => one.host === host && one.life.closedUntil !== null),
      );
      const script = scripts.find((one) => one.host === host);
      expect(script?.version).to.equal(null);
      expect(Date.parse(script?.life.closedUntil ?? "")).to.be.above(Date.now());
      await isOpen(gateway);
      await scene.consul.restart({ keepData: true });
    });

    it("is gone when it was removed while the gateway was away", async () => {
      await scene.writes.remove(`scripts/${host}`);
      const gateway = launch();
      await gateway.statusWhen("Consul's answers are in", ({ scripts, version }) => {
        return version > 1 && !scripts.some((one) => one.host === host);
      });
      await gateway.ready();
      await gateway.caughtUp();
      expect((await gateway.request({ host: homeHost })).status).to.equal(200);
    });
  });
