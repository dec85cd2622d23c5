/** Services of other datacenters, and floods of names that nobody has, on real Consul. */
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { findRealConsul, startTwoDatacenters, type TestConsul } from "../../test/support/consul.ts";
import { becomes, Operator, observe, type WatchedSources } from "../fixtures/observed.ts";

/** Made-up names of a flood. */
const many = 3_000;

if (findRealConsul() !== null)
  describe("sources with a second datacenter", function () {
    this.timeout(300_000);
    let here: TestConsul;
    let there: TestConsul;
    let operator: Operator;
    let remote: Operator;
    let seen: WatchedSources;

    before(async () => {
      [here, there] = await startTwoDatacenters();
      operator = new Operator(here.url);
      remote = new Operator(there.url);
    });
    afterEach(async () => {
      await seen.stop();
      await operator.clear();
      await remote.clear();
    });
    after(() => Promise.all([here?.stop(), there?.stop()]));

    const begin = async (options: Parameters<typeof observe>[1] = {}) => {
      seen = observe(here.url, options);
      await seen.sources.whenReady();
    };
    const watched = () => seen.sources.status().watches.map(({ name }) => name);

    it("watch a catalog there from the first request on, and then the services that are asked for", async () => {
      await remote.register("thumb", 4001, { Tags: ["sluice"] });
      await begin();
      await becomes(() => seen.value("datacenter", "dc1"), { own: true, catalog: true });
      await becomes(() => seen.value("datacenter", "dc2"), { own: false, catalog: false });
      expect(watched()).to.not.include("catalog of dc2");
      seen.sources.use("@dc2");
      await becomes(() => seen.value("catalog", "thumb@dc2"), ["sluice"]);
      await becomes(() => seen.value("datacenter", "dc2"), { own: false, catalog: true });
      seen.sources.use("thumb@dc2");
      await becomes(() => seen.ports("thumb@dc2"), [4001]);
      await remote.register("thumb", 4002);
      await becomes(() => seen.ports("thumb@dc2"), [4001, 4002]);
      await remote.register("later", 4003, { Tags: ["v1"] });
      await becomes(() => seen.value("catalog", "later@dc2"), ["v1"]);
      const previous = seen.tables();
      await seen.stop();
      // A gateway that starts again goes on with what it had.
      await begin({ previous });
      await until("the catalog there is watched", () => watched().includes("catalog of dc2"));
      expect(seen.ports("thumb@dc2")).to.deep.equal([4001, 4002]);
    });

    it("poll real services while made-up names of both datacenters are asked for", async () => {
      const names = ["a", "b", "c", "d"];
      for (const [at, name] of names.entries()) await operator.register(name, 4001 + at);
      await remote.register("far", 4100);
      await begin({ maxServiceWatches: 1 });
      for (const name of names) seen.sources.use(name);
      await until("all are there", () => names.every((name) => seen.ports(name).length === 1));
      const { servicesInUse } = seen.sources.status();
      // What workers send at the worst: they answer names that are in no catalog by themselves.
      for (let at = 0; at < many; at += 1) {
        seen.sources.use("@dc2");
        seen.sources.use("@nowhere");
        seen.sources.use(`q${at}`);
        seen.sources.use(`q${at}@dc1`);
        seen.sources.use(`q${at}@dc2`);
      }
      await operator.register("c", 5003);
      seen.sources.use("far@dc2");
      await becomes(() => seen.ports("c"), [4003, 5003]);
      await becomes(() => seen.value("catalog", "far@dc2"), []);
      seen.sources.use("far@dc2");
      await becomes(() => seen.ports("far@dc2"), [4100]);
      const status = seen.sources.status();
      expect(status.servicesInUse).to.equal(servicesInUse + 1);
      expect(watched().filter((name) => name.startsWith("catalog of"))).to.deep.equal([
        "catalog of dc2",
      ]);
      // The answers for made-up names are bounded, however many were asked for.
      expect(seen.keys("service").length).to.be.below(1_100);
    });
  });
