/** Bounds of an upstream over the workers of a gateway, which have a queue each and count together. */

import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import type { UpstreamsAnswer } from "../../gateway/primary/upstream-view.ts";
import { until } from "../support/conditions.ts";
import { startEmbeddedAgent } from "../support/consul.ts";
import type { GatewayAnswer } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

describe("bounds over several workers", function () {
  this.timeout(180_000);
  let scene: Scene;
  let owed: ServerResponse[];

  before(async () => {
    scene = await Scene.open({ name: "embedded agent", start: startEmbeddedAgent });
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  /** Owes every answer but those to `/quick`. */
  async function slowOrigin(): Promise<{ host: string; port: number }> {
    owed = [];
    const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
      if (request.url === "/quick") {
        response.end("quick");
        return;
      }
      owed.push(response);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    scene.later(() => {
      server.close();
      server.closeAllConnections();
    });
    return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  }

  const ask = (path: string): Promise<GatewayAnswer> =>
    scene.gateway.request({ host: "bound.example", path });

  /** How many requests are there, as each worker knows it. */
  async function known(): Promise<readonly number[]> {
    const { body } = await scene.gateway.admin("/upstreams");
    const { upstreams } = JSON.parse(body) as UpstreamsAnswer;
    const { bounds = [], peers = [] } = upstreams.find(({ key }) => key === "bound.example") ?? {};
    const ofUpstream = bounds.map(({ requests }) => (requests?.most == null ? null : requests));
    return (peers[0]?.workers ?? []).map((ofPeer, at) => {
      const { inFlight, elsewhere } = ofUpstream[at] ?? ofPeer;
      return inFlight + elsewhere;
    });
  }

  for (const [what, of] of [
    ["an upstream", (server: object) => ({ servers: [server], max_requests: 4 })],
    ["a server", (server: object) => ({ servers: [{ ...server, max_conns: 4 }] })],
  ] as const)
    it(`keep the requests of all workers to what ${what} may have`, async () => {
      await scene.start({ flags: ["--workers", "4"] });
      const server = await slowOrigin();
      await scene.writes.put("upstreams/bound.example", of(server));
      await eventually("it is served", async () => {
        expect((await ask("/quick")).status).to.equal(200);
      });
      const asked: Promise<GatewayAnswer>[] = [];
      for (let at = 1; at <= 4; at += 1) {
        asked.push(ask("/slow"));
        await until(`${at} are there`, () => owed.length === at);
        await eventually(`every worker knows of ${at}`, async () => {
          expect(await known()).to.deep.equal([at, at, at, at]);
        });
      }
      for (let left = 12; left > 0; left -= 1) expect((await ask("/slow")).status).to.equal(503);
      for (const response of owed.splice(0)) response.end("slow");
      for (const { status } of await Promise.all(asked)) expect(status).to.equal(200);
      await eventually("there is room again", async () => {
        expect((await ask("/quick")).status).to.equal(200);
      });
    });
});
