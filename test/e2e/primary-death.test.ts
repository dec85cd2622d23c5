/** A primary that is killed outright, under a supervisor that holds the sockets and starts the gateway again. */
import { mkdtempSync, rmSync } from "node:fs";
import { BoundSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import { TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { SteadyLoad } from "../support/steady-load.ts";
import { homeHost, Scene } from "./scene.ts";

const [kind] = consulKinds();
const host = homeHost;

if (kind !== undefined)
  describe("a gateway whose sockets a supervisor holds", function () {
    this.timeout(600_000);
    let scene: Scene;
    let held: BoundSocket;
    const directory = mkdtempSync(join(tmpdir(), "sluice-held-"));
    const gateways: TestGateway[] = [];

    before(async () => {
      scene = await Scene.open(kind);
      held = new BoundSocket({ host: "127.0.0.1", port: 0 });
    });
    afterEach(async () => {
      await scene.endTest();
      for (const gateway of gateways.splice(0)) await gateway.stop();
    });
    after(async () => {
      await scene?.close();
      held?.close();
      rmSync(directory, { recursive: true, force: true });
    });

    const launch = () => {
      const gateway = TestGateway.launch({
        consul: scene.consul.url,
        heldSocket: held.fd(),
        flags: ["--data-dir", directory],
      });
      gateways.push(gateway);
      return gateway;
    };
    const pidsOf = async (gateway: TestGateway) =>
      (await gateway.status()).workers.map(({ pid }) => pid);
    const haveEnded = (pids: readonly number[]) => () =>
      pids.every((pid) => {
        try {
          process.kill(pid, 0);
          return false;
        } catch {
          return true;
        }
      });

    it("loses no request when its primary is killed, on kept and on new connections", async () => {
      let gateway = launch();
      await gateway.ready();
      const { port } = held.address() as { readonly port: number };
      expect(gateway.httpPort).to.equal(port);
      const kept = new SteadyLoad({ port, host, perSecond: 100, kept: 12 });
      const fresh = new SteadyLoad({ port, host, perSecond: 100, kept: 0 });
      scene.later(() => Promise.all([kept.stop(), fresh.stop()]));
      await until("the load runs", () => kept.good > 50 && fresh.good > 50);
      for (let times = 0; times < 2; times += 1) {
        const orphans = await pidsOf(gateway);
        const killedMs = performance.now();
        gateway.signal("SIGKILL");
        const [keptGood, freshGood] = [kept.good, fresh.good];
        // The supervisor takes its time.
        await until(
          "the orphans serve",
          () => kept.good > keptGood + 50 && fresh.good > freshGood + 50,
        );
        gateway = launch();
        await gateway.ready();
        await until("the orphans have ended", haveEnded(orphans), { deadlineMs: 60_000 });
        const tookMs = Math.round(performance.now() - killedMs);
        console.log(`      kill -9 of the primary to the end of its workers: ${tookMs} ms`);
      }
      const marks = [kept.good, fresh.good];
      await until(
        "the load goes on",
        () => kept.good > (marks[0] ?? 0) + 50 && fresh.good > (marks[1] ?? 0) + 50,
      );
      const results = await Promise.all([kept.stop(), fresh.stop()]);
      console.log(`      ${results.map(({ good }) => good).join(" + ")} requests`);
      expect(results.map(({ failures }) => failures)).to.deep.equal([{}, {}]);
      // A worker that ends closes connections that were idle for a second, which they are only while the load stands still.
      for (const { repeated, pausedMs } of results)
        if (pausedMs < 500) expect(repeated).to.equal(0);
    });

    it("ends its orphaned workers at SIGTERM, what runs being finished; new connections wait for the next gateway", async () => {
      const gateway = launch();
      await gateway.ready();
      const { port } = held.address() as { readonly port: number };
      const orphans = await pidsOf(gateway);
      const slow = gateway.request({ host, path: "/wait" });
      await until("the slow request is at the origin", () => scene.home.waiting === 1);
      gateway.signal("SIGKILL");
      await eventually("they are orphans, and take the signal", async () => {
        // One that has nothing to finish ends at once.
        for (const pid of orphans) if (!haveEnded([pid])()) process.kill(pid, "SIGTERM");
        expect(gateway.records.filter(({ msg }) => /SIGTERM: finishing/.test(msg))).to.have.length(
          2,
        );
      });
      const waiting = new SteadyLoad({ port, host, perSecond: 20, kept: 0 });
      scene.later(() => waiting.stop());
      scene.home.release();
      expect(echoOf(await slow).url).to.equal("/wait");
      await until("the orphans have ended", haveEnded(orphans), { deadlineMs: 60_000 });
      await launch().ready();
      await until("those that waited are served", () => waiting.good > 20);
      expect((await waiting.stop()).failures).to.deep.equal({});
    });

    it("says what it was handed that it cannot use", async () => {
      const gateway = TestGateway.launch({
        consul: scene.consul.url,
        heldSocket: 2,
        flags: ["--data-dir", directory],
      });
      gateways.push(gateway);
      expect(await gateway.ended).to.equal(1);
      expect(gateway.errors).to.match(/^sluice: descriptor 3 is .* and no socket\n$/);
    });
  });
