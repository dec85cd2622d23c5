/** A real worker process whose primary is the test. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { send } from "../../test/support/gateway.ts";
import { eventually } from "../../test/support/registered.ts";
import { forkWorker, plainWorkerSettings } from "../../test/support/worker-process.ts";
import { parseUpstreamDocument } from "../documents/index.ts";
import {
  defaultStreamTerms,
  type ListenerTerms,
  noListenerLimits,
  type Served,
  type ToPrimary,
  type ToWorker,
  versionOf,
} from "../model/index.ts";
import { openTcp } from "../primary/open-sockets.ts";
import { Origin, readAll } from "../streams/fixtures/rig.ts";

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

describe("a worker that is handed a listener before it has a state", function () {
  this.timeout(60_000);

  it("opens it with the terms that it has by then", async () => {
    const origins = await Promise.all(
      ["one", "two"].map((name) => Origin.start((socket) => socket.end(name))),
    );
    const sockets = openTcp({ host: "127.0.0.1", port: 0 });
    const worker = forkWorker();
    try {
      const tell = (message: ToWorker) => worker.send(message);
      const terms = (upstream: string): ListenerTerms => ({
        ...{ name: "db", protocol: "tcp", exposes: "documents", upstream, tls: null },
        ...{ proxyProtocol: [], limits: noListenerLimits, stream: defaultStreamTerms },
      });
      tell({ type: "start", settings: plainWorkerSettings });
      const opening: ToWorker = { type: "openListener", listener: 1, terms: terms("one") };
      worker.send(opening, sockets.handleFor(1), { keepOpen: true });
      tell({ type: "listenerTerms", listener: 1, terms: terms("two") });
      const changes = ["one", "two"].map((key, at): Served => {
        const servers = [{ host: "127.0.0.1", port: origins[at]?.port }];
        const value = parseUpstreamDocument(key, JSON.stringify({ servers }));
        return { kind: "upstream", key, value };
      });
      tell({ type: "snapshot", snapshot: { boot, version: 1, changes } });
      const heard: ToPrimary[] = [];
      worker.on("message", (message: ToPrimary) => heard.push(message));
      const isListening = () => heard.some(({ type }) => type === "listening");
      await until("it listens", isListening, { deadlineMs: 40_000 });
      // The system may refuse for a moment more.
      await eventually("it answers", async () => {
        const client = connect({ host: "127.0.0.1", port: sockets.port });
        expect(String(await readAll(client))).to.equal("two");
      });
    } finally {
      const exited = once(worker, "exit");
      worker.kill("SIGKILL");
      await exited;
      sockets.close();
      for (const origin of origins) await origin.stop();
    }
  });
});
