/** A gateway with two addresses: both are served by every worker, through each change of workers. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import { send, type TestGateway } from "../support/gateway.ts";
import { freePort } from "../support/ports.ts";
import { eventually } from "../support/registered.ts";
import { SteadyLoad } from "../support/steady-load.ts";
import { homeHost, Scene } from "./scene.ts";

const host = homeHost;
const flags = ["--internal", "127.0.0.1:0"];
const [embedded] = consulKinds();
if (embedded === undefined) throw new Error("there is no Consul to test with");

describe("a gateway that listens on two addresses", function () {
  this.timeout(300_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open(embedded);
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  const portsOf = (gateway: TestGateway) => [gateway.httpPort, gateway.internalPort];

  for (const engine of ["http1", "reference"])
    it(`answers on both, with the engine ${engine}`, async () => {
      const gateway = await scene.start({ flags: [...flags, "--engine", engine] });
      const [edge, internal] = portsOf(gateway);
      expect(edge).to.not.equal(internal);
      for (const port of portsOf(gateway))
        expect(echoOf(await send(port, { host })).origin).to.equal("home");
    });

  it("a worker that is killed is replaced on both", async () => {
    const gateway = await scene.start({ flags, workers: 1 });
    const [{ pid } = { pid: 0 }] = (await gateway.status()).workers;
    process.kill(pid, "SIGKILL");
    await gateway.statusWhen(
      "another worker listens",
      ({ workers, notReady }) => notReady === null && workers.every((one) => one.pid !== pid),
    );
    for (const port of portsOf(gateway))
      expect(echoOf(await send(port, { host })).origin).to.equal("home");
  });

  it("SIGHUP replaces every worker, and no request fails on either", async () => {
    const gateway = await scene.start({ flags });
    const before = new Set((await gateway.status()).workers.map(({ pid }) => pid));
    const loads = portsOf(gateway).map(
      (port) => new SteadyLoad({ port, host, perSecond: 100, kept: 0 }),
    );
    scene.later(() => Promise.all(loads.map((load) => load.stop())));
    await until("the load runs", () => loads.every((load) => load.good > 30));
    gateway.signal("SIGHUP");
    await gateway.statusWhen(
      "all workers are new",
      ({ workers, notReady }) =>
        notReady === null && workers.length === 2 && workers.every(({ pid }) => !before.has(pid)),
    );
    const marks = loads.map((load) => load.good + 30);
    await until("the load goes on", () => loads.every((load, at) => load.good > (marks[at] ?? 0)));
    for (const load of loads) {
      await load.stop();
      expect(load.failures).to.deep.equal({});
    }
  });

  it("SIGTERM lets what runs on both finish, and refuses new connections on both", async () => {
    // Ports that nobody else takes when they are free.
    const ports = [await freePort(), await freePort()];
    const [http, internal] = ports.map((port) => `127.0.0.1:${port}`);
    const gateway = await scene.start({
      flags: ["--http", `${http}`, "--internal", `${internal}`],
    });
    expect(portsOf(gateway)).to.deep.equal(ports);
    const slow = ports.map((port) => send(port, { host, path: "/wait" }));
    await until("both are at the origin", () => scene.home.waiting === 2);
    gateway.signal("SIGTERM");
    for (const port of ports)
      await eventually(`${port} refuses`, async () => {
        const socket = connect({ host: "127.0.0.1", port });
        const outcome = await once(socket, "connect").then(
          () => "connected",
          (error: NodeJS.ErrnoException) => error.code,
        );
        socket.destroy();
        expect(outcome).to.equal("ECONNREFUSED");
      });
    scene.home.release();
    for (const answer of slow) expect(echoOf(await answer).url).to.equal("/wait");
    expect(await gateway.ended).to.equal(0);
  });
});
