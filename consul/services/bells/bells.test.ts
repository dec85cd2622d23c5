import { expect } from "chai";
import { settled, until } from "../../../test/support/conditions.ts";
import { consulKinds, type TestConsul } from "../../../test/support/consul.ts";
import { type ConsulClient, createConsul } from "../../api/client.ts";
import { Operator } from "../../fixtures/observed.ts";
import { systemClock } from "../../watching/clock.ts";
import { Bells } from "./bells.ts";

const nodes = ["n1", "n2", "n3"];

for (const kind of consulKinds())
  describe(`bells on ${kind.name}`, function () {
    this.timeout(300_000);
    let consul: TestConsul;
    let client: ConsulClient;
    let operator: Operator;
    let bells: Bells;
    let rung: string[];

    const register = (service: string, node: string, more: object = {}, check: object = {}) =>
      operator.send("PUT", "/v1/catalog/register", {
        Node: node,
        Address: `10.0.0.${nodes.indexOf(node) + 1}`,
        Service: { ID: `${service}-1`, Service: service, Address: "127.0.0.1", Port: 1, ...more },
        Check: {
          Node: node,
          CheckID: `c-${service}`,
          Name: "c",
          ServiceID: `${service}-1`,
          Status: "passing",
          ...check,
        },
      });
    const begin = async (maxWatches = 50) => {
      rung = [];
      bells = new Bells({
        consul: client,
        clock: systemClock,
        random: Math.random,
        waitMs: 60_000,
        log: { debug() {}, info() {}, warn() {} },
        maxWatches,
        onRing: (services) => rung.push(...services),
      });
      bells.start();
      await until("every change is told", () => bells.toldSince !== null);
      await settled(() => rung.length, 5);
      rung = [];
    };
    /** What rings because of `change`; `service` rings in any case. */
    const ringsAt = async (service: string, change: () => Promise<void>) => {
      rung = [];
      await change();
      await until(`${service} rings`, () => rung.includes(service));
      await settled(() => rung.length, 5);
      return [...new Set(rung)].sort();
    };

    before(async () => {
      consul = await kind.start();
      client = createConsul({ url: consul.url }, {});
      operator = new Operator(consul.url);
    });
    beforeEach(async () => {
      for (const node of nodes) {
        await register(`${node}-a`, node);
        await register(`${node}-b`, node);
      }
    });
    afterEach(async () => {
      await bells.stop();
      for (const node of nodes)
        await operator.send("PUT", "/v1/catalog/deregister", { Node: node });
    });
    after(async () => {
      client.close();
      await consul.stop();
    });

    for (const [words, maxWatches] of [
      ["where each node has a watch", 50],
      ["where most nodes are polled", 4],
    ] as const)
      it(`ring for the service that changed, and for no other, ${words}`, async () => {
        await begin(maxWatches);
        const moved = () => bells.registrationsMoved();
        const change = (make: () => Promise<void>) => async () => {
          await make();
          moved();
        };
        const rings = async (make: () => Promise<void>, service = "n2-a") =>
          expect(await ringsAt(service, change(make))).to.deep.equal([service]);
        await rings(() => register("new", "n2"), "new");
        await rings(() => register("n2-a", "n2", { Port: 2 }));
        await rings(() => register("n2-a", "n2", { Port: 2, Tags: ["x"] }));
        const tagged = { Port: 2, Tags: ["x"] };
        await rings(() => register("n2-a", "n2", tagged, { Status: "critical" }));
        await rings(() => register("n2-a", "n2", tagged, { Status: "warning" }));
        await rings(() => register("n2-a", "n2", tagged));
        const gone = { Node: "n2", ServiceID: "n2-a-1" };
        await rings(() => operator.send("PUT", "/v1/catalog/deregister", gone));
        expect(bells.toldSince).not.to.equal(null);
      });

    it("ring for all that is on a node that fails, moves, comes or goes", async () => {
      await begin();
      const onNode = { Node: "n1", Address: "10.0.0.1" };
      const check = { Node: "n1", CheckID: "serfHealth", Name: "s", Status: "critical" };
      const put = (path: string, body: object) => () => operator.send("PUT", path, body);
      const both = ["n1-a", "n1-b"];
      const ill = put("/v1/catalog/register", { ...onNode, Check: check });
      expect(await ringsAt("n1-a", ill)).to.deep.equal(both);
      const well = put("/v1/catalog/register", {
        ...onNode,
        Check: { ...check, Status: "passing" },
      });
      expect(await ringsAt("n1-a", well)).to.deep.equal(both);
      const moved = put("/v1/catalog/register", { Node: "n1", Address: "10.0.0.99" });
      expect(await ringsAt("n1-a", moved)).to.deep.equal(both);
      const gone = async () => {
        await operator.send("PUT", "/v1/catalog/deregister", { Node: "n1" });
        // The node's own watch and that of all nodes tell of it.
        await until("it is watched no more", () =>
          bells.watches().every(({ name }) => name !== "node n1"),
        );
      };
      expect(await ringsAt("n1-a", gone)).to.deep.equal(both);
      expect(await ringsAt("n1-a", () => register("n1-a", "n1"))).to.deep.equal(["n1-a"]);
    });

    it("say so while Consul is away, and ring for what changed meanwhile", async () => {
      await begin();
      consul.suspend();
      await consul.kill();
      await until("nothing is told", () => bells.toldSince === null);
      rung = [];
      await consul.restart({ keepData: true });
      await register("n3-b", "n3", { Port: 9 });
      await until("every change is told", () => bells.toldSince !== null);
      await until("it rings", () => rung.includes("n3-b"));
    });
  });
