/** Two real datacenters that know each other: names there, and services of one that take the place of the other's. */
import { expect } from "chai";
import type { UpstreamsAnswer } from "../../gateway/primary/index.ts";
import { findRealConsul, startTwoDatacenters, type TestConsul } from "../support/consul.ts";
import { writesTo } from "../support/consul-writes.ts";
import { EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { WorkerConnections } from "../support/worker-connections.ts";

if (findRealConsul() !== null)
  describe("a gateway with two datacenters", function () {
    this.timeout(300_000);
    let here: TestConsul;
    let there: TestConsul;
    let gateway: TestGateway;
    let near: EchoOrigin;
    let far: EchoOrigin;

    before(async () => {
      [near, far] = await Promise.all([EchoOrigin.start("near"), EchoOrigin.start("far")]);
      [here, there] = await startTwoDatacenters();
      const flags = ["--expose", "all", "--watch-timeout", "30s"];
      gateway = await TestGateway.start({ consul: here.url, flags });
    });
    after(() =>
      Promise.all([gateway?.stop(), here?.stop(), there?.stop(), near?.close(), far?.close()]),
    );

    const register = (consul: TestConsul, { port }: EchoOrigin, id = "thumb") =>
      writesTo(consul.url).register({ id, name: "thumb", port, tags: ["v1"] });
    const comesFrom = (host: string, origin: string) =>
      eventually(`${host} is answered by ${origin}`, async () => {
        const answer = await gateway.request({ host });
        expect(answer.status, answer.body).to.equal(200);
        expect(echoOf(answer).origin).to.equal(origin);
      });

    it("finds a service there by its name, and its own by the names with its datacenter", async () => {
      await register(here, near);
      await register(there, far);
      await comesFrom("thumb.service.dc2.consul", "far");
      await comesFrom("v1.thumb.service.dc2.consul", "far");
      await comesFrom("thumb.service.dc1.consul", "near");
      await comesFrom("thumb.service.consul", "near");
    });

    it("sends requests there while no instance here can be used, without one that fails", async () => {
      await register(here, near);
      await register(there, far);
      const writes = writesTo(here.url);
      await writes.put("upstreams/pictures", { service: "thumb", failover: ["dc2", "dc1", "dc9"] });
      await writes.put("hosts/pictures.example", { paths: { "/": "pictures" } });
      const host = "pictures.example";
      // Both have the route, and both know the instances there.
      (await WorkerConnections.open(gateway, host)).close();
      const addresses = [near, far].map(({ port }) => `127.0.0.1:${port}`);
      await eventually("every worker knows the instances of both", async () => {
        const { body } = await gateway.admin("/upstreams?name=pictures");
        const { upstreams } = JSON.parse(body) as UpstreamsAnswer;
        const [known] = upstreams;
        const wide = known?.peers.filter(({ workers }) => workers.length === 2) ?? [];
        expect(wide.map(({ address }) => address)).to.have.members(addresses);
      });
      await writes.deregister("thumb");
      const statuses = new Set<number>();
      await eventually("dc2 answers", async () => {
        const answer = await gateway.request({ host });
        statuses.add(answer.status);
        expect(echoOf(answer).origin).to.equal("far");
      });
      expect([...statuses]).to.deep.equal([200]);
      await register(here, near);
      await comesFrom(host, "near");
      await eventually("what has no effect is told", async () => {
        const { warnings } = await gateway.status();
        const told = warnings.filter(({ key }) => key === "sluice/upstreams/pictures");
        expect(told.map(({ warning }) => warning)).to.have.members([
          "failover: dc1 is the service's own datacenter",
          "failover: Consul knows no datacenter dc9",
        ]);
      });
    });

    it("sends them there also while those here refuse connections", async () => {
      await register(there, far);
      const gone = await EchoOrigin.start("gone");
      await register(here, gone);
      await writesTo(here.url).put("upstreams/broken", {
        ...{ service: "v1.thumb.service.consul", failover: ["dc2"] },
      });
      await writesTo(here.url).put("hosts/broken.example", { paths: { "/": "broken" } });
      await comesFrom("broken.example", "gone").finally(() => gone.close());
      await comesFrom("broken.example", "far");
    });
  });
