/** Gateways that register themselves, and what `GET /fleet` and `sluice status --fleet` say of all of them. */
import { expect } from "chai";
import type { FleetAnswer } from "../../gateway/primary/index.ts";
import { consulKinds } from "../support/consul.ts";
import { runSluice, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { onTerminal } from "../support/terminal.ts";
import { homeHost, Scene } from "./scene.ts";

interface Entry {
  readonly Service: { readonly ID: string; readonly Address: string; readonly Port: number };
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string }[];
}

for (const kind of consulKinds())
  describe(`a fleet of gateways with ${kind.name}`, function () {
    this.timeout(300_000);
    let scene: Scene;
    let one: TestGateway;
    let other: TestGateway;

    before(async () => {
      scene = await Scene.open(kind);
      one = await scene.start({ flags: ["--expose", "all"] });
      other = await TestGateway.start({ consul: scene.consul.url });
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await other?.stop();
      await scene?.close();
    });

    const entries = async (service = "sluice") => {
      const answer = await fetch(`${scene.consul.url}/v1/health/service/${service}`);
      return (await answer.json()) as readonly Entry[];
    };
    const entryAt = async (port: number, service?: string) =>
      (await entries(service)).find((entry) => entry.Service.Port === port) ?? null;
    const statusAt = async (port: number) =>
      (await entryAt(port))?.Checks.find(({ CheckID }) => CheckID.startsWith("service:"))?.Status;
    const fleet = async () => {
      const { status, body } = await one.admin("/fleet");
      expect(status, body).to.equal(200);
      return JSON.parse(body) as FleetAnswer;
    };
    const fleetWhen = (what: string, check: (answer: FleetAnswer) => void) =>
      eventually(what, async () => {
        const answer = await fleet();
        check(answer);
        return answer;
      });
    const at = (answer: FleetAnswer, gateway: TestGateway) =>
      answer.gateways.find(({ admin }) => admin.endsWith(`:${gateway.adminPort}`));

    it("shows every gateway with its admin address, and that all have what Consul has", async () => {
      await scene.writes.put("scripts/fleet.example", "export default () => deny(418)");
      scene.later(() => scene.writes.remove("scripts/fleet.example"));
      const answer = await fleetWhen("both have everything", ({ gateways, wanted }) => {
        expect(gateways.map(({ current, state }) => [current, state])).to.deep.equal([
          [wanted, "passing"],
          [wanted, "passing"],
        ]);
        // The upstream and the host of the scene, and the script.
        expect(wanted).to.equal(3);
      });
      expect(answer.behind).to.deep.equal([]);
      expect(answer.faults).to.deep.equal([]);
      expect(at(answer, one)).to.include({ self: true, behindCount: 0 });
      expect(at(answer, other)).to.include({ self: false, behindCount: 0 });
      expect((await entryAt(one.adminPort))?.Service).to.include({ Address: "127.0.0.1" });
    });

    it("never routes to the service itself unless a document names it", async () => {
      for (const host of ["sluice", "sluice.service.consul"]) {
        expect((await one.request({ host })).status).to.equal(404);
      }
      await scene.writes.put("hosts/admin.example", { paths: { "/": "sluice" } });
      scene.later(() => scene.writes.remove("hosts/admin.example"));
      await eventually("a document names it", async () => {
        // The admin API refuses what came through a gateway, which shows that it was reached.
        const { body } = await one.request({ host: "admin.example" });
        expect(body).to.contain("foreign");
      });
    });

    it("tells who is behind, and with what", async () => {
      const { workers } = await other.status();
      await fleetWhen("both have the scene, and nothing of the test before", (shown) =>
        expect([shown.wanted, shown.behind]).to.deep.equal([2, []]),
      );
      for (const { pid } of workers) scene.suspend(pid);
      scene.suspend(other.pid);
      await scene.writes.put("hosts/late.example", { paths: { "/": "home" } });
      scene.later(() => scene.writes.remove("hosts/late.example"));
      const answer = await fleetWhen("the one that stands still is behind", (shown) => {
        expect(at(shown, other)?.behindCount).to.equal(1);
        expect(at(shown, one)?.behindCount).to.equal(0);
      });
      expect(answer.behind).to.deep.equal([at(answer, other)?.name]);
      const [difference] = at(answer, other)?.behind ?? [];
      expect(difference).to.include({ key: "hosts/late.example", has: null });
      await scene.endTest();
      await fleetWhen("it has caught up", (shown) => {
        expect(at(shown, other)?.current).to.equal(shown.wanted);
        expect(shown.behind).to.deep.equal([]);
      });
    });

    it("shows as refused, and not as behind, what a gateway does not let through", async () => {
      const key = `hosts/${homeHost}`;
      await scene.writes.put(key, "{");
      scene.later(() => scene.writeHome());
      const answer = await fleetWhen("both refuse it", ({ gateways }) => {
        for (const { refused, behindCount } of gateways) {
          expect([refused, behindCount]).to.deep.equal([[key], 0]);
        }
      });
      expect(answer.gateways.map(({ current }) => current)).to.deep.equal([
        answer.wanted - 1,
        answer.wanted - 1,
      ]);
    });

    it("prints JSON in a pipe and lines on a terminal, and names what is no gateway", async () => {
      await scene.writes.put("gateways/garbage", "{");
      scene.later(() => scene.writes.remove("gateways/garbage"));
      await scene.writes.register({ id: "stranger", name: "sluice", port: 1 });
      scene.later(() => scene.writes.deregister("stranger"));
      await fleetWhen("both are named", ({ faults }) => expect(faults).to.have.lengthOf(2));
      const args = ["status", "--fleet", "--admin", `127.0.0.1:${one.adminPort}`];
      const { status, stdout, stderr } = await runSluice(args);
      expect(status, stderr).to.equal(0);
      const shown = JSON.parse(stdout) as FleetAnswer;
      expect(shown.faults.join("\n"))
        .to.match(/^sluice\/gateways\/garbage: /m)
        .and.match(/has stranger on .*, which is no gateway$/m);
      expect(shown.gateways).to.have.lengthOf(2);
      // On a busy machine a worker may be late for a check, and a gateway for what the test before has left.
      await eventually("both pass and have everything, on a terminal", async () => {
        const people = await onTerminal(args);
        expect(people.shown).to.match(/^2 gateways \(the service sluice\); \* answers$/m);
        expect(people.shown).to.match(/^gateway +admin +node +state +version +current$/m);
        for (const { adminPort } of [one, other])
          expect(people.shown).to.match(
            new RegExp(`^\\S+.* 127\\.0\\.0\\.1:${adminPort} .*passing .*2 of 2$`, "m"),
          );
        expect(people.shown).to.match(/^warning: sluice\/gateways\/garbage: /m);
      });
    });

    it("a check passes no longer when a worker does not answer, and passes again when it does", async () => {
      await eventually("it passes", async () =>
        expect(await statusAt(other.adminPort)).to.equal("passing"),
      );
      const suspended = new Set<number>();
      await eventually("it does not pass", async () => {
        // One that stands still for long is replaced, by one that answers.
        const { workers } = await other.status();
        if (!workers.some(({ pid }) => suspended.has(pid))) {
          const [{ pid } = { pid: Number.NaN }] = workers;
          scene.suspend(pid);
          suspended.add(pid);
        }
        expect(await statusAt(other.adminPort)).to.equal("warning");
      });
      await scene.endTest();
      await eventually("it passes again", async () =>
        expect(await statusAt(other.adminPort)).to.equal("passing"),
      );
    });

    it("a gateway that ends is gone at once, one that is killed turns critical and will be removed", async () => {
      const options = { consul: scene.consul.url, flags: ["--service-name", "edge"], workers: 1 };
      const [stopped, killed] = await Promise.all([
        TestGateway.start(options),
        TestGateway.start(options),
      ]);
      scene.later(() => Promise.all([stopped.stop(), killed.stop()]));
      for (const { adminPort } of [stopped, killed]) {
        await eventually("it is registered by its own name", async () =>
          expect(
            (await entryAt(adminPort, "edge"))?.Checks.map(({ Status }) => Status),
          ).to.deep.equal(["passing", "passing"]),
        );
      }
      const [ended, left] = [stopped.adminPort, killed.adminPort];
      await stopped.stop();
      // Without its word it would be removed after a minute.
      await eventually("it is gone", async () =>
        expect(await entryAt(ended, "edge")).to.equal(null),
      );
      killed.signal("SIGKILL");
      await eventually("Consul takes it for critical", async () => {
        const entry = await entryAt(left, "edge");
        expect(entry?.Checks.some(({ Status }) => Status === "critical")).to.equal(true);
      });
      const answer = await fetch(
        `${scene.consul.url}/v1/agent/service/${(await entryAt(left, "edge"))?.Service.ID}`,
      );
      expect(answer.status).to.equal(200);
    });

    it("registers again when the agent has forgotten it, and nothing with --service-name off", async () => {
      const entry = await entryAt(one.adminPort);
      await scene.writes.deregister(entry?.Service.ID ?? "");
      await eventually("it is there again", async () =>
        expect(await statusAt(one.adminPort)).to.equal("passing"),
      );
      const silent = await TestGateway.start({
        ...{ consul: scene.consul.url, flags: ["--service-name", "off"], workers: 1 },
      });
      scene.later(() => silent.stop());
      const answer = await fleetWhen("its key in KV shows it", (shown) =>
        expect(at(shown, silent)?.current).to.equal(shown.wanted),
      );
      expect(at(answer, silent)).to.include({ state: "unregistered", node: null });
      expect(await entryAt(silent.adminPort)).to.equal(null);
    });
  });
