/** A real worker process whose primary is the test, which can lose messages as a channel would. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { expect } from "chai";
import { parseHostDocument, parseUpstreamDocument } from "../../gateway/documents/index.ts";
import type { Served, Snapshot, ToPrimary, ToWorker } from "../../gateway/model/index.ts";
import { until } from "../support/conditions.ts";
import { EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { send } from "../support/gateway.ts";
import { forkWorker, plainWorkerSettings } from "../support/worker-process.ts";

const boot = "test-boot";

describe("a worker that misses a delta", function () {
  this.timeout(300_000);
  let origin: EchoOrigin;
  let worker: ChildProcess;
  const received: ToPrimary[] = [];

  before(async () => {
    origin = await EchoOrigin.start("home");
    worker = forkWorker();
    worker.on("message", (message: ToPrimary) => received.push(message));
    tell({ type: "start", settings: plainWorkerSettings });
    await until("it asks for its first snapshot", () => resyncs() === 1);
  });
  after(async () => {
    const exited = once(worker, "exit");
    worker.kill("SIGKILL");
    await exited;
    await origin.close();
  });

  const tell = (message: ToWorker) => worker.send(message);
  const resyncs = () => received.filter(({ type }) => type === "resync").length;
  const acknowledged = () =>
    received.flatMap((message) => (message.type === "ack" ? message.version : [])).at(-1);
  const host = (name: string): Served => ({
    kind: "host",
    key: name,
    value: parseHostDocument(name, JSON.stringify({ paths: { "/": "home" } })),
  });
  const snapshot = (version: number, ...changes: readonly Served[]): Snapshot => {
    const value = parseUpstreamDocument("home", JSON.stringify({ servers: [origin.server] }));
    return { boot, version, changes: [{ kind: "upstream", key: "home", value }, ...changes] };
  };
  const ask = (name: string) => {
    const listening = received.find((message) => message.type === "listening");
    const [place] = listening?.type === "listening" ? listening.addresses : [];
    if (place === undefined) throw new Error("it does not listen");
    return send(place.port, { host: name });
  };

  it("listens after its first snapshot only", async () => {
    expect(received.some(({ type }) => type === "listening")).to.equal(false);
    tell({ type: "snapshot", snapshot: snapshot(1, host("one.example")) });
    await until("it listens", () => received.some(({ type }) => type === "listening"));
    await until("it has acknowledged it", () => acknowledged() === 1);
    expect(echoOf(await ask("one.example")).origin).to.equal("home");
  });

  it("asks for a snapshot when a delta does not continue its version, and serves on meanwhile", async () => {
    const asked = resyncs();
    tell({
      type: "delta",
      delta: { boot, from: 2, to: 3, changes: [host("three.example")] },
    });
    await until("it asks for a snapshot", () => resyncs() === asked + 1);
    expect(acknowledged()).to.equal(1);
    expect((await ask("three.example")).status).to.equal(404);
    expect(echoOf(await ask("one.example")).origin).to.equal("home");
    tell({ type: "snapshot", snapshot: snapshot(3, host("one.example"), host("three.example")) });
    await until("it is at version 3", () => acknowledged() === 3);
    expect(echoOf(await ask("three.example")).origin).to.equal("home");
  });

  it("asks for a snapshot when the counter is ahead, and when another primary counts", async () => {
    for (const message of [
      { type: "counter", boot, version: 4 },
      { type: "counter", boot: "another", version: 3 },
    ] as const) {
      const asked = resyncs();
      tell(message);
      await until("it asks for a snapshot", () => resyncs() === asked + 1);
    }
  });

  it("asks for nothing while the counter is where it is", async () => {
    const asked = resyncs();
    tell({ type: "counter", boot, version: 3 });
    tell({ type: "delta", delta: { boot, from: 3, to: 4, changes: [host("four.example")] } });
    await until("it is at version 4", () => acknowledged() === 4);
    expect(resyncs()).to.equal(asked);
    expect(echoOf(await ask("four.example")).origin).to.equal("home");
  });
});
