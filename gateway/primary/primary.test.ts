import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { BoundSocket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { freePort } from "../../test/support/ports.ts";
import type { Observed } from "../model/index.ts";
import { FixturePrimary, type RunOptions } from "./fixtures/run.ts";
import type { Status } from "./index.ts";

interface WorkerAnswer {
  readonly pid: number;
  readonly idPrefix: string;
  readonly version: number;
  readonly keys: readonly string[];
}

const host = (key: string): Observed => ({
  kind: "host",
  key,
  value: { enable: true, paths: [{ prefix: "/", shares: [{ upstream: "thumb", weight: 1 }] }] },
});

const script = (key: string, text: string): Observed => ({
  kind: "script",
  key,
  value: { text, version: `version of ${text}`, modifyIndex: 1 },
});

const isReady = (status: Status) => status.notReady === null;
const applied = (version: number) => (status: Status) =>
  status.workers.length > 0 &&
  status.workers.every((worker) => worker.version === version && worker.lagMs === 0);

/** One request on a connection of its own. */
function get(port: number, path = "/"): Promise<WorkerAnswer> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("error", reject);
      response.on("end", () => resolve(JSON.parse(body) as WorkerAnswer));
    });
    request.on("error", reject);
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("primary", function () {
  this.timeout(240_000);
  const started: FixturePrimary[] = [];
  let directory = "";

  const run = (options: RunOptions = {}) => {
    const primary = new FixturePrimary(options);
    started.push(primary);
    return primary;
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-primary-"));
  });

  afterEach(async () => {
    await Promise.all(started.splice(0).map((primary) => primary.end()));
    await rm(directory, { recursive: true });
  });

  it("gives workers no state before the sources are ready, then every version", async () => {
    const primary = run();
    primary.emit(host("a.example.com"));
    const waiting = await primary.statusWhen(
      "both workers are up and the change is in",
      ({ version, workers }) =>
        version === 1 && workers.every((worker) => worker.residentBytes > 0),
    );
    expect(waiting.workers.map(({ state, version }) => ({ state, version }))).to.deep.equal([
      { state: "starting", version: null },
      { state: "starting", version: null },
    ]);
    expect((await primary.admin("/readyz")).status).to.equal(503);
    expect((await primary.admin("/healthz")).status).to.equal(200);

    primary.tell({ type: "ready" });
    await primary.statusWhen("it is ready", isReady);
    expect((await primary.admin("/readyz")).status).to.equal(200);
    primary.emit(host("b.example.com"));
    await primary.statusWhen("version 2 is applied", applied(2));
    const answer = await get(await primary.httpPort());
    expect(answer.keys).to.deep.equal(["host/a.example.com", "host/b.example.com"]);
  });

  it("counts in a status's version what still waits to be served with what comes next", async () => {
    const primary = run();
    primary.tell({ type: "ready" });
    const { version } = await primary.statusWhen("it is ready", isReady);
    primary.tell({ type: "emit", changes: [host("a.example.com")], isLookedAt: true });
    await until("it was looked at", () => primary.messages.some(({ type }) => type === "lookedAt"));
    const looked = primary.messages.find((message) => message.type === "lookedAt");
    expect(looked).to.deep.equal({ type: "lookedAt", version: version + 1 });
    await primary.statusWhen("the workers have it", applied(version + 1));
  });

  it("replaces a killed worker by one with the current version and another id prefix", async () => {
    const primary = run();
    primary.tell({ type: "ready" });
    primary.emit(host("a.example.com"));
    const before = await primary.statusWhen("version 1 is applied", applied(1));
    const [victim] = before.workers;
    if (victim === undefined) throw new Error("no worker");
    process.kill(victim.pid, "SIGKILL");
    const after = await primary.statusWhen(
      "a new worker has the version",
      (status) =>
        isReady(status) &&
        applied(1)(status) &&
        status.workers.every((worker) => worker.pid !== victim.pid),
    );
    const prefixes = after.workers.map((worker) => worker.idPrefix);
    expect(new Set([...prefixes, victim.idPrefix]).size).to.equal(3);
    const letters = new Set(prefixes.map((prefix) => prefix.slice(0, 6)));
    expect(letters).to.deep.equal(new Set([victim.idPrefix.slice(0, 6)]));
  });

  it("lets connections wait while its only worker is replaced, and refuses none", async () => {
    const primary = run({ flags: { workers: "1" } });
    primary.tell({ type: "ready" });
    await primary.statusWhen("it is ready", isReady);
    const port = await primary.httpPort();
    const { pid } = await get(port);
    const ended = get(port, "/exit").catch((error: NodeJS.ErrnoException) => error.code);
    expect(await ended).to.equal("ECONNRESET");
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(port)));
    expect(new Set(answers.map((answer) => answer.pid)).size).to.equal(1);
    expect(answers[0]?.pid).to.not.equal(pid);
  });

  it("kills and replaces a worker that stands still", async () => {
    const primary = run({ flags: { workers: "1" } });
    primary.tell({ type: "ready" });
    const before = await primary.statusWhen("it is ready", isReady);
    const port = await primary.httpPort();
    const cut = await get(port, "/stall").then(
      () => "answered",
      () => "cut",
    );
    expect(cut).to.equal("cut");
    const [stalled] = before.workers;
    await primary.statusWhen(
      "another worker is ready",
      (status) => isReady(status) && status.workers[0]?.pid !== stalled?.pid,
    );
    await primary.said("said nothing for");
  });

  it("replaces all workers on SIGHUP without failing a request", async () => {
    const primary = run();
    primary.tell({ type: "ready" });
    const before = await primary.statusWhen("it is ready", isReady);
    const port = await primary.httpPort();
    const old = new Set(before.workers.map((worker) => worker.pid));
    let isOver = false;
    const failures: unknown[] = [];
    let answers = 0;
    const clients = [0, 1].map(async () => {
      while (!isOver) {
        await get(port).then(
          () => {
            answers += 1;
          },
          (error: unknown) => failures.push(error),
        );
      }
    });
    const slow = get(port, "/slow");
    primary.process.kill("SIGHUP");
    await primary.statusWhen(
      "only new workers are there",
      ({ workers }) =>
        workers.length === 2 &&
        workers.every((worker) => worker.state === "listening" && !old.has(worker.pid)),
    );
    isOver = true;
    await Promise.all(clients);
    await slow;
    expect(failures).to.deep.equal([]);
    expect(answers).to.be.greaterThan(0);
  });

  it("finishes what runs on SIGTERM, writes the state and exits with 0", async () => {
    const primary = run({ flags: { dataDir: directory } });
    primary.tell({ type: "ready" });
    primary.emit(host("a.example.com"));
    const { workers } = await primary.statusWhen("version 1 is applied", applied(1));
    const port = await primary.httpPort();
    const running = [get(port, "/slow"), get(port, "/slow")];
    await primary.statusWhen(
      "the requests have arrived",
      (status) => status.workers.reduce((sum, worker) => sum + worker.requests, 0) === 2,
    );
    primary.process.kill("SIGTERM");
    expect((await Promise.all(running)).map(({ version }) => version)).to.deep.equal([1, 1]);
    expect(await primary.exit).to.equal(0);
    expect(workers.filter(({ pid }) => isAlive(pid))).to.deep.equal([]);

    const again = run({ consul: "down", flags: { dataDir: directory } });
    const status = await again.statusWhen("it serves while Consul is down", isReady);
    expect(status.snapshotFile?.loadedFrom).to.be.a("string");
    expect(status.consul.stale?.error).to.equal("connection refused");
    expect((await get(await again.httpPort())).keys).to.deep.equal(["host/a.example.com"]);
    expect(again.messages).to.deep.include({ type: "previous", entries: 1 });
  });

  it("ends at once on a second signal", async () => {
    const primary = run();
    primary.tell({ type: "ready" });
    const { workers } = await primary.statusWhen("it is ready", isReady);
    for (const { pid } of workers) process.kill(pid, "SIGSTOP");
    primary.process.kill("SIGINT");
    const repeat = setInterval(() => primary.process.kill("SIGINT"), 300);
    const ended = await primary.exit.finally(() => clearInterval(repeat));
    expect(ended).to.equal("SIGINT");
  });

  it("ignores a snapshot that is torn, says so, and waits for Consul", async () => {
    await writeFile(join(directory, "last-known-good.snapshot"), '{"format":1,"sha');
    const primary = run({ consul: "down", flags: { dataDir: directory } });
    const status = await primary.status();
    expect(status.snapshotFile?.error).to.contain("does not begin as a snapshot does");
    expect(status.notReady).to.equal("Consul has not answered: connection refused");
    await primary.said("waiting for Consul at");
  });

  it("says in one line when an address is taken, and exits with 1", async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const address = blocker.address();
    const port = typeof address === "object" ? address?.port : undefined;
    for (const flag of ["http", "admin"]) {
      const primary = run({ flags: { [flag]: `127.0.0.1:${port}` } });
      expect(await primary.exit).to.equal(1);
      expect(primary.output).to.equal(
        `sluice: --${flag} 127.0.0.1:${port}: another process listens there already; end it, or name another address\n`,
      );
    }
    await new Promise((resolve) => blocker.close(resolve));
  });

  it("says the same when another process begins to listen there before the first worker does", async () => {
    const bound = new BoundSocket({ host: "127.0.0.1", port: 0 });
    const { port } = bound.address();
    const primary = run({ flags: { http: `127.0.0.1:${port}` } });
    await primary.statusWhen("it waits", ({ workers }) => workers.length === 2);
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(bound, resolve));
    primary.tell({ type: "ready" });
    expect(await primary.exit).to.equal(1);
    await new Promise((resolve) => blocker.close(resolve));
    expect(primary.output).to.contain(
      `the gateway cannot serve: --http 127.0.0.1:${port}: another process listens there already`,
    );
  });

  it("names the setting when two of its own want one port, whose address stands for another's, too", async () => {
    const port = await freePort();
    const cases = [
      [{ http: `127.0.0.1:${port}`, internal: `localhost:${port}` }, "internal", "http"],
      [{ http: `127.0.0.1:${port}`, internal: `:${port}` }, "internal", "http"],
      [{ http: `:${port}`, admin: `127.0.0.1:${port}` }, "admin", "http"],
      [{ internal: `[::]:${port}`, admin: `127.0.0.1:${port}` }, "admin", "internal"],
    ] as const;
    for (const [flags, flag, other] of cases) {
      const primary = run({ flags });
      expect(await primary.exit).to.equal(1);
      expect(primary.output).to.match(
        new RegExp(
          `^sluice: --${flag} \\S+:${port}: --${other} listens there; name another address\n$`,
        ),
      );
    }
  });

  it("exits with 1 when workers cannot start at all", async () => {
    const entry = join(directory, "broken.mjs");
    await writeFile(entry, "process.exit(9);\n");
    const primary = run({ workerEntry: entry });
    expect(await primary.exit).to.equal(1);
    expect(primary.output).to.contain("workers end with status 9 as soon as they start");
  });

  it("keeps the last good script, lists the refused one, and passes on what is asked", async () => {
    const primary = run({ badText: "wrong", flags: { workers: "1" } });
    primary.emit(script("a.example.com", "right"));
    primary.tell({ type: "ready" });
    await primary.statusWhen("it is ready", isReady);
    primary.emit(script("a.example.com", "wrong"));
    const status = await primary.statusWhen("it is refused", ({ refused }) => refused.length > 0);
    const [refused] = status.refused;
    expect({ ...refused, since: "" }).to.deep.equal({
      key: "sluice/scripts/a.example.com",
      version: "version of wrong",
      line: 1,
      column: 2,
      error: "is bad",
      since: "",
    });
    expect(status.scripts.map(({ version }) => version)).to.deep.equal(["version of right"]);

    await get(await primary.httpPort(), "/watch/thumb@dc2");
    await primary.statusWhen("the service is asked for", () =>
      primary.messages.some((message) => message.type === "use" && message.service === "thumb@dc2"),
    );
    const resync = await primary.admin("/resync", { method: "POST" });
    expect(await resync.json()).to.deep.equal({ released: 7 });
    const foreign = await primary.admin("/resync", {
      method: "POST",
      headers: { origin: "http://evil.example" },
    });
    expect(foreign.status).to.equal(403);
    const missing = await primary.admin("/nowhere");
    expect(missing.status).to.equal(404);
    expect(await missing.json()).to.have.property("error", "not_found");
  });
});
