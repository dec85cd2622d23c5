/** Releases of scripts over two gateways on one Consul: refused, rolled out, removed, remembered. */
import { Agent } from "node:http";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import type { TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { failsAt, ScriptScene, says, says200 } from "./script-scene.ts";

for (const kind of consulKinds())
  describe(`releases of scripts on two gateways with ${kind.name}`, function () {
    this.timeout(600_000);
    const desk = new ScriptScene(kind);

    it("a version that fails its own tests goes live nowhere, and both gateways say which case", async () => {
      const host = desk.newHost();
      await desk.put(host, says("good"));
      await desk.everywhere("it is live", host, says200("good"));
      const cases = `export const tests = [{ name: "is denied", expect: { deny: 403 } }];`;
      await desk.put(host, says("bad", cases));
      for (const gateway of desk.gateways) {
        const { refused } = await gateway.statusWhen("it is refused", (now) =>
          now.refused.some((one) => one.key === `sluice/scripts/${host}`),
        );
        const found = refused.find((one) => one.key === `sluice/scripts/${host}`);
        expect(found).to.deep.include({
          line: 1,
          test: {
            name: "is denied",
            expected: '{"deny":{"status":403}}',
            actual: '{"respond":{"status":200,"body":"bad","headers":{}}}',
          },
        });
        says200("good")(await desk.ask(gateway, host));
        const told = () =>
          gateway.records.filter(
            ({ key: of, msg }) => of === `sluice/scripts/${host}` && /is refused/.test(msg),
          );
        await eventually("it is said once", async () => expect(told()).to.have.lengthOf(1));
        expect(told()[0]).to.deep.include({ test: found && "test" in found ? found.test : null });
      }
      await eventually("the history says so, once", async () => {
        const history = await desk.historyOf(host);
        expect(history.map(({ outcome }) => outcome)).to.deep.equal(["refused", "live"]);
        expect(history[0]?.detail).to.contain('test "is denied": expected');
      });
      await desk.put(host, says("better", `export const tests = [{ expect: { respond: 200 } }];`));
      await desk.everywhere("a good one follows", host, says200("better"));
    });

    it("a gateway that starts while a refused version is in KV serves the last good one", async () => {
      const host = desk.newHost();
      await desk.put(host, says("good"));
      await desk.everywhere("it is live", host, says200("good"));
      await desk.comesTo(host, "live");
      await desk.put(host, "export default () => {");
      await desk.comesTo(host, "refused", "live");
      const third = await desk.start();
      desk.scene.later(() => third.stop());
      // Until the source in KV is examined and refused, this host alone answers 503.
      await eventually("it serves the good one", async () =>
        says200("good")(await desk.ask(third, host)),
      );
    });

    const users = Array.from({ length: 60 }, (_, at) => `user-${at}`);
    /** Who gets the version of a rollout, `new`. */
    const who = async (gateway: TestGateway, host: string) => {
      const got = await Promise.all(users.map((user) => desk.ask(gateway, host, user)));
      return users.filter((_, at) => got[at]?.body === "new");
    };
    /** In the place of another version, with so much of each step. */
    async function rollOut(host: string, stepText: string): Promise<void> {
      await desk.put(host, says("old"));
      await desk.everywhere("the old one is live", host, says200("old"));
      await desk.comesTo(host, "live");
      const steps = JSON.stringify([stepText, stepText]);
      const rollout = `export const rollout = { percent: 20, steps: ${steps}, by: "x-user" };`;
      await desk.put(host, says("new", rollout));
    }

    it("a rollout is the same on both gateways, and a restart continues it", async () => {
      const host = desk.newHost();
      await rollOut(host, "1h");
      let first: string[] = [];
      await eventually("both gateways give it to the same users", async () => {
        const [one, other] = await Promise.all(desk.gateways.map((each) => who(each, host)));
        expect(one).to.deep.equal(other);
        expect(one?.length).to.be.within(3, 25);
        first = one ?? [];
      });
      const [gateway] = desk.gateways;
      if (gateway === undefined) throw new Error("two gateways");
      const status = await eventually("the calls of both are counted", async () => {
        const found = await desk.statusOf(gateway, host);
        expect(found?.trial?.calls).to.be.above(0);
        expect(found?.calls).to.be.above(0);
        return found;
      });
      expect(status?.life.rollout?.percent).to.equal(20);
      await desk.comesTo(host, "rollout", "live");
      const again = await desk.restart(gateway);
      const life = (await desk.key(`live/${host}`)) as { next: { startedAt: string } };
      expect(life.next.startedAt).to.equal(status?.life.rollout?.startedAt);
      // Until the script in KV is examined, the host answers 503 there.
      await eventually("it goes on with those who had it", async () =>
        expect(await who(again, host)).to.deep.equal(first),
      );
    });

    it("a rollout widens step by step until everybody has it, on both gateways", async () => {
      const host = desk.newHost();
      await rollOut(host, "3s");
      for (const gateway of desk.gateways) {
        await eventually("everybody gets it", async () =>
          expect(await who(gateway, host)).to.have.lengthOf(users.length),
        );
      }
      await desk.comesTo(host, "live", "replaced");
      const told = () =>
        desk.gateways.flatMap(({ records }) =>
          records.filter(
            ({ key: of, msg }) => of === `sluice/scripts/${host}` && /all requests/.test(msg),
          ),
        );
      await eventually("it is said, by one gateway", async () =>
        expect(told()).to.have.lengthOf(1),
      );
    });

    it("a rollout goes by the client's address where it names no header", async () => {
      const host = desk.newHost();
      await desk.put(host, says("old"));
      await desk.everywhere("the old one is live", host, says200("old"));
      await desk.put(host, says("new", `export const rollout = { percent: 30, steps: ["1h"] };`));
      const addresses = Array.from({ length: 60 }, (_, at) => `127.0.0.${at + 2}`);
      const whoOf = async (gateway: TestGateway) => {
        const got = await Promise.all(
          addresses.map((localAddress) =>
            gateway.request({ host, agent: new Agent({ localAddress }) }),
          ),
        );
        return addresses.filter((_, at) => got[at]?.body === "new");
      };
      await eventually("both gateways give it to the same addresses", async () => {
        const [one, other] = await Promise.all(desk.gateways.map(whoOf));
        expect(one).to.deep.equal(other);
        expect(one?.length).to.be.within(6, 32);
      });
      await desk.put(host, says("old"));
      for (const gateway of desk.gateways) {
        await eventually("the version before ends it", async () =>
          expect(await whoOf(gateway)).to.deep.equal([]),
        );
      }
    });

    it("a wildcard's script has the same life", async () => {
      const domain = `wild${desk.newHost()}`;
      const [gateway] = desk.gateways;
      if (gateway === undefined) throw new Error("two gateways");
      await desk.put(`*.${domain}`, says("one"));
      await desk.everywhere("the first is live", `a.${domain}`, says200("one"));
      await desk.put(`*.${domain}`, failsAt("two"));
      await desk.everywhere("the second is live", `b.${domain}`, says200("two"));
      await desk.comesTo(`*.${domain}`, "live", "replaced");
      let clients = 0;
      const fail = () => {
        clients += 1;
        return desk.ask(gateway, `c${clients}.${domain}`, "ada", "/fail");
      };
      expect((await fail()).status).to.equal(500);
      await desk.failUntil(gateway, `*.${domain}`, fail, ({ takenBack }) => takenBack.length > 0);
      await desk.everywhere("the first is live again", `a.${domain}`, says200("one"));
      await desk.comesTo(`*.${domain}`, "live", "taken back", "replaced");
    });

    it("an agreement that was imported from another Consul stops no new version", async () => {
      const host = desk.newHost();
      await desk.put(host, says("one"));
      await desk.everywhere("the first is live", host, says200("one"));
      const index = async () =>
        ((await desk.key(`live/${host}`)) as { index: number } | null)?.index;
      await eventually("they agree", async () => expect(await index()).to.be.above(0));
      const life = (await desk.key(`live/${host}`)) as object;
      await desk.scene.writes.put(`live/${host}`, { ...life, index: 1_000_000_000, revision: 99 });
      await desk.put(host, says("two"));
      await desk.everywhere("the second is live", host, says200("two"));
      await eventually("they agree by this Consul's count", async () =>
        expect(await index()).to.be.below(1_000_000_000),
      );
      await desk.comesTo(host, "live", "replaced");
    });

    it("a script that is deleted ends at once on both, and its history says so", async () => {
      const host = desk.newHost();
      await desk.put(host, says("here"));
      await desk.everywhere("it is live", host, says200("here"));
      await desk.comesTo(host, "live");
      await desk.scene.writes.remove(`scripts/${host}`);
      await desk.everywhere("it is gone", host, ({ status }) => expect(status).to.equal(404));
      await desk.comesTo(host, "removed");
    });

    it("a failing script lets its requests go on when it says so", async () => {
      const host = desk.newHost();
      await desk.scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      await desk.put(
        host,
        `export const onError = "skip"; export default () => { throw new Error("no"); };`,
      );
      await desk.everywhere("the origin answers", host, ({ status, headers }) => {
        expect(status).to.equal(200);
        expect(headers["x-origin"]).to.equal("home");
      });
      await eventually("the errors are counted all the same", async () => {
        for (const gateway of desk.gateways) {
          expect((await desk.ask(gateway, host)).headers["x-origin"]).to.equal("home");
          expect((await desk.statusOf(gateway, host))?.errors).to.be.above(0);
        }
      });
    });

    it("a gateway ends in time though Consul hangs", async () => {
      const host = desk.newHost();
      const third = await desk.start();
      await desk.put(host, says("one"));
      await eventually("it is live", async () => says200("one")(await desk.ask(third, host)));
      desk.scene.later(() => desk.scene.consul.resume());
      desk.scene.consul.suspend();
      expect(await third.stop()).to.equal(0);
      desk.scene.consul.resume();
      await desk.everywhere("the others go on", host, says200("one"));
    });

    it("every gateway is registered while it runs", async () => {
      const isRegistered = async (gateway: TestGateway) => {
        const answer = await fetch(`${desk.scene.consul.url}/v1/kv/sluice/gateways/?recurse`);
        const keys = answer.status === 404 ? [] : ((await answer.json()) as { Value: string }[]);
        return keys.some(({ Value }) =>
          JSON.parse(Buffer.from(Value, "base64").toString()).admin.endsWith(
            `:${gateway.adminPort}`,
          ),
        );
      };
      const third = await desk.start();
      await eventually("all three are there", async () => {
        for (const gateway of [...desk.gateways, third])
          expect(await isRegistered(gateway)).to.equal(true);
      });
      await third.stop();
      // It waits for Consul for a second only; then the end of its session takes it away.
      await eventually("it is there no more", async () =>
        expect(await isRegistered(third)).to.equal(false),
      );
      for (const gateway of desk.gateways) expect(await isRegistered(gateway)).to.equal(true);
    });
  });
