import { expect } from "chai";
import { until } from "../test/support/conditions.ts";
import { consulKinds, type TestConsul } from "../test/support/consul.ts";
import { fastClock } from "./fixtures/clocks.ts";
import { type Illness, IllProxy } from "./fixtures/ill-proxy.ts";
import { becomes, Operator, observe, type WatchedSources } from "./fixtures/observed.ts";

const illnesses: readonly Illness[] = [
  "frozen",
  "dead connections",
  "delayed",
  "cut",
  "half answers",
  "garbage",
  "500",
  "byte by byte",
  "no index",
];
/** These are no reason to call anything stale. */
const slowOnly: readonly Illness[] = ["delayed", "byte by byte"];

for (const kind of consulKinds())
  describe(`sources on an ill way to ${kind.name}`, function () {
    this.timeout(300_000);
    let consul: TestConsul;
    let proxy: IllProxy;
    let operator: Operator;
    let seen: WatchedSources;

    before(async () => {
      consul = await kind.start();
      operator = new Operator(consul.url);
    });
    beforeEach(async () => {
      proxy = await IllProxy.start(consul.port);
    });
    afterEach(async () => {
      await seen.stop();
      await proxy.stop();
      await operator.clear();
    });
    after(() => consul.stop());

    const names = ["a", "b", "c"];
    /** One service has a watch of its own, and the node tells of the others. */
    const begin = async () => {
      for (const name of names) {
        await operator.register(name, 4001);
        await operator.register(name, 4002);
      }
      await operator.put("hosts/shop.example", { paths: { "/": "a" } });
      // Four times as fast, while Consul's wait is as long as it is.
      seen = observe(proxy.url, { clock: fastClock(4), waitMs: 800, maxServiceWatches: 1 });
      await seen.sources.whenReady();
      for (const name of names) seen.sources.use(name);
      for (const name of names) await becomes(() => seen.ports(name), [4001, 4002]);
    };
    const isWell = () =>
      until(
        "every watch is well",
        () => {
          const { stale, watches } = seen.sources.status();
          return stale === null && watches.every(({ state }) => state === "ok");
        },
        { describe: () => seen.sources.status() },
      );

    for (const illness of illnesses)
      it(`keep what they have while it is ${illness}, and have the truth soon after`, async () => {
        await begin();
        await isWell();
        proxy.become(illness);
        if (!slowOnly.includes(illness))
          await until(
            "it shows",
            () =>
              seen.sources.status().stale !== null ||
              seen.lines.some((line) => line.includes("are dead")),
          );
        expect(seen.keys("host")).to.deep.equal(["shop.example"]);
        for (const name of names) expect(seen.ports(name)).to.deep.equal([4001, 4002]);
        await operator.deregister("a", 4001);
        await operator.register("b", 4003);
        await operator.deregister("c", 4002);
        await operator.put("hosts/new.example", { paths: { "/": "b" } });
        if (illness !== "dead connections") proxy.heal();
        await becomes(() => seen.keys("host"), ["new.example", "shop.example"]);
        await becomes(
          () => names.map((name) => seen.ports(name)),
          [[4002], [4001, 4002, 4003], [4001]],
        );
        await isWell();
      });
  });
