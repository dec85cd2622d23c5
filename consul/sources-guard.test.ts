/** Much of many services goes by one update, and Consul can or cannot be asked again. */
import { expect } from "chai";
import { until } from "../test/support/conditions.ts";
import { consulKinds, type TestConsul } from "../test/support/consul.ts";
import { jumpingClock } from "./fixtures/clocks.ts";
import { IllProxy } from "./fixtures/ill-proxy.ts";
import { Operator, observe, type WatchedSources } from "./fixtures/observed.ts";

const services = Array.from({ length: 40 }, (_, at) => `many-${at}`);
const ports = [4001, 4002, 4003];

for (const kind of consulKinds())
  describe(`sources that lose a node with all of its services on ${kind.name}`, function () {
    this.timeout(300_000);
    let consul: TestConsul;
    let proxy: IllProxy;
    let operator: Operator;
    let seen: WatchedSources;
    let clock: ReturnType<typeof jumpingClock>;

    before(async () => {
      consul = await kind.start();
      operator = new Operator(consul.url);
    });
    beforeEach(async () => {
      proxy = await IllProxy.start(consul.port);
      clock = jumpingClock();
      for (const name of services) for (const port of ports) await operator.register(name, port);
      const guard = { share: 0.5, forMs: 600_000 };
      seen = observe(proxy.url, { clock, guard, waitMs: 2_000 });
      await seen.sources.whenReady();
      for (const name of services) seen.sources.use(name);
      await have(ports.length);
    });
    afterEach(async () => {
      await seen.stop();
      await proxy.stop();
      await maintenance(false);
      await operator.clear();
    });
    after(() => consul.stop());

    /** Takes every instance of every service out by one update, and lets them in again. */
    const maintenance = (isOn: boolean) =>
      operator.send("PUT", `/v1/agent/maintenance?enable=${isOn}`);
    const counts = () => services.map((name) => seen.ports(name).length);
    const have = (count: number) =>
      until(`each has ${count}`, () => counts().every((one) => one === count), {
        describe: counts,
      });
    const allAreKept = () =>
      until("all are kept", () => seen.sources.status().held.length === services.length);

    it("keep all of them until that is confirmed, and log it in bounds", async () => {
      await maintenance(true);
      await allAreKept();
      expect(counts().every((count) => count === ports.length)).to.equal(true);
      clock.jump(600_000);
      await have(0);
      const lines = seen.lines.filter((line) => /keeps its instances/.test(line));
      expect(lines.length).to.be.within(1, services.length - 1);
      await maintenance(false);
      await have(ports.length);
    });

    it("keep them for as long as Consul cannot be asked, and not longer", async () => {
      await maintenance(true);
      await allAreKept();
      proxy.become("500");
      for (let minute = 0; minute < 15; minute += 1) {
        clock.jump(60_000);
        await until("it was asked again", () => seen.sources.status().stale !== null);
      }
      expect(counts().every((count) => count === ports.length)).to.equal(true);
      proxy.heal();
      clock.jump(60_000);
      await have(0);
    });

    it("let go of them when an operator says so", async () => {
      await maintenance(true);
      await allAreKept();
      expect(seen.sources.release()).to.equal(services.length);
      await have(0);
      expect(seen.sources.status().held).to.deep.equal([]);
    });
  });
