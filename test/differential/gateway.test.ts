/** A whole gateway on either engine: an operator who switches sees the same routes, scripts and tries. */
import { expect } from "chai";
import { Scene } from "../e2e/scene.ts";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import { engineKinds } from "../support/engines.ts";
import { openClient, requestBytes } from "../support/http.ts";
import { refusingPeer } from "../support/unreachable.ts";

const [consul] = consulKinds();

for (const engine of engineKinds()) {
  describe(`a gateway with --engine ${engine}`, () => {
    let scene: Scene;

    before(async () => {
      if (consul === undefined) throw new Error("no Consul");
      scene = await Scene.open(consul);
      await scene.start({ workers: 1, flags: ["--engine", engine] });
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    it("routes, runs scripts, tries another peer, and says what it has no route for", async () => {
      const { writes } = scene;
      const dead = refusingPeer();
      await writes.put("upstreams/two", {
        servers: [{ host: dead.host, port: dead.port }, scene.home.server],
      });
      await writes.put("hosts/two.example", { paths: { "/": "two" } });
      await writes.put(
        "scripts/two.example",
        `export default function (request) {
           if (request.method === "DELETE") return deny(403, "switched off");
           request.headers.set("x-script", "ran");
         }`,
      );
      const workers = await scene.workers();
      await workers.all("the script is live", { host: "two.example", method: "DELETE" }, (answer) =>
        expect(answer.status).to.equal(403),
      );
      for (let n = 0; n < 4; n += 1) {
        await workers.all("it is served", { host: "two.example", path: `/x?${n}` }, (answer) => {
          expect(answer.status).to.equal(200);
          const echo = echoOf(answer);
          expect(echo).to.include({ origin: "home", url: `/x?${n}` });
          expect(echo.headers["x-script"]).to.equal("ran");
          expect(echo.headers["x-forwarded-for"]).to.equal("127.0.0.1");
        });
      }
      await workers.all("no route", { host: "nowhere.example" }, (answer) => {
        expect(answer.status).to.equal(404);
        expect(answer.body).to.contain("nowhere.example");
      });
    });

    it("is served by that engine: only node:http knows no other methods than its own", async () => {
      const client = await openClient(scene.gateway.httpPort);
      scene.later(() => client.close());
      const answer = await client.request(requestBytes("BREW /", ["Host: nowhere.example"]));
      expect(answer.status).to.equal(engine === "http1" ? 404 : 400);
    });
  });
}
