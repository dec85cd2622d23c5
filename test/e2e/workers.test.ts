/** Workers that die, stall, are replaced or told to finish, under a gateway that goes on serving. */
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import type { TestGateway } from "../support/gateway.ts";
import { freePort } from "../support/ports.ts";
import { eventually } from "../support/registered.ts";
import { SteadyLoad } from "../support/steady-load.ts";
import { prefixOf } from "../support/worker-connections.ts";
import { homeHost, Scene } from "./scene.ts";

const host = homeHost;

for (const [order, kind] of consulKinds().entries())
  describe(`workers of a gateway with ${kind.name}`, function () {
    this.timeout(600_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
      await scene.start();
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    /** Two workers that are not `gone`, ready and at the current version. */
    const replaced = (gone: ReadonlySet<number>) =>
      scene.gateway.statusWhen(
        "two workers serve the current version, none of them an old one",
        ({ workers, version, notReady }) =>
          notReady === null &&
          workers.length === 2 &&
          workers.every((one) => !gone.has(one.pid) && one.version === version),
      );

    it("a worker that is killed is replaced by one that serves the current version", async () => {
      const { writes, gateway } = scene;
      await writes.put("hosts/before-kill.example", { paths: { "/": "home" } });
      const { workers } = await gateway.caughtUp();
      const [victim, survivor] = workers;
      if (victim === undefined || survivor === undefined) throw new Error("two workers");
      const killedMs = performance.now();
      process.kill(victim.pid, "SIGKILL");
      // A host that came while one worker was dead, and one that was there before.
      await writes.put("hosts/while-dead.example", { paths: { "/": "home" } });
      await replaced(new Set([victim.pid]));
      const tookMs = performance.now() - killedMs;
      console.log(`      kill -9 to two workers at the current version: ${Math.round(tookMs)} ms`);
      const connections = await scene.workers();
      expect(connections.prefixes).to.include(survivor.idPrefix).and.not.include(victim.idPrefix);
      for (const name of ["before-kill.example", "while-dead.example"])
        await connections.all(`${name} is served`, { host: name }, (answer) => {
          expect(echoOf(answer).origin).to.equal("home");
        });
    });

    it("requests go on over the other worker's connections while one is killed", async () => {
      const { gateway } = scene;
      const connections = await scene.workers();
      const { workers } = await gateway.status();
      const [victim, survivor] = workers;
      if (victim === undefined || survivor === undefined) throw new Error("two workers");
      process.kill(victim.pid, "SIGKILL");
      for (let at = 0; at < 20; at += 1) {
        const answer = await connections.ask(survivor.idPrefix, { host });
        expect(prefixOf(answer)).to.equal(survivor.idPrefix);
      }
      await replaced(new Set([victim.pid]));
    });

    it("what scripts were counted outlives the workers that counted it", async () => {
      const { gateway, writes } = scene;
      const counted = "counted.example";
      await writes.put(`scripts/${counted}`, "export default () => respond({ status: 204 });");
      scene.later(() => writes.remove(`scripts/${counted}`));
      const calls = async () =>
        (await gateway.status()).scripts.find((one) => one.host === counted)?.calls ?? 0;
      await eventually("it is counted", async () => {
        await gateway.request({ host: counted });
        expect(await calls()).to.be.above(0);
      });
      const { workers } = await gateway.status();
      const before = await calls();
      for (const { pid } of workers) process.kill(pid, "SIGKILL");
      await replaced(new Set(workers.map(({ pid }) => pid)));
      await gateway.request({ host: counted });
      await eventually("it goes on", async () => expect(await calls()).to.be.above(before));
    });

    it("SIGHUP replaces every worker and no request fails, on kept and on new connections", async () => {
      const { gateway } = scene;
      const before = new Set((await gateway.status()).workers.map(({ pid }) => pid));
      const load = { port: gateway.httpPort, host, perSecond: 150 };
      const kept = new SteadyLoad({ ...load, kept: 12 });
      const fresh = new SteadyLoad({ ...load, kept: 0 });
      scene.later(() => Promise.all([kept.stop(), fresh.stop()]));
      await until("the load runs", () => kept.good > 50 && fresh.good > 50);
      gateway.signal("SIGHUP");
      await replaced(before);
      const marks = [kept.good, fresh.good];
      await until(
        "the load went on",
        () => kept.good > (marks[0] ?? 0) + 50 && fresh.good > (marks[1] ?? 0) + 50,
      );
      const results = await Promise.all([kept.stop(), fresh.stop()]);
      expect(results.map(({ failures }) => failures)).to.deep.equal([{}, {}]);
      const [{ repeated, pausedMs }] = results;
      console.log(
        `      ${results.map(({ good }) => good).join(" + ")} requests, ${repeated} sent once more`,
      );
      // A worker that ends closes connections that were idle for a second, which they are only while the load stands still.
      if (pausedMs < 500) expect(repeated).to.equal(0);
    });

    it("SIGHUP twice, and changes in between, leave two workers at the current version", async () => {
      const { gateway, writes } = scene;
      const before = new Set((await gateway.status()).workers.map(({ pid }) => pid));
      gateway.signal("SIGHUP");
      gateway.signal("SIGHUP");
      for (let at = 0; at < 10; at += 1)
        await writes.put("hosts/rolling.example", { paths: { "/": "home", [`/${at}`]: "home" } });
      await replaced(before);
      const connections = await scene.workers();
      await connections.all("the last document is live", { host: "rolling.example" }, (answer) => {
        expect(answer.status).to.equal(200);
      });
    });

    it("a worker that fell behind shows its lag, and catches up", async () => {
      const { gateway, writes } = scene;
      let tries = 0;
      await eventually("it catches up before it is taken for stalled", async () => {
        const connections = await scene.workers();
        const [asleep] = (await gateway.caughtUp()).workers;
        if (asleep === undefined) throw new Error("two workers");
        tries += 1;
        const missed = `missed${tries}.example`;
        process.kill(asleep.pid, "SIGSTOP");
        try {
          await writes.put(`hosts/${missed}`, { paths: { "/": "home" } });
          await gateway.statusWhen("the lag shows, or the worker is replaced", ({ workers }) => {
            const found = workers.find(({ pid }) => pid === asleep.pid);
            return found === undefined || found.lagMs > 0;
          });
        } finally {
          resume(asleep.pid);
        }
        const { workers } = await gateway.status();
        // A busy machine may take so long that the gateway ends it.
        expect(workers.map(({ pid }) => pid)).to.include(asleep.pid);
        await connections.all("it has the host", { host: missed }, (answer) => {
          expect(answer.status).to.equal(200);
        });
      });
      await gateway.caughtUp();
    });

    // Consul has no part in a stall, and each takes its seconds: with the first kind only.
    if (order === 0) {
      it("a worker that stands still is killed and replaced", async () => {
        const { workers } = await scene.gateway.statusWhen("every worker has reported", (status) =>
          status.workers.every(
            ({ state, residentBytes }) => state === "listening" && residentBytes > 0,
          ),
        );
        await standStill(workers[0]?.pid ?? 0);
      });

      it("so is one that stands still as soon as it listens", async () => {
        const { gateway } = scene;
        const before = new Set((await gateway.caughtUp()).workers.map(({ pid }) => pid));
        const [victim = 0] = before;
        process.kill(victim, "SIGKILL");
        const { workers } = await gateway.statusWhen("a new worker listens", (status) =>
          status.workers.some(({ pid, state }) => !before.has(pid) && state === "listening"),
        );
        await standStill(workers.find(({ pid }) => !before.has(pid))?.pid ?? 0);
      });
    }

    /** Stops the process, and waits until it has been killed and replaced. */
    async function standStill(pid: number): Promise<void> {
      process.kill(pid, "SIGSTOP");
      scene.later(() => resume(pid));
      await until("it is noticed", () =>
        scene.gateway.records.some(
          ({ workerPid, silentMs }) => workerPid === pid && Number(silentMs) > 0,
        ),
      );
      await replaced(new Set([pid]));
    }

    /** On a port that nobody else takes once the gateway has left it. */
    const startAlone = async () =>
      scene.start({ flags: ["--http", `127.0.0.1:${await freePort()}`] });

    it("SIGTERM lets a slow request finish, takes no new ones, and ends with 0", async () => {
      const gateway = await startAlone();
      const slow = gateway.request({ host, path: "/wait" });
      await until("the slow request is at the origin", () => scene.home.waiting === 1);
      gateway.signal("SIGTERM");
      await refusing(gateway);
      expect(gateway.hasEnded).to.equal(false);
      scene.home.release();
      const answer = await slow;
      expect(echoOf(answer).url).to.equal("/wait");
      expect(answer.headers.connection).to.equal("close");
      expect(await gateway.ended).to.equal(0);
      expect(gateway.errors).to.equal("");
      expect(await gateway.stop()).to.equal(0);
    });

    it("a request that outlives the drain timeout is cut, and the gateway ends all the same", async () => {
      const gateway = await scene.start({ flags: ["--drain-timeout", "200ms"] });
      const cut = gateway.request({ host, path: "/wait" }).then(
        (answer) => answer.status,
        () => "cut",
      );
      await until("the request is at the origin", () => scene.home.waiting === 1);
      gateway.signal("SIGTERM");
      expect(await cut).to.equal("cut");
      expect(await gateway.ended).to.equal(0);
      scene.home.release();
    });

    it("workers whose primary is killed outright take no new requests and finish what runs", async () => {
      const gateway = await startAlone();
      const slow = gateway.request({ host, path: "/wait" });
      await until("the slow request is at the origin", () => scene.home.waiting === 1);
      gateway.signal("SIGKILL");
      await refusing(gateway);
      scene.home.release();
      expect(echoOf(await slow).url).to.equal("/wait");
      expect(await gateway.ended).to.equal("SIGKILL");
      await gateway.stop();
    });

    it("workers end when their primary is killed outright", async () => {
      const gateway = await scene.start();
      const pids = (await gateway.status()).workers.map(({ pid }) => pid);
      expect(pids).to.have.lengthOf(2);
      gateway.signal("SIGKILL");
      expect(await gateway.ended).to.equal("SIGKILL");
      // `stop` throws when a worker is still there.
      await gateway.stop();
    });
  });

/** Resolves when no new connection is accepted any more. */
function refusing(gateway: TestGateway): Promise<void> {
  return eventually("no new connection is accepted", async () => {
    const outcome = await gateway.request({ host }).then(
      () => "answered",
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect(outcome).to.equal("ECONNREFUSED");
  });
}

/** Does nothing when the process has ended. */
function resume(pid: number): void {
  try {
    process.kill(pid, "SIGCONT");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
