/** Faults of a real cluster under steady traffic: no request fails, and the truth is back soon after the fault is over. */
import { expect } from "chai";
import { Cluster, whyNoCluster } from "../support/cluster/cluster.ts";

const missing = whyNoCluster();

if (missing === null)
  describe("a cluster of three Consul servers and two gateways whose clocks are an hour apart", function () {
    this.timeout(600_000);
    let cluster: Cluster;

    before(async () => {
      cluster = await Cluster.open({ perSecond: 40 });
    });
    after(() => cluster?.close());

    it("serves every request and finds the truth again, whatever happens to Consul", async () => {
      await cluster.killLeader();
      await cluster.killMajority(3_000);
      await cluster.cutGateway(8_000);
      await cluster.wipe();
      // Each of them waits until both gateways have the truth again; `bench/cluster.ts` records how long that takes.
      for (const { fault, consulMs, gatewaysMs } of cluster.results) {
        const [consul, gateways] = [consulMs, gatewaysMs].map(Math.round);
        console.log(`      ${fault}: Consul after ${consul} ms, all workers ${gateways} ms later`);
      }
      for (const [name, { good, failures }] of await cluster.endTraffic()) {
        expect(failures, name).to.deep.equal({});
        expect(good, name).to.be.above(0);
      }
    });
  });
