/** A Consul that is down, has lost its memory, hangs or refuses: what worked goes on working. */
import { expect } from "chai";
import type { Status } from "../../gateway/primary/index.ts";
import {
  consulKinds,
  findRealConsul,
  startRealConsul,
  type TestConsul,
} from "../support/consul.ts";
import { writesTo } from "../support/consul-writes.ts";
import { EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { type GatewayAnswer, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { SteadyLoad } from "../support/steady-load.ts";
import { WorkerConnections } from "../support/worker-connections.ts";
import { homeHost, Scene } from "./scene.ts";

const from = (name: string) => (answer: GatewayAnswer) =>
  expect(echoOf(answer).origin).to.equal(name);

for (const kind of consulKinds())
  describe(`a gateway and an ill Consul: ${kind.name}`, function () {
    this.timeout(300_000);
    let scene: Scene;
    let service: EchoOrigin;

    before(async () => {
      scene = await Scene.open(kind);
      service = await EchoOrigin.start("service");
      await writeAll();
      await scene.start({
        flags: ["--expose", "all", "--watch-timeout", "300ms", "--script-timeout", "1s"],
      });
      const workers = await scene.workers();
      await workers.all("the service is watched", { host: "ill" }, from("service"));
    });
    // One test that fails half-way must not fail the next ones.
    beforeEach(async () => {
      await writeAll();
      await eventually("everything is served and known", async () => {
        await everythingServes();
        for (const name of ["unasked", "never-asked"]) expect(await isKnown(name)).to.equal(true);
      });
      await scene.gateway.caughtUp();
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await scene?.close();
      await service?.close();
    });

    /** Everything that the tests below look at. */
    async function writeAll(): Promise<void> {
      await scene.writeHome();
      await scene.writes.register({ name: "ill", port: service.port, tags: ["v1"] });
      for (const name of ["unasked", "never-asked"])
        await scene.writes.register({ name, port: service.port });
      await scene.writes.put("scripts/scripted.example", "export default () => deny(418)");
    }

    async function everythingServes(): Promise<void> {
      const workers = await WorkerConnections.open(scene.gateway, homeHost);
      try {
        for (const prefix of workers.prefixes) {
          from("home")(await workers.ask(prefix, { host: homeHost }));
          from("service")(await workers.ask(prefix, { host: "v1.ill.service.consul" }));
          expect((await workers.ask(prefix, { host: "scripted.example" })).status).to.equal(418);
        }
      } finally {
        workers.close();
      }
    }

    /** Whether the gateway has read of the service in Consul's catalog, without a request for it. */
    async function isKnown(name: string): Promise<boolean> {
      const url = encodeURIComponent(`http://${name}.service.consul/`);
      const { status, body } = await scene.gateway.admin(`/explain?url=${url}`);
      const { outcome } = JSON.parse(body) as { readonly outcome?: { readonly kind: string } };
      return status === 200 && outcome?.kind !== "answer";
    }

    /** What Consul has as the version of the script that the gateways agreed on. Rejects when it has none. */
    async function liveVersion(): Promise<unknown> {
      const answer = await fetch(`${scene.consul.url}/v1/kv/sluice/live/scripted.example?raw`);
      expect(answer.status).to.equal(200);
      return Reflect.get(Object(await answer.json()), "live");
    }

    const isStale = () =>
      scene.gateway.statusWhen("it says that it is stale", ({ consul }) => consul.stale !== null);
    const isWell = () =>
      scene.gateway.statusWhen("it says that all is well", ({ consul }) => consul.stale === null);

    it("stopped and started again: all routes stay, and changes go on", async () => {
      const load = new SteadyLoad({
        port: scene.gateway.httpPort,
        host: "ill.service.consul",
        perSecond: 50,
        kept: 4,
      });
      scene.later(() => load.stop());
      const { version } = await scene.gateway.caughtUp();
      await scene.consul.kill();
      const { consul, notReady } = await isStale();
      expect(consul.stale?.error).to.be.a("string").and.not.equal("");
      expect(Date.now() - Date.parse(consul.stale?.since ?? "")).to.be.within(0, 60_000);
      expect(notReady).to.equal(null);
      await everythingServes();
      const unasked = await scene.gateway.request({ host: "unasked" });
      expect(unasked.status).to.equal(503);
      await scene.consul.restart({ keepData: true });
      await isWell();
      await everythingServes();
      expect((await load.stop()).failures).to.deep.equal({});
      await scene.writes.put("hosts/after-restart.example", { paths: { "/": "home" } });
      const workers = await scene.workers();
      await workers.all("a change goes on", { host: "after-restart.example" }, from("home"));
      expect((await scene.gateway.status()).version).to.be.greaterThan(version);
    });

    it("killed and started again empty: routes stay, are shown as held, and are followed again once they are back", async () => {
      const forgotten = { host: "forgotten.example" };
      await scene.writes.put("hosts/forgotten.example", { paths: { "/": "home" } });
      const before = await scene.workers();
      await before.all("the host is served", forgotten, from("home"));
      let agreed: unknown;
      await eventually("it is agreed on which script serves", async () => {
        agreed = await liveVersion();
      });
      await scene.consul.kill();
      await isStale();
      await scene.consul.restart({ keepData: false });
      const lost = [
        ...[`host ${homeHost}`, "upstream home", "script scripted.example"],
        ...["service ill", "catalog ill", "agreement scripted.example"],
      ];
      const heldIn = (status: Status) =>
        new Set(status.held.map(({ kind: what, key }) => `${what} ${key}`));
      await scene.gateway.statusWhen("it holds what Consul does not show any more", (status) => {
        const held = heldIn(status);
        return status.consul.stale === null && lost.every((name) => held.has(name));
      });
      await everythingServes();

      await writeAll();
      await scene.gateway.statusWhen("what came back is held no more", (status) =>
        heldIn(status).isDisjointFrom(new Set(lost)),
      );
      // Nobody but the gateway can have brought that back.
      expect(await liveVersion()).to.equal(agreed);
      await everythingServes();
      const moved = await scene.origin("moved");
      await scene.writes.put("upstreams/home", { servers: [moved.server] });
      const workers = await scene.workers();
      await workers.all("a change of it is followed", { host: homeHost }, from("moved"));
      await scene.writeHome();
      await workers.all("and back", { host: homeHost }, from("home"));

      // What never came back is still served, until an operator says that it is gone.
      await workers.all("the forgotten host is served", forgotten, from("home"));
      expect((await scene.gateway.admin("/resync", "POST")).status).to.equal(200);
      await workers.all("now it is gone", forgotten, ({ status }) => expect(status).to.equal(404));
      await scene.gateway.statusWhen("nothing is held", ({ held }) => held.length === 0);
      await everythingServes();
    });

    it("hanging: what is known serves, what is not fails in time, and changes go on afterwards", async () => {
      scene.consul.suspend();
      scene.later(() => scene.consul.resume());
      await everythingServes();
      const unasked = await scene.gateway.request({ host: "never-asked.service.consul" });
      expect(unasked.status).to.equal(503);
      scene.consul.resume();
      await eventually("the service that was asked for serves", async () => {
        from("service")(await scene.gateway.request({ host: "never-asked.service.consul" }));
      });
      await scene.writes.put("hosts/after-hang.example", { paths: { "/": "home" } });
      const workers = await scene.workers();
      await workers.all("a change goes on", { host: "after-hang.example" }, from("home"));
    });

    it("down at the start, when one was named: not ready, says why, and comes up with Consul", async () => {
      const { url } = scene.consul;
      await scene.consul.kill();
      const late = TestGateway.launch({ consul: url });
      scene.later(() => late.stop());
      await late.adminUp();
      const before = await late.admin("/readyz");
      expect(before.status).to.equal(503);
      const { consul, notReady } = await late.statusWhen(
        "it says that Consul does not answer",
        (status) => status.consul.stale !== null,
      );
      expect(notReady).to.contain(url);
      expect(consul.stale?.error).to.match(/refuse/i);
      await scene.consul.restart({ keepData: true });
      await late.ready();
      from("home")(await late.request({ host: homeHost }));
    });
  });

const realIsHere = findRealConsul() !== null;

if (realIsHere)
  describe("a gateway and the ACLs of a real Consul", function () {
    this.timeout(300_000);
    const master = "6d2c2f4e-0000-4000-8000-00000000aaaa";
    const secret = "6d2c2f4e-0000-4000-8000-00000000bbbb";
    let consul: TestConsul;
    let origin: EchoOrigin;
    let gateway: TestGateway | null = null;

    before(async () => {
      origin = await EchoOrigin.start("home");
      consul = await startRealConsul({
        config: {
          primary_datacenter: "dc1",
          acl: { enabled: true, default_policy: "deny", tokens: { master, agent: master } },
        },
        token: master,
      });
      const writes = writesTo(consul.url, master);
      await writes.put("upstreams/home", { servers: [origin.server] });
      await writes.put(`hosts/${homeHost}`, { paths: { "/": "home" } });
      await writes.register({ name: "guarded", port: origin.port });
      await acl("PUT", "policy", {
        Name: "gateway",
        Rules: `key_prefix "sluice/" { policy = "read" }
          service_prefix "" { policy = "read" }
          node_prefix "" { policy = "read" }`,
      });
    });
    afterEach(async () => {
      await gateway?.stop();
      gateway = null;
    });
    after(async () => {
      await origin?.close();
      await consul?.stop();
    });

    async function acl(method: string, path: string, body?: object): Promise<unknown> {
      const answer = await fetch(`${consul.url}/v1/acl/${path}`, {
        method,
        headers: { "x-consul-token": master },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
      return JSON.parse(text);
    }

    /** Gives the accessor's id. */
    async function createToken(): Promise<string> {
      const token = await acl("PUT", "token", {
        SecretID: secret,
        Policies: [{ Name: "gateway" }],
      });
      if (typeof token !== "object" || token === null) throw new Error("no token");
      return String(Reflect.get(token, "AccessorID"));
    }

    /** Neither log nor /status shows the token. */
    async function keptSecret(one: TestGateway): Promise<void> {
      const shown = [JSON.stringify(await one.status()), JSON.stringify(one.records), one.errors];
      expect(shown.join("\n")).to.not.contain(secret);
    }

    it("a token that Consul does not know: 403 on everything, which /status and /readyz say", async () => {
      gateway = TestGateway.launch({
        consul: consul.url,
        env: { CONSUL_HTTP_TOKEN: secret },
      });
      await gateway.adminUp();
      const status = await gateway.statusWhen(
        "every base watch has failed",
        ({ watches }) => watches.length >= 6 && watches.every(({ state }) => state === "failing"),
      );
      expect(status.consul.stale?.error).to.contain("403");
      expect(status.notReady).to.contain("403");
      for (const { lastError } of status.watches) expect(lastError).to.contain("403");
      await keptSecret(gateway);
      // The operator gives the token its rights, and the gateway comes up by itself.
      const accessor = await createToken();
      await gateway.ready();
      from("home")(await gateway.request({ host: homeHost }));
      await acl("DELETE", `token/${accessor}`);
    });

    it("a token that is revoked: the routes stay, /status says 403, and a new token heals it", async () => {
      const accessor = await createToken();
      gateway = await TestGateway.start({
        consul: consul.url,
        flags: ["--expose", "all"],
        env: { CONSUL_HTTP_TOKEN: secret },
      });
      const running = gateway;
      await eventually("the service serves", async () => {
        from("home")(await running.request({ host: "guarded.service.consul" }));
      });
      await acl("DELETE", `token/${accessor}`);
      const writes = writesTo(consul.url, master);
      // A change wakes the queries that were let in before, and their next ones are refused.
      const wake = async () => {
        await writes.put("hosts/wake.example", { paths: { "/": "home" } });
        await writes.put("upstreams/wake", { servers: [origin.server] });
        await writes.register({ name: "guarded", port: origin.port, tags: [String(Date.now())] });
      };
      await eventually("/status says 403", async () => {
        await wake();
        expect((await running.status()).consul.stale?.error ?? "").to.contain("403");
      });
      for (let at = 0; at < 10; at += 1) {
        from("home")(await running.request({ host: homeHost }));
        from("home")(await running.request({ host: "guarded.service.consul" }));
      }
      expect((await running.status()).notReady).to.equal(null);
      await keptSecret(running);
      const fresh = await createToken();
      await running.statusWhen("it is well again", (status) => status.consul.stale === null);
      await writes.put("hosts/healed.example", { paths: { "/": "home" } });
      await eventually("changes go on", async () => {
        from("home")(await running.request({ host: "healed.example" }));
      });
      await acl("DELETE", `token/${fresh}`);
    });
  });
else console.log("no real Consul here: the gateway's end-to-end tests with ACLs do not run");
