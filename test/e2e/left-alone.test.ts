/** Processes whose primary, whose reader or whose descriptors are gone. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import { oneConnection } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { forkWorker, plainWorkerSettings } from "../support/worker-process.ts";
import { homeHost, Scene } from "./scene.ts";

const run = promisify(execFile);
const host = homeHost;

// Consul has no part in it.
const [kind] = consulKinds();
if (kind !== undefined)
  describe("a gateway that loses what it stands on", function () {
    this.timeout(300_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    it("a worker whose primary goes while it starts ends with 0 and says nothing", async () => {
      const worker = forkWorker();
      if (worker.stderr === null) throw new Error("no standard error");
      const errors = text(worker.stderr);
      const exited = once(worker, "exit");
      // It has read the first when it finds that nobody listens to its answer.
      await new Promise((resolve) =>
        worker.send({ type: "start", settings: plainWorkerSettings }, resolve),
      );
      worker.disconnect();
      expect(await exited).to.deep.equal([0, null]);
      expect(await errors).to.equal("");
    });

    it("its log's reader: it goes on, and ends in order", async () => {
      const gateway = await scene.start({ flags: ["--access-log", "-"], workers: 1 });
      gateway.process.stdout?.destroy();
      const [worker] = (await gateway.status()).workers;
      for (let n = 0; n < 3; n += 1) {
        expect((await gateway.request({ host })).status).to.equal(200);
        const { requests = 0 } = worker ?? {};
        // A record is written within the second in which the report comes.
        await gateway.statusWhen("the worker has written and reported", ({ workers }) =>
          workers.some(({ pid, requests: now }) => pid === worker?.pid && now > requests + n),
        );
      }
      gateway.signal("SIGTERM");
      expect(await gateway.ended).to.equal(0);
      expect(gateway.errors).to.match(/^(sluice: the log cannot be written any more: [^\n]+\n)+$/);
    });

    it("its primary and the reader: a worker finishes what runs", async () => {
      const gateway = await scene.start({ flags: ["--access-log", "-"], workers: 1 });
      const slow = ["/wait/1", "/wait/2"].map((path) => gateway.request({ host, path }));
      await until("the slow requests are at the origin", () => scene.home.waiting === slow.length);
      gateway.process.stdout?.destroy();
      gateway.signal("SIGKILL");
      scene.home.release();
      const answers = await Promise.all(slow);
      expect(answers.map((answer) => echoOf(answer).url)).to.deep.equal(["/wait/1", "/wait/2"]);
      await gateway.stop();
    });

    it("its primary, while the access log takes nothing: a worker ends all the same", async () => {
      const directory = await mkdtemp(join(tmpdir(), "sluice-fifo-"));
      scene.later(() => rm(directory, { recursive: true }));
      const fifo = join(directory, "access.log");
      await run("mkfifo", [fifo]);
      const reader = await open(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
      scene.later(() => reader.close());
      const gateway = await scene.start({ flags: ["--access-log", fifo], workers: 1 });
      const agent = oneConnection();
      scene.later(() => agent.destroy());
      // Above what a pipe holds, 64 kB.
      for (let n = 0; n < 100; n += 1) {
        await gateway.request({ host, agent, path: `/${"x".repeat(1_000)}` });
      }
      gateway.signal("SIGKILL");
      // Throws when the worker is still there.
      await gateway.stop();
    });

    it("its last descriptor: the worker keeps the connections that it has", async () => {
      const gateway = await scene.start({ workers: 1 });
      const kept = oneConnection();
      scene.later(() => kept.destroy());
      expect((await gateway.request({ host, agent: kept })).status).to.equal(200);
      const [worker] = (await gateway.status()).workers;
      if (worker === undefined) throw new Error("no worker");
      const limit = (soft: number) =>
        run("prlimit", ["--pid", String(worker.pid), `--nofile=${soft}:`]);
      await eventually("it says so", async () => {
        // Again and again: it may have had one more for a moment, and may close one.
        const used = new Set((await readdir(`/proc/${worker.pid}/fd`)).map(Number));
        let lowestFree = 0;
        while (used.has(lowestFree)) lowestFree += 1;
        await limit(lowestFree);
        const hasSaid = () =>
          gateway.records.some(({ msg }) => msg.startsWith("the resident memory"));
        await until("it reports", hasSaid, { deadlineMs: 3_000 });
      });
      const answer = await gateway.request({ host, agent: kept });
      expect(answer).to.include({ status: 200, isReused: true });
      await limit(1_024);
      await eventually("new connections are served again", async () => {
        expect((await gateway.request({ host })).status).to.equal(200);
      });
      expect((await gateway.status()).workers.map(({ pid }) => pid)).to.deep.equal([worker.pid]);
    });
  });
