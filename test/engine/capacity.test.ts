/** How many connections, requests and header lines there may be, and what the one too many is told. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import {
  type ClientAnswer,
  fieldOf,
  ok,
  type RawClient,
  requestBytes,
  type TestGateway,
  until,
} from "../support/http.ts";

describeEngines("capacity", (bench) => {
  /** A client that was served once: the gateway has accepted it. */
  async function served(gateway: TestGateway, from?: string): Promise<RawClient> {
    const client = await bench.client(gateway, from === undefined ? {} : { from });
    expect((await client.request(requestBytes("GET /"))).status).to.equal(200);
    return client;
  }

  /** The answer that a connection gets which is not admitted. */
  async function turnedAway(client: RawClient): Promise<ClientAnswer> {
    const answer = await client.answer();
    expect(answer.status).to.equal(503);
    expect(fieldOf(answer, "Connection")).to.equal("close");
    await client.whenClosed();
    expect(client.waiting).to.equal(0);
    expect(client.violation).to.equal(null);
    return answer;
  }

  async function untilConnected(gateway: TestGateway, clients: number): Promise<void> {
    const { engine } = gateway;
    await until(
      `the gateway has ${clients} client connections`,
      () => engine.stats().clientConnections === clients,
      { describe: () => engine.stats() },
    );
  }

  describe("of header lines", () => {
    for (const [how, split] of [
      ["at once", false],
      ["byte by byte", true],
    ] as const) {
      it(`is met by a head with as many as it may have, and exceeded by one more (${how})`, async () => {
        const origin = await bench.origin(ok());
        const gateway = await bench.gateway(origin, { limits: { maxHeaders: 5 } });
        const lines = ["A: 1", "B: 2", "B: 3", "C: 4", "D: 5"];
        const fits = requestBytes("GET /", lines.slice(1));
        const exceeds = requestBytes("GET /", lines);
        const client = await bench.client(gateway);
        for (const bytes of [fits, exceeds]) {
          client.send("", "GET");
          await client.sendSplit(bytes, split ? Array.from(bytes, (_, index) => index) : []);
          if (bytes === fits) expect((await client.answer()).status).to.equal(200);
        }
        const answer = await client.answer();
        expect(answer.status).to.equal(431);
        expect(fieldOf(answer, "Connection")).to.equal("close");
        await client.whenClosed();
        expect(origin.requests).to.have.length(1);
        expect(gateway.engine.stats().refused).to.deep.equal({ too_many_headers: 1 });
      });
    }
  });

  describe("of requests on one connection", () => {
    it("closes the connection after the last with `Connection: close`", async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, { limits: { maxRequestsPerConnection: 3 } });
      const client = await bench.client(gateway);
      for (let n = 1; n <= 3; n += 1) {
        const answer = await client.request(requestBytes("GET /"));
        expect(fieldOf(answer, "Connection")).to.equal(n === 3 ? "close" : undefined);
      }
      await client.whenClosed();
      expect(client.violation).to.equal(null);
      expect((await served(gateway)).closed).to.equal(false);
    });

    it("serves none of those that were sent ahead beyond it", async () => {
      const origin = await bench.origin((request, connection) =>
        connection.send(ok(request.target)),
      );
      const gateway = await bench.gateway(origin, { limits: { maxRequestsPerConnection: 2 } });
      const client = await bench.client(gateway);
      const paths = ["/1", "/2", "/3", "/4"];
      client.send(paths.map((path) => requestBytes(`GET ${path}`)).join(""), ...paths);
      expect((await client.answer()).body.toString()).to.equal("/1");
      expect((await client.answer()).body.toString()).to.equal("/2");
      await client.whenClosed();
      expect(client.waiting).to.equal(0);
      expect(origin.requests).to.have.length(2);
    });

    it("is without end when the limit is 0", async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, { limits: { maxRequestsPerConnection: 0 } });
      const client = await bench.client(gateway);
      for (let n = 0; n < 20; n += 1) {
        const answer = await client.request(requestBytes("GET /"));
        expect(fieldOf(answer, "Connection")).to.equal(undefined);
      }
    });
  });

  describe("of connections", () => {
    it("answers one too many with 503, and admits again when others have left", async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, { limits: { maxConnections: 2 } });
      const first = await served(gateway);
      const second = await served(gateway);
      const answer = await turnedAway(await bench.client(gateway));
      expect(answer.body.toString()).to.contain("too_many_connections");
      expect(gateway.engine.stats().refused).to.deep.equal({ too_many_connections: 1 });
      expect((await second.request(requestBytes("GET /"))).status, "the others").to.equal(200);
      first.close();
      await untilConnected(gateway, 1);
      await served(gateway);
      await turnedAway(await bench.client(gateway));
      expect(gateway.engine.stats().refused).to.deep.equal({ too_many_connections: 2 });
      expect(gateway.ended, "what was turned away never became an exchange").to.have.length(4);
    });

    it("is not taken by clients that were turned away and stay", async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, { limits: { maxConnections: 1 } });
      const first = await served(gateway);
      const stays = await bench.client(gateway, { allowHalfOpen: true });
      await turnedAway(stays);
      first.close();
      await until(
        "the gateway noticed",
        () => gateway.engine.stats().clientConnections <= (stays.closed ? 0 : 1),
      );
      await served(gateway);
    });

    it("reads nothing of what a client sends that is turned away", async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, { limits: { maxConnections: 1 } });
      await served(gateway);
      const client = await bench.client(gateway);
      client.send(requestBytes("GET /stolen").repeat(3), "GET");
      await turnedAway(client);
      expect(origin.requests.map((request) => request.target)).to.deep.equal(["/"]);
    });

    it("is without end when the limit is 0", async () => {
      const origin = await bench.origin(ok());
      const limits = { maxConnections: 0, maxConnectionsPerAddress: 0 };
      const gateway = await bench.gateway(origin, { limits });
      for (let n = 0; n < 20; n += 1) await served(gateway);
      expect(gateway.engine.stats()).to.deep.include({ clientConnections: 20, refused: {} });
    });
  });

  describe("of connections from one address", () => {
    it("answers one too many with 503, while other addresses are served", async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, { limits: { maxConnectionsPerAddress: 2 } });
      const first = await served(gateway, "127.0.0.1");
      await served(gateway, "127.0.0.1");
      const answer = await turnedAway(await bench.client(gateway, { from: "127.0.0.1" }));
      expect(answer.body.toString()).to.contain("too_many_from_address");
      await served(gateway, "127.0.0.2");
      await served(gateway, "127.0.0.2");
      await turnedAway(await bench.client(gateway, { from: "127.0.0.2" }));
      expect(gateway.engine.stats().refused).to.deep.equal({ too_many_from_address: 2 });
      first.close();
      await untilConnected(gateway, 3);
      await served(gateway, "127.0.0.1");
    });

    it("is not taken by clients that were turned away and stay", async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, { limits: { maxConnectionsPerAddress: 1 } });
      const first = await served(gateway);
      const stays = await bench.client(gateway, { allowHalfOpen: true });
      await turnedAway(stays);
      first.close();
      await until(
        "the gateway noticed",
        () => gateway.engine.stats().clientConnections <= (stays.closed ? 0 : 1),
      );
      await served(gateway);
    });

    it("is counted anew as often as clients come and go", async () => {
      const origin = await bench.origin(ok());
      const limits = { maxConnectionsPerAddress: 1, maxConnections: 1 };
      const gateway = await bench.gateway(origin, { limits });
      for (let n = 0; n < 10; n += 1) {
        const client = await served(gateway);
        if (n % 2 === 0) client.close();
        else client.reset();
        await untilConnected(gateway, 0);
      }
      expect(gateway.engine.stats().refused).to.deep.equal({});
    });
  });
});
