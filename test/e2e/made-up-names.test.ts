/** A flood of names that nobody has: it costs Consul nothing, and real services go on. */
import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import { TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const flood = 300;
const perSecond = 150;

/** Passes everything on to Consul and keeps what was asked for. */
async function listenIn(consulPort: number, asked: string[]): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    const { url = "/", method, headers } = incoming;
    asked.push(url);
    const passed = request({ port: consulPort, path: url, method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on("error", () => outgoing.destroy());
    outgoing.on("close", () => passed.destroy());
    incoming.pipe(passed);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server;
}

for (const kind of consulKinds())
  describe(`made-up names at a gateway with ${kind.name}`, function () {
    this.timeout(300_000);
    let scene: Scene;
    let gateway: TestGateway;
    let server: Server;
    const asked: string[] = [];

    before(async () => {
      scene = await Scene.open(kind);
      server = await listenIn(scene.consul.port, asked);
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("not a TCP address");
      const consul = `http://127.0.0.1:${address.port}`;
      const flags = [
        ...["--internal", "127.0.0.1:0", "--max-service-watches", "1"],
        // A machine that is busy is no reason for a service to be unknown.
        ...["--watch-timeout", "30s"],
      ];
      gateway = await TestGateway.start({ consul, flags });
    });
    after(async () => {
      await gateway?.stop();
      server?.closeAllConnections();
      server?.close();
      await scene?.close();
    });

    it("ask Consul for nothing, in whatever datacenter, while polled services stay up to date", async () => {
      const { writes } = scene;
      const names = ["one", "two", "three"];
      const origins = await Promise.all(names.map((name) => scene.origin(name)));
      for (const [at, name] of names.entries())
        await writes.register({ id: name, name, port: origins[at]?.port ?? 0 });
      for (const host of names)
        await eventually(`${host} serves`, async () => {
          expect(echoOf(await gateway.internalRequest({ host })).origin).to.equal(host);
        });
      const before = asked.length;
      const answers: Promise<number | Error>[] = [];
      const ask = (one: Promise<{ readonly status: number }>) =>
        answers.push(one.then(({ status }) => status).catch((error: Error) => error));
      for (let at = 0; at < flood; at += 1) {
        const datacenter = ["dc1.", "", "nowhere."][at % 3];
        const host = `q${at}.service.${datacenter}consul`;
        ask(gateway.request({ host }));
        ask(gateway.internalRequest({ host }));
        if (at === flood / 2) {
          // In the middle of it a polled service moves.
          const moved = await scene.origin("moved");
          await writes.register({ id: "three", name: "three", port: moved.port });
        }
        await sleep(1_000 / perSecond);
      }
      for (const answer of await Promise.all(answers)) expect(answer).to.equal(404);
      await eventually("the service that moved serves", async () => {
        const echo = echoOf(await gateway.internalRequest({ host: "three" }));
        expect(echo.origin).to.equal("moved");
      });
      expect(asked.slice(before).filter((url) => /\/q\d+\b|nowhere/.test(url))).to.deep.equal([]);
      expect((await gateway.status()).services.inUse).to.equal(names.length);
      for (const name of names) await writes.deregister(name);
      await scene.endTest();
    });
  });
