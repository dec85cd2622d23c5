/** Routes that services ask for by fabio's and Traefik's tags, from registration to every worker of a gateway. */
import { once } from "node:events";
import { createServer as createHttp2Server, createSecureServer } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import type { ShownExplanation } from "../../gateway/primary/explain.ts";
import { TestAuthority } from "../support/certificates.ts";
import { consulKinds } from "../support/consul.ts";
import { type EchoOrigin, echoOf } from "../support/echo-origin.ts";
import type { GatewayAnswer } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import type { WorkerConnections } from "../support/worker-connections.ts";
import { Scene } from "./scene.ts";

const certificate = new TestAuthority().issue({ names: ["inner.example"] });
const from = (origin: string) => (answer: GatewayAnswer) =>
  expect(answer.body && echoOf(answer).origin).to.equal(origin);
/** Waits until it does. */
const holds = (what: string, test: () => Promise<boolean>) =>
  eventually(what, async () => expect(await test()).to.equal(true));
const status = (code: number) => (answer: GatewayAnswer) =>
  expect(answer.status, answer.body).to.equal(code);

for (const kind of consulKinds())
  describe(`routes by tags of a gateway with ${kind.name}`, function () {
    this.timeout(600_000);
    let scene: Scene;
    let workers: WorkerConnections;
    let [one, two]: EchoOrigin[] = [];

    before(async () => {
      scene = await Scene.open(kind);
      await scene.start({ flags: ["--internal", "127.0.0.1:0"] });
    });
    beforeEach(async () => {
      workers = await scene.workers();
      [one, two] = await Promise.all(["one", "two"].map((name) => scene.origin(name)));
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    /** A service that is there until the end of the test. */
    async function register(name: string, origin: EchoOrigin | undefined, ...tags: string[]) {
      await scene.writes.register({ id: name, name, port: origin?.port ?? 0, tags });
      scene.later(() => scene.writes.deregister(name).catch(() => {}));
    }

    it("go by host and by the longest path, and end with the tag", async () => {
      await register("whole", one, "urlprefix-site.example/", "urlprefix-/for-all");
      await register("part", two, "urlprefix-site.example/part", "urlprefix-*.wild.example/");
      const ask = (host: string, path: string) => ({ host, path });
      await workers.all("the host", ask("site.example", "/"), from("one"));
      await workers.all("the longest", ask("site.example", "/part/x?y"), from("two"));
      await workers.all("no other", ask("site.example", "/parts"), from("one"));
      await workers.all("a wildcard", ask("a.wild.example", "/"), from("two"));
      await workers.all("any host", ask("unheard.example", "/for-all/x"), from("one"));
      await workers.all("nothing", ask("unheard.example", "/"), status(404));
      await register("part", two);
      await workers.all("it is gone", ask("site.example", "/part/x"), from("one"));
      await workers.all("that too", ask("a.wild.example", "/"), status(404));
    });

    it("do what fabio's options say", async () => {
      await register(
        "options",
        one,
        "urlprefix-options.example/api strip=/api prepend=/v1 host=inner.example",
        "urlprefix-options.example/out deny=ip:127.0.0.0/8",
        "urlprefix-options.example/old redirect=301,https://new.example$path",
        "urlprefix-options.example/tcp proto=tcp",
      );
      const ask = (path: string) => ({ host: "options.example", path });
      await workers.all("it is rewritten", ask("/api/x?y=1"), (answer) => {
        const echo = echoOf(answer);
        expect(echo.origin).to.equal("one");
        expect(echo.url).to.equal("/v1/x?y=1");
        expect(echo.headers.host).to.equal("inner.example");
      });
      await workers.all("the root", ask("/api"), (answer) =>
        expect(echoOf(answer).url).to.equal("/v1/"),
      );
      await workers.all("it is kept out", ask("/out"), status(403));
      await workers.all("it is sent on", ask("/old/x"), (answer) => {
        expect(answer.status).to.equal(301);
        expect(answer.headers.location).to.equal("https://new.example/old/x");
      });
      await workers.all("it is not routed", ask("/tcp"), status(404));
      await holds("the warning is there", async () => {
        const { warnings } = await scene.gateway.status();
        return warnings.some(
          ({ key, warning }) =>
            key === "services/options" && /proto=tcp": makes no route: .*--tcp/.test(warning),
        );
      });
    });

    it("reach services over TLS and by HTTP/2 where tags say so", async () => {
      const secure = { cert: certificate.cert, key: certificate.key };
      const answer = (request: { httpVersion: string }, response: { end(text: string): void }) =>
        response.end(request.httpVersion);
      const servers = {
        https: createHttpsServer(secure, answer),
        grpc: createHttp2Server(answer),
        grpcs: createSecureServer(secure, answer),
      };
      for (const [name, server] of Object.entries(servers)) {
        scene.later(() => server.close());
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        const { port } = server.address() as AddressInfo;
        const proto = name === "grpc" ? "proto=grpc" : `proto=${name} tlsskipverify=true`;
        await scene.writes.register({
          ...{ id: name, name, port },
          tags: [
            `urlprefix-${name}.example/ ${proto}`,
            `urlprefix-${name}.example/x proto=${name}`,
          ],
        });
        scene.later(() => scene.writes.deregister(name));
      }
      const says = (text: string) => (got: GatewayAnswer) =>
        expect([got.status, got.body]).to.deep.equal([200, text]);
      await workers.all("over TLS", { host: "https.example" }, says("1.1"));
      await workers.all("by HTTP/2 in clear", { host: "grpc.example" }, says("2.0"));
      await workers.all("by HTTP/2 over TLS", { host: "grpcs.example" }, says("2.0"));
      // Nobody known vouches for these, and there the tags do not say that anybody may answer.
      await workers.all("nobody is believed", { host: "https.example", path: "/x" }, status(502));
      await workers.all("by nobody", { host: "grpcs.example", path: "/x" }, status(502));
      await scene.writes.register({
        ...{ id: "https", name: "https", port: (servers.https.address() as AddressInfo).port },
        tags: [
          "traefik.http.routers.t.rule=Host(`https.example`)",
          "traefik.http.services.t.loadbalancer.server.scheme=https",
        ],
      });
      await workers.all("Traefik's as well", { host: "https.example", path: "/y" }, status(502));
    });

    it("go by Traefik's rules", async () => {
      await register(
        "traefik",
        one,
        "traefik.enable=true",
        "traefik.http.routers.t.rule=Host(`t.example`) && (PathPrefix(`/a`) || Path(`/b`))",
        "traefik.http.routers.t.middlewares=cut",
        "traefik.http.middlewares.cut.stripprefix.prefixes=/a",
      );
      const ask = (path: string) => ({ host: "t.example", path });
      await workers.all("below", ask("/a/x"), (answer) =>
        expect(echoOf(answer)).to.include({ origin: "one", url: "/x" }),
      );
      await workers.all("exactly", ask("/b"), from("one"));
      await workers.all("not below that", ask("/b/x"), status(404));
    });

    it("are shared by services by the number of their instances that carry the tag", async () => {
      const tag = "urlprefix-shared.example/";
      await register("left", one, tag);
      await register("right", two, tag);
      await scene.writes.register({ id: "right-2", name: "right", port: one?.port ?? 0 });
      scene.later(() => scene.writes.deregister("right-2"));
      await workers.all("it is there", { host: "shared.example" }, status(200));
      await holds("both serve", async () => {
        const seen = new Set<string>();
        for (let i = 0; i < 40; i += 1) {
          const answer = await scene.gateway.request({ host: "shared.example" });
          if (answer.status === 200) seen.add(echoOf(answer).origin);
        }
        return seen.size === 2;
      });
      await scene.writes.deregister("left");
      // The instance of `right` without the tag has no part.
      await workers.all("the other alone", { host: "shared.example" }, from("two"));
    });

    it("leave hosts to documents, and hosts that name services to those", async () => {
      await register("greedy", one, "urlprefix-mine.example/", "urlprefix-/", "urlprefix-home/");
      await workers.all("by the tag", { host: "mine.example" }, from("one"));
      await workers.all("documents hold", { host: "home.example" }, from("home"));
      await workers.all("a name", { host: "greedy.service.consul", path: "/x" }, from("one"));
      await scene.writes.put("hosts/mine.example", { paths: { "/": "home" } });
      scene.later(() => scene.writes.remove("hosts/mine.example"));
      await workers.all("by the document", { host: "mine.example" }, from("home"));
      await workers.all("nobody's name", { host: "nobody.service.consul" }, status(404));
      await holds("both warnings are there", async () => {
        const { warnings } = await scene.gateway.status();
        const ours = warnings.filter(({ key }) => key === "services/greedy");
        return (
          ours.some(({ warning }) => /hosts\/mine\.example decides/.test(warning)) &&
          ours.some(({ warning }) => /urlprefix-home\/": makes no route/.test(warning))
        );
      });
    });

    it("are explained", async () => {
      await register("told", one, "urlprefix-told.example/x strip=/x");
      await workers.all("it is there", { host: "told.example", path: "/x" }, from("one"));
      const url = encodeURIComponent("http://told.example/x/y");
      await eventually("a worker explains it", async () => {
        const { status: code, body } = await scene.gateway.admin(`/explain?url=${url}`);
        expect(code, body).to.equal(200);
        const { sites, outcome } = JSON.parse(body) as ShownExplanation;
        expect(sites[0]?.document).to.equal("tags for told.example");
        expect(outcome).to.deep.include({ kind: "forward", by: "tags for told.example" });
      });
    });
  });
