/** From documents and services in Consul to an origin, through every worker of a gateway. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import type { GatewayAnswer } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { refusingPeer } from "../support/unreachable.ts";
import { homeHost, Scene } from "./scene.ts";

const from = (name: string) => (answer: GatewayAnswer) =>
  expect(echoOf(answer).origin).to.equal(name);
const status = (code: number) => (answer: GatewayAnswer) => expect(answer.status).to.equal(code);

for (const kind of consulKinds())
  describe(`routes of a gateway with ${kind.name}`, function () {
    this.timeout(300_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
      // A machine that is busy is no reason for a service to be unknown.
      await scene.start({ flags: ["--expose", "all", "--watch-timeout", "30s"] });
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    it("a host document sends each path to the upstream of its longest prefix, on every worker", async () => {
      const { writes } = scene;
      const [web, api, v2] = await Promise.all(
        ["web", "api", "v2"].map((name) => scene.origin(name)),
      );
      const workers = await scene.workers();
      for (const origin of [web, api, v2])
        if (origin) await writes.put(`upstreams/doc-${origin.name}`, { servers: [origin.server] });
      await writes.put("hosts/shop.example", {
        paths: { "/": "doc-web", "/api": { upstream: "doc-api" }, "/api/v2": "doc-v2" },
      });
      const host = "shop.example";
      await workers.all("/api/v2 has its route", { host, path: "/api/v2/x?y=1" }, from("v2"));
      await workers.all("/api has its route", { host, path: "/api/v3" }, from("api"));
      await workers.all("whole segments count", { host, path: "/apix" }, from("web"));
      await workers.all("the rest goes to /", { host, path: "/" }, from("web"));
      const [first = ""] = workers.prefixes;
      const seen = echoOf(await workers.ask(first, { host, path: "/api/v2/x?y=1" }));
      expect(seen.url).to.equal("/api/v2/x?y=1");
      expect(seen.headers).to.include({ host, "x-forwarded-host": host });

      await writes.put("hosts/shop.example", { paths: { "/": "doc-api" } });
      await workers.all("a changed document is used", { host, path: "/api/v2" }, from("api"));
      await writes.remove("hosts/shop.example");
      await workers.all("a deleted document leaves no route", { host }, (answer) => {
        expect(answer.status).to.equal(404);
        expect(answer.body).to.contain("shop.example");
      });
    });

    it("a wildcard serves the hosts below it that have no document of their own", async () => {
      const { writes } = scene;
      const [wide, near] = await Promise.all([scene.origin("wide"), scene.origin("near")]);
      const workers = await scene.workers();
      await writes.put("upstreams/wide", { servers: [wide.server] });
      await writes.put("upstreams/near", { servers: [near.server] });
      await writes.put("hosts/*.wild.example", { paths: { "/": "wide" } });
      await writes.put("hosts/*.b.wild.example", { paths: { "/": "near" } });
      await writes.put("hosts/own.wild.example", { paths: { "/": "near" } });
      await workers.all("its own document wins", { host: "own.wild.example" }, from("near"));
      await workers.all("the wildcard serves", { host: "x.wild.example" }, from("wide"));
      await workers.all("as deep as one likes", { host: "y.x.wild.example:80" }, from("wide"));
      await workers.all("the longer one wins", { host: "a.b.wild.example" }, from("near"));
      await workers.all("not the domain itself", { host: "wild.example" }, status(404));
    });

    it("an upstream document in Slardar's format is a host by its own name, with its weights", async () => {
      const { writes } = scene;
      const [heavy, light] = await Promise.all([scene.origin("heavy"), scene.origin("light")]);
      const workers = await scene.workers();
      await writes.put("upstreams/cats.example", {
        enable: true,
        typ: "http",
        keepalive: 10,
        cluster: [
          {
            servers: [
              { ...heavy.server, weight: 3, max_fails: 6, fail_timeout: 30 },
              { ...light.server, weight: 1, max_fails: 6, fail_timeout: 30 },
            ],
          },
        ],
      });
      const host = "cats.example";
      await workers.all("it is there", { host }, status(200));
      for (const prefix of workers.prefixes) {
        const counts = { heavy: 0, light: 0 };
        // Whole rounds of smooth weighted round robin, wherever a round stands.
        for (let at = 0; at < 16; at += 1) {
          const { origin } = echoOf(await workers.ask(prefix, { host }));
          if (origin === "heavy" || origin === "light") counts[origin] += 1;
        }
        expect(counts, prefix).to.deep.equal({ heavy: 12, light: 4 });
      }
      // In Slardar this ends the heartbeats, not the traffic.
      await writes.put("upstreams/cats.example", { enable: false, servers: [light.server] });
      await workers.all("only the other one is left", { host }, from("light"));
    });

    it("a service is watched from the first request on, by all the forms of Consul's DNS", async () => {
      const { writes, gateway } = scene;
      const [blue, green] = await Promise.all([scene.origin("blue"), scene.origin("green")]);
      await writes.register({ id: "thumb-1", name: "thumb", port: blue.port, tags: ["v1"] });
      await writes.register({ id: "thumb-2", name: "thumb", port: green.port, tags: ["v2"] });
      scene.later(() => writes.deregister("thumb-1"));
      scene.later(() => writes.deregister("thumb-2"));
      const isWatched = async () =>
        (await gateway.status()).watches.some(({ name }) => name === "service thumb");
      await eventually("the first request is answered", async () => {
        expect((await gateway.request({ host: "thumb" })).status).to.equal(200);
      });
      expect(await isWatched()).to.equal(true);
      const workers = await scene.workers();
      for (const host of ["thumb", "thumb.service.consul", "thumb.service.dc1.consul"])
        for (const prefix of workers.prefixes)
          await eventually("both instances serve", async () => {
            const seen = new Set<string>();
            for (let at = 0; at < 4; at += 1)
              seen.add(echoOf(await workers.ask(prefix, { host })).origin);
            expect([...seen], host).to.have.members(["blue", "green"]);
          });
      const tagged = ["v2.thumb.service.consul", "_thumb._v2.service.consul"];
      for (const host of tagged)
        await workers.all("only instances with the tag", { host }, from("green"));
      const [first = ""] = workers.prefixes;
      const unknown = await workers.ask(first, { host: "v9.thumb.service.consul" });
      expect(unknown.status).to.equal(404);
      expect(unknown.body).to.contain("v9");
    });

    it("a request for a service that nobody has is answered at once and watches nothing", async () => {
      const { gateway } = scene;
      const before = (await gateway.status()).services.inUse;
      const answer = await gateway.request({ host: "nobody-has-this" });
      expect(answer.status).to.equal(404);
      expect(answer.body).to.contain("nobody-has-this");
      expect((await gateway.status()).services.inUse).to.equal(before);
    });

    it("an instance that comes serves, and one that goes serves no more; no request fails", async () => {
      const { writes } = scene;
      const [one, two] = await Promise.all([scene.origin("one"), scene.origin("two")]);
      await writes.register({ id: "coming-1", name: "coming", port: one.port });
      scene.later(() => writes.deregister("coming-1"));
      const workers = await scene.workers();
      const host = "coming.service.consul";
      await workers.all("the first instance serves", { host }, from("one"));
      await writes.register({ id: "coming-2", name: "coming", port: two.port, weight: 5 });
      await workers.all("the second instance serves", { host }, from("two"));
      await writes.deregister("coming-2");
      const inARow = new Map<string, number>();
      await Promise.all(
        workers.prefixes.map((prefix) =>
          eventually(`only the first is left on ${prefix}`, async () => {
            const { origin } = echoOf(await workers.ask(prefix, { host }));
            inARow.set(prefix, origin === "one" ? (inARow.get(prefix) ?? 0) + 1 : 0);
            // With the weight of 5, more than one answer in a row means that the second is gone.
            expect(inARow.get(prefix)).to.be.at.least(4);
          }),
        ),
      );
      await writes.deregister("coming-1");
      await workers.all("a service without instances is no route", { host }, (answer) => {
        expect(answer.status).to.be.oneOf([503, 404]);
      });
    });

    it("a host document may name a service, and an upstream document may, too", async () => {
      const { writes } = scene;
      const origin = await scene.origin("named");
      await writes.register({ id: "named-1", name: "named", port: origin.port, tags: ["t"] });
      scene.later(() => writes.deregister("named-1"));
      await writes.put("upstreams/by-service", { service: "t.named.service.consul" });
      await writes.put("hosts/named.example", { paths: { "/": "named", "/up": "by-service" } });
      const workers = await scene.workers();
      const host = "named.example";
      await workers.all("the host document's service", { host }, from("named"));
      await workers.all("the upstream's service", { host, path: "/up/x" }, from("named"));
    });

    it("a dead peer in an upstream costs no request: it is tried on another", async () => {
      const { writes } = scene;
      const alive = await scene.origin("alive");
      const { host: deadHost, port } = refusingPeer();
      const dead = { host: deadHost, port };
      await writes.put("upstreams/half.example", {
        servers: [{ ...dead, max_fails: 0 }, alive.server],
      });
      const workers = await scene.workers();
      const host = "half.example";
      await workers.all("it is there", { host }, from("alive"));
      for (const prefix of workers.prefixes)
        for (let at = 0; at < 10; at += 1) {
          const asked = { host, method: at % 2 === 0 ? "GET" : "POST", body: "x".repeat(at) };
          const echo = echoOf(await workers.ask(prefix, asked));
          expect(echo).to.include({ origin: "alive", bodyBytes: at });
        }
      await writes.put("upstreams/half.example", {
        servers: [dead],
      });
      await workers.all("with no other peer it is a 502", { host }, status(502));
    });

    it("/status shows each worker at the primary's version, and the home host still answers", async () => {
      await eventually("all is well", async () => {
        const { version, workers, notReady, consul, held } = await scene.gateway.caughtUp();
        expect(workers).to.have.lengthOf(2);
        expect(version).to.be.greaterThan(0);
        expect({ notReady, held, stale: consul.stale }).to.deep.equal({
          notReady: null,
          held: [],
          stale: null,
        });
      });
      const connections = await scene.workers();
      await connections.all("home", { host: homeHost }, from("home"));
    });
  });
