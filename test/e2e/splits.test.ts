/** Routes by what requests have, splits of a service, and clients that stay: from Consul to every worker of two gateways. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { type GatewayAnswer, TestGateway } from "../support/gateway.ts";
import { freePort } from "../support/ports.ts";
import { eventually } from "../support/registered.ts";
import { WorkerConnections } from "../support/worker-connections.ts";
import { homeHost, Scene } from "./scene.ts";

const from = (name: string) => (answer: GatewayAnswer) =>
  expect(echoOf(answer).origin).to.equal(name);
const cookieIn = ({ headers }: GatewayAnswer) => headers["set-cookie"]?.[0] ?? "";

for (const kind of consulKinds())
  describe(`routes and splits of a gateway with ${kind.name}`, function () {
    this.timeout(600_000);
    let scene: Scene;
    let workers: WorkerConnections;
    let ids = 0;

    before(async () => {
      scene = await Scene.open(kind);
      await scene.start();
    });
    beforeEach(async () => {
      workers = await scene.workers();
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    /** Registers a service instance of its own, until the end of the test. */
    async function register(
      name: string,
      origin: EchoOrigin,
      more: { readonly tags?: readonly string[]; readonly meta?: Readonly<Record<string, string>> },
    ): Promise<string> {
      ids += 1;
      const id = `${name}-${ids}`;
      await scene.writes.register({ id, name, port: origin.port, ...more });
      scene.later(() => scene.writes.deregister(id));
      return id;
    }

    it("send requests by method, header, query and order, and say so to the origin as they are told", async () => {
      const [web, beta] = [await scene.origin("web"), await scene.origin("beta")];
      await scene.writes.put("upstreams/web", { servers: [web.server] });
      await scene.writes.put("upstreams/beta", { servers: [beta.server], host: "peer" });
      const host = "routes.example";
      await scene.writes.put(`hosts/${host}`, {
        routes: [
          { match: { path: "/x", method: "POST" }, upstream: "beta", host: "other.example:81" },
          { match: { headers: { "x-beta": true }, query: { v: "2" } }, to: "beta" },
          { match: { headers: { "x-beta": "no" } }, to: "web", priority: 1 },
        ],
        paths: { "/": "web", "/p": { upstream: "web", host: "peer" } },
      });
      await workers.all("the path decides", { host }, from("web"));
      const asked = { host, path: "/?v=2", headers: { "x-beta": "yes" } };
      const sent = (name: string, sentHost: string) => (answer: GatewayAnswer) => {
        const { origin, headers } = echoOf(answer);
        expect([origin, headers.host]).to.deep.equal([name, sentHost]);
        expect(headers["x-forwarded-host"]).to.equal(host);
      };
      await workers.all("header and query", asked, sent("beta", `127.0.0.1:${beta.port}`));
      const not = { ...asked, headers: { "x-beta": "no" } };
      await workers.all("the higher priority", not, sent("web", host));
      const post = { host, path: "/x/y", method: "POST" };
      await workers.all("the method", post, sent("beta", "other.example:81"));
      const peer = { host, path: "/p" };
      await workers.all("the path's own Host", peer, sent("web", `127.0.0.1:${web.port}`));
    });

    it("split a service by tag and metadata, and send who asks for a side there", async () => {
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      await register("split", one, { tags: ["v1"] });
      const id = await register("split", two, { tags: ["v2"], meta: { version: "2" } });
      const host = "split.example";
      await scene.writes.put(`hosts/${host}`, {
        paths: {
          "/": {
            service: "split",
            split: [
              { tag: "v1", share: 100 },
              { meta: { version: "2" }, share: 0, force: { headers: { "x-version": "2" } } },
            ],
          },
        },
      });
      const forced = { host, headers: { "x-version": "2" } };
      await workers.all("the side that is asked for", forced, from("two"));
      for (let i = 0; i < 10; i += 1) await workers.all("the share", { host }, from("one"));
      await scene.writes.deregister(id);
      await workers.all("nobody is left there", forced, ({ status, body }) => {
        expect(status).to.equal(503);
        expect(body).to.contain("version=2.split");
      });
    });

    it("keep a client at its server by a cookie, at every gateway, and find it another when that is gone", async () => {
      const origins: EchoOrigin[] = [];
      for (const name of ["a", "b", "c"]) {
        // On a port that nobody else takes when it is gone.
        const origin = await EchoOrigin.start(name, await freePort());
        scene.later(() => origin.close());
        origins.push(origin);
        await register("stay", origin, {});
      }
      const host = "stay.example";
      const sticky = { cookie: { name: "shop", max_age: 60, same_site: "strict" } };
      await scene.writes.put(`hosts/${host}`, { paths: { "/": { upstream: "stay", sticky } } });
      await workers.all("a cookie is set", { host }, (answer) => {
        expect(cookieIn(answer)).to.match(
          /^shop=[\w-]{22}; Path=\/; Max-Age=60; HttpOnly; SameSite=Strict$/,
        );
      });
      const second = await TestGateway.start({ consul: scene.consul.url });
      scene.later(() => second.stop());
      const others = await WorkerConnections.open(second, homeHost);
      scene.later(() => others.close());
      const [first = ""] = workers.prefixes;
      const begun = await workers.ask(first, { host });
      const [cookie = ""] = cookieIn(begun).split(";");
      const { origin } = echoOf(begun);
      const headers = { cookie: `x=y; ${cookie}` };
      const stays = (answer: GatewayAnswer) => {
        from(origin)(answer);
        expect(answer.headers["set-cookie"]).to.equal(undefined);
      };
      for (let i = 0; i < 5; i += 1) {
        await workers.all("it stays", { host, headers }, stays);
        await others.all("it stays at the other gateway", { host, headers }, stays);
      }
      await origins.find(({ name }) => name === origin)?.close();
      const moved = await workers.ask(first, { host, headers });
      expect(echoOf(moved).origin).to.not.equal(origin);
      const [next = ""] = cookieIn(moved).split(";");
      expect(next)
        .to.match(/^shop=/)
        .and.not.equal(cookie);
      const { origin: now } = echoOf(moved);
      await others.all("the new one", { host, headers: { cookie: next } }, from(now));
      for (const forged of [
        "shop=",
        `${cookie}x`,
        `shop=${"A".repeat(22)}`,
        `shop=${"x".repeat(8_000)}`,
      ])
        await eventually(forged.slice(0, 40), async () => {
          const answer = await workers.ask(first, { host, headers: { cookie: forged } });
          expect(cookieIn(answer)).to.match(/^shop=/);
        });
    });

    it("keep a client on its side of a split by a cookie while shares change, until its side has none", async () => {
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      await register("side", one, { tags: ["v1"] });
      await register("side", two, { tags: ["v2"] });
      const host = "side.example";
      const put = (v1: number, v2: number) =>
        scene.writes.put(`hosts/${host}`, {
          paths: {
            "/": {
              service: "side",
              split: [
                { tag: "v1", share: v1 },
                { tag: "v2", share: v2 },
              ],
              sticky: { cookie: "side", to: "side" },
            },
          },
        });
      await put(0, 1);
      let cookie = "";
      await workers.all("v2", { host }, (answer) => {
        from("two")(answer);
        [cookie = ""] = cookieIn(answer).split(";");
        expect(cookie).to.match(/^side=[\w-]{6}$/);
      });
      const headers = { cookie };
      await put(1000, 1);
      await eventually("v1 has most", async () => {
        const [first = ""] = workers.prefixes;
        from("one")(await workers.ask(first, { host }));
      });
      for (let i = 0; i < 10; i += 1) await workers.all("it stays", { host, headers }, from("two"));
      await put(1, 0);
      await workers.all("its side is closed", { host, headers }, from("one"));
    });
  });
