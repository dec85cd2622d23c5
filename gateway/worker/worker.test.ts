/** A real worker process whose primary is the test. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { send } from "../../test/support/gateway.ts";
import { forkWorker, plainWorkerSettings } from "../../test/support/worker-process.ts";
import { type Served, type ToPrimary, type ToWorker, versionOf } from "../model/index.ts";

const boot = "test-boot";

describe("a worker", () => {
  let worker: ChildProcess;
  const received: ToPrimary[] = [];

  before(() => {
    worker = forkWorker();
    worker.on("message", (message: ToPrimary) => received.push(message));
    tell({ type: "start", settings: plainWorkerSettings });
  });
  after(async () => {
    const exited = once(worker, "exit");
    worker.kill("SIGKILL");
    await exited;
  });

  const tell = (message: ToWorker) => worker.send(message);
  const isAt = (version: number) =>
    until(`it is at version ${version}`, () =>
      received.some((message) => message.type === "ack" && message.version === version),
    );
  const script = (key: string, body: string | null): Served => {
    if (body === null) return { kind: "script", key, value: null };
    const text = `export default () => respond({ body: "${body}" });`;
    return { kind: "script", key, value: { text, version: versionOf(text), modifyIndex: 1 } };
  };
  const delta = async (to: number, ...changes: readonly Served[]) => {
    tell({ type: "delta", delta: { boot, from: to - 1, to, changes } });
    await isAt(to);
  };
  const answerFor = async (host: string) => {
    const listening = received.find((message) => message.type === "listening");
    const [place] = listening?.type === "listening" ? listening.addresses : [];
    if (place === undefined) throw new Error("it does not listen");
    const { status, body } = await send(place.port, { host });
    return status === 200 ? body : status;
  };

  it("runs the scripts of the version that it is at, and no others", async () => {
    const changes = [script("a.example", "one")];
    tell({ type: "snapshot", snapshot: { boot, version: 1, changes } });
    await until("it listens", () => received.some(({ type }) => type === "listening"));
    expect(await answerFor("a.example")).to.equal("one");
    await delta(2, script("b.example", "two"));
    expect([await answerFor("a.example"), await answerFor("b.example")]).to.deep.equal([
      "one",
      "two",
    ]);
    await delta(3, script("a.example", "three"), script("b.example", null));
    expect([await answerFor("a.example"), await answerFor("b.example")]).to.deep.equal([
      "three",
      404,
    ]);
  });
});
