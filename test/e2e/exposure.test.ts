/** What a gateway's two listeners expose of the services in Consul, and that each service is one site. */
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import type { GatewayAnswer } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const spellingsOf = (name: string) => [
  name,
  `${name}.service.consul`,
  `${name}.service.dc1.consul`,
  `_${name}._tcp.service.consul`,
];
const flags = [
  ...["--internal", "127.0.0.1:0", "--log-level", "debug"],
  // A machine that is busy is no reason for a script to fail.
  ...["--script-timeout", "1s"],
];
const guard = 'export default () => deny(403, "guarded");';

for (const kind of consulKinds())
  describe(`what a gateway with ${kind.name} exposes`, function () {
    this.timeout(240_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
      await scene.start({ flags });
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    async function register(name: string, ...tags: readonly string[]) {
      const origin = await scene.origin(name);
      const id = `${name}-${origin.port}`;
      await scene.writes.register({ id, name, port: origin.port, tags });
      scene.later(() => scene.writes.deregister(id));
    }
    const both = (asked: { readonly host: string; readonly path?: string }) =>
      Promise.all([scene.gateway.request(asked), scene.gateway.internalRequest(asked)]);
    const statusOf = async (host: string) => (await both({ host })).map(({ status }) => status);
    const becomes = (host: string, statuses: readonly number[]) =>
      eventually(`${host} answers ${statuses}`, async () => {
        expect(await statusOf(host)).to.deep.equal(statuses);
      });
    /** Everything of an answer that may differ between two hosts, but for their names. */
    const shapeOf = ({ status, headers, body }: GatewayAnswer, host: string) => {
      const { date: _, "x-request-id": _id, "content-length": _length, ...rest } = headers;
      return { status, rest, body: body.replaceAll(host, "HOST") };
    };

    it("services that ask for it at the edge, every service inside, and hosts with documents on both", async () => {
      await register("plain", "v1");
      await register("asked", "sluice");
      await register("enabled", "sluice.enable=true");
      await register("fabio", "urlprefix-shop.example/");
      await register("off", "sluice", "sluice.enable=false");
      for (const name of ["asked", "enabled", "fabio"])
        for (const host of spellingsOf(name)) await becomes(host, [200, 200]);
      for (const host of spellingsOf("plain")) await becomes(host, [404, 200]);
      await becomes("v1.plain.service.consul", [404, 200]);
      for (const host of spellingsOf("off")) await becomes(host, [404, 404]);
      await becomes(homeHost, [200, 200]);
      await scene.writes.put("hosts/open.example", { paths: { "/": "plain", "/off": "off" } });
      scene.later(() => scene.writes.remove("hosts/open.example"));
      await becomes("open.example", [200, 200]);
      await eventually("a document may lead to a service that is not exposed", async () => {
        const [answer] = await both({ host: "open.example", path: "/off" });
        expect(echoOf(answer).origin).to.equal("off");
      });
      await scene.gateway.statusWhen(
        "what was asked for is in use",
        ({ services }) => services.inUse === 5,
      );
    });

    it("what is not exposed looks as if it did not exist, and is not watched", async () => {
      await register("secret", "v1");
      await becomes("secret", [404, 200]);
      await scene.start({ flags });
      const before = (await scene.gateway.status()).services.inUse;
      for (const [there, absent] of [
        ["secret", "nobody"],
        ["secret.service.consul", "nobody.service.consul"],
        ["v1.secret.service.consul", "v1.nobody.service.consul"],
        ["v9.secret.service.dc1.consul", "v9.nobody.service.dc1.consul"],
      ] as const) {
        const [one, other] = [
          await scene.gateway.request({ host: there }),
          await scene.gateway.request({ host: absent }),
        ];
        expect(shapeOf(one, there)).to.deep.equal(shapeOf(other, absent));
      }
      expect((await scene.gateway.status()).services.inUse).to.equal(before);
      await eventually("the operator finds it in the log", async () => {
        const lines = scene.gateway.records.filter(({ service }) => service === "secret");
        expect(lines[0]?.msg).to.contain("service secret is not exposed");
      });
    });

    it("Consul's own service on no listener, so that nobody writes rules through the gateway", async () => {
      const path = "/v1/kv/sluice/scripts/x.example";
      for (const host of spellingsOf("consul"))
        for (const port of [scene.gateway.httpPort, scene.gateway.internalPort]) {
          const to = { host: "127.0.0.1", port, path, method: "PUT", headers: { host } };
          const outgoing = request(to);
          const answered = new Promise<string>((resolve, reject) => {
            outgoing.once("error", reject);
            outgoing.once("response", async (answer) =>
              resolve(`${answer.statusCode} ${await text(answer)}`),
            );
          });
          outgoing.end(guard);
          expect(await answered).to.match(/^404 /);
        }
      expect((await fetch(`${scene.consul.url}${path}`)).status).to.equal(404);
    });

    it("the admin API and Consul's API behind no name: their servers are left out, with a warning", async () => {
      const { writes, gateway } = scene;
      const good = await scene.origin("good");
      const { adminPort } = gateway;
      for (const [name, port] of [
        ["admin", adminPort],
        ["api", scene.consul.port],
      ] as const) {
        await writes.register({ id: `${name}-own`, name, port, tags: ["sluice"] });
        await writes.register({ id: `${name}-good`, name, port: good.port, tags: ["sluice"] });
        scene.later(() => Promise.all([`${name}-own`, `${name}-good`].map(writes.deregister)));
        const servers = ["127.0.0.1", "localhost", "0x7f.1"].map((host) => ({ host, port }));
        await writes.put(`upstreams/${name}.example`, { servers: [...servers, good.server] });
        scene.later(() => writes.remove(`upstreams/${name}.example`));
        await becomes(name, [200, 200]);
        await eventually("both keys are warned of", async () => {
          const { warnings } = await gateway.status();
          const about = (key: string) =>
            warnings.filter((one) => one.key === key && one.warning.includes("is left out"));
          expect(about(`service ${name}`)).to.have.length(1);
          expect(about(`sluice/upstreams/${name}.example`)).to.have.length(2);
        });
        await gateway.caughtUp();
        for (const host of [name, `${name}.example`])
          for (let at = 0; at < 12; at += 1)
            for (const answer of await both({ host, path: "/status" }))
              expect(echoOf(answer).origin, host).to.equal("good");
      }
    });

    it("a script under any spelling of a service guards all of them, and its tags", async () => {
      await register("vault", "sluice", "v2");
      const all = [
        ...spellingsOf("vault"),
        "v2.vault.service.consul",
        "_vault._v2.service.dc1.consul",
      ];
      for (const host of all) await becomes(host, [200, 200]);
      for (const key of ["vault", "vault.service.consul", "Vault.service.dc1.consul"]) {
        await scene.writes.put(`scripts/${key}`, guard);
        for (const host of all) await becomes(host, [403, 403]);
        await scene.writes.remove(`scripts/${key}`);
        for (const host of all) await becomes(host, [200, 200]);
      }
      await scene.writes.put("scripts/*.service.dc1.consul", guard);
      for (const host of all) await becomes(host, [403, 403]);
      await scene.writes.remove("scripts/*.service.dc1.consul");
      for (const host of all) await becomes(host, [200, 200]);
    });

    it("two keys for one site: the site's own name holds, the other is refused by key", async () => {
      await register("twice", "sluice");
      await scene.writes.put("upstreams/fixed", { servers: [scene.home.server] });
      await scene.writes.put("hosts/twice.service.consul", { paths: { "/": "twice" } });
      await scene.writes.put("hosts/twice", { paths: { "/": "fixed" } });
      const key = "sluice/hosts/twice.service.consul";
      await scene.gateway.statusWhen("it is refused by key", ({ refused }) =>
        refused.some((one) => one.key === key && one.error.includes("sluice/hosts/twice,")),
      );
      for (const host of spellingsOf("twice"))
        await eventually(`${host} has the document of twice`, async () => {
          expect(echoOf(await scene.gateway.request({ host })).origin).to.equal("home");
        });
      for (const name of ["hosts/twice", "hosts/twice.service.consul", "upstreams/fixed"])
        await scene.writes.remove(name);
    });
  });
