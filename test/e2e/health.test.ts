/** The health of peers in a whole gateway: who finds it out, who hears of it, and what clients and operators are told. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { UpstreamsAnswer } from "../../gateway/primary/index.ts";
import { until } from "../support/conditions.ts";
import { startEmbeddedAgent } from "../support/consul.ts";
import { EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { startOrigin } from "../support/origin.ts";
import { freePort } from "../support/ports.ts";
import { seeded } from "../support/random.ts";
import { eventually } from "../support/registered.ts";
import { SteadyLoad } from "../support/steady-load.ts";
import { refusingPeer } from "../support/unreachable.ts";
import { Scene } from "./scene.ts";

describe("the health of peers", function () {
  this.timeout(300_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open({ name: "embedded agent", start: startEmbeddedAgent });
    await scene.start();
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  async function write(name: string, document: object): Promise<void> {
    await scene.writes.put(`upstreams/${name}`, document);
    await scene.writes.put(`hosts/${name}.example`, { paths: { "/": name } });
    scene.later(() => scene.writes.remove(`upstreams/${name}`));
    scene.later(() => scene.writes.remove(`hosts/${name}.example`));
    await scene.hostsLive();
    if ("service" in document) return;
    await eventually(`upstream ${name} is there in every worker`, async () => {
      const peers = await statesOf(name);
      expect(peers.length).to.be.above(0);
      for (const states of peers) expect(states).to.have.lengthOf(2);
    });
  }

  /** Of each peer its state in each worker. */
  async function statesOf(name: string): Promise<readonly (readonly string[])[]> {
    const { status, body } = await scene.gateway.admin(`/upstreams?name=${name}`);
    if (status !== 200) return [];
    const { upstreams, unanswered } = JSON.parse(body) as UpstreamsAnswer;
    expect(unanswered).to.deep.equal([]);
    return (upstreams[0]?.peers ?? []).map(({ workers }) => workers.map(({ state }) => state));
  }

  const dead = () => {
    const { host, port } = refusingPeer();
    return { host, port, fail_timeout: 3_600 };
  };

  const whenStates = (name: string, expected: readonly (readonly string[])[]) =>
    eventually(`the peers of ${name} are ${JSON.stringify(expected)}`, async () => {
      expect(await statesOf(name)).to.deep.equal(expected);
    });

  const refusal = async (host: string) => {
    const headers = { accept: "application/json" };
    const { status, body } = await scene.gateway.request({ host, headers });
    return [status, (JSON.parse(body) as { readonly error?: string }).error];
  };

  const refuses = (name: string, code: number, error: string) =>
    eventually(`${name} is refused with ${code} ${error}`, async () =>
      expect(await refusal(`${name}.example`)).to.deep.equal([code, error]),
    );

  it("is checked as a document says: a server that fails is out in every worker, and comes back", async () => {
    // A port that nobody else takes while it is away.
    const port = await freePort();
    const doomed = await EchoOrigin.start("doomed", port);
    scene.later(() => doomed.close());
    const check = { type: "http", interval: 0.1, timeout: 30, fall: 2, rise: 2 };
    await write("checked", { servers: [scene.home.server, doomed.server], check });
    await whenStates("checked", [
      ["ok", "ok"],
      ["ok", "ok"],
    ]);
    await doomed.close();
    const address = `127.0.0.1:${port}`;
    const status = await scene.gateway.statusWhen("the server fails its checks", ({ health }) =>
      health.peers.some((peer) => peer.address === address),
    );
    const peer = status.health.peers.find((one) => one.address === address);
    expect(peer).to.include({ address, state: "err" });
    expect(peer?.reasons[0]).to.include({
      ...{ source: "check", upstream: "checked", code: "check_failed" },
      message: "it refuses connections",
    });
    await whenStates("checked", [
      ["ok", "ok"],
      ["err", "err"],
    ]);
    for (let at = 0; at < 10; at += 1)
      expect(echoOf(await scene.gateway.request({ host: "checked.example" })).origin).to.equal(
        "home",
      );
    const again = await EchoOrigin.start("again", port);
    scene.later(() => again.close());
    await whenStates("checked", [
      ["ok", "ok"],
      ["ok", "ok"],
    ]);
    const records = () => scene.gateway.records.filter(({ peer: one }) => one === address);
    await until("both are told", () => records().length >= 2);
    const told = records();
    expect(told.map(({ msg }) => msg)).to.deep.equal([
      `peer ${address} of upstream checked is err (was ok): check_failed: it refuses connections`,
      `peer ${address} of upstream checked is ok (was err): no longer check_failed`,
    ]);
  });

  it("is known to every worker when one has met a dead server, and to one that starts later", async () => {
    await write("half-dead", { servers: [scene.home.server, dead()] });
    const workers = await scene.workers();
    const [first = ""] = workers.prefixes;
    for (let at = 0; at < 4; at += 1)
      expect((await workers.ask(first, { host: "half-dead.example" })).status).to.equal(200);
    await whenStates("half-dead", [
      ["ok", "ok"],
      ["err", "err"],
    ]);
    const before = (await scene.gateway.status()).workers.map(({ pid }) => pid);
    scene.gateway.process.kill("SIGHUP");
    await eventually("all workers are others", async () => {
      const { workers: now, notReady } = await scene.gateway.status();
      expect(notReady).to.equal(null);
      expect(now).to.have.length(2);
      for (const { pid, state } of now)
        expect([before.includes(pid), state]).to.deep.equal([false, "listening"]);
    });
    await whenStates("half-dead", [
      ["ok", "ok"],
      ["err", "err"],
    ]);
  });

  it("tells a client which: none registered, none well, all out, all drained", async () => {
    await write("drained", { servers: [{ ...scene.home.server, down: true }] });
    await refuses("drained", 503, "all_drained");
    await write("nobody", { service: "nobody" });
    await refuses("nobody", 503, "no_instance");
    await write("ejected", { servers: [dead()], protected: false });
    await refuses("ejected", 503, "all_ejected");
    const check = { interval: 0.1, fall: 1 };
    await write("ill", { servers: [{ ...dead(), max_fails: 0 }], protected: false, check });
    await refuses("ill", 503, "checks_failing");
    // A protected one is tried all the same.
    await write("tried", { servers: [{ ...dead(), max_fails: 0 }], check });
    await whenStates("tried", [["unstable", "unstable"]]);
    await refuses("tried", 502, "connect_failed");
  });

  it("has outliers out, also those that answer: no client sees them while another server is asked", async () => {
    const bad = await startOrigin("HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n");
    scene.later(() => bad.close());
    const server = { host: "127.0.0.1", port: bad.port };
    const outliers = { consecutive_failures: 3, ejection_time: 3_600, max_ejection_time: 3_600 };
    await write("outlier", {
      servers: [scene.home.server, server],
      ...{ outliers, next_upstream: ["http_500"] },
    });
    await eventually("it is out in every worker", async () => {
      for (let at = 0; at < 10; at += 1)
        expect((await scene.gateway.request({ host: "outlier.example" })).status).to.equal(200);
      expect(await statesOf("outlier")).to.deep.equal([
        ["ok", "ok"],
        ["err", "err"],
      ]);
    });
  });

  it("fails no request while an upstream of 50 servers changes 20 times a second", async () => {
    const many = await Promise.all(Array.from({ length: 50 }, (_, at) => scene.origin(`m${at}`)));
    const random = seeded(17);
    const change = () => {
      const servers = many
        .filter(() => random() < 0.9)
        .map((origin) => ({ ...origin.server, weight: 1 + Math.floor(random() * 5) }));
      return scene.writes.put("upstreams/changing", { servers });
    };
    await change();
    await write("changing", { servers: many.map((origin) => origin.server) });
    const { version: before } = await scene.gateway.status();
    const load = new SteadyLoad({
      ...{ port: scene.gateway.httpPort, host: "changing.example", perSecond: 100, kept: 20 },
    });
    scene.later(() => load.stop());
    // A busy gateway makes one version of several changes.
    for (
      let at = 0, version = before;
      at < 60 || version <= before + 20 || load.good <= 50;
      at += 1
    ) {
      await change();
      await sleep(50);
      if (at >= 60) ({ version } = await scene.gateway.status());
    }
    expect((await load.stop()).failures).to.deep.equal({});
    await scene.gateway.caughtUp();
  });

  it("of a service goes by Consul's checks: without one that passes, the client is told so", async () => {
    const put = async (path: string, body = "{}") => {
      const { ok } = await fetch(`${scene.consul.url}/v1${path}`, { method: "PUT", body });
      expect(ok).to.equal(true);
    };
    const registration = {
      ...{ ID: "sick", Name: "sick", Port: scene.home.port, Address: "127.0.0.1" },
      Check: { CheckID: "sick-check", TTL: "3600s", Status: "passing" },
    };
    await put("/agent/service/register", JSON.stringify(registration));
    scene.later(() => scene.writes.deregister("sick"));
    await write("sick", { service: "sick" });
    await eventually("it serves", async () => {
      expect((await scene.gateway.request({ host: "sick.example" })).status).to.equal(200);
    });
    await put("/agent/check/fail/sick-check");
    await refuses("sick", 503, "checks_failing");
  });
});
