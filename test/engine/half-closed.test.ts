/** Clients that close their sending side and wait: served or taken for gone, as the engine is told. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import {
  fieldOf,
  ok,
  type RawClient,
  requestBytes,
  type TestExchange,
  type TestGateway,
  until,
} from "../support/http.ts";

describeEngines("half-closed clients", (bench) => {
  /** Sends a request and the end of the client's side. */
  async function asked(gateway: TestGateway, bytes: string): Promise<RawClient> {
    const client = await bench.client(gateway, { allowHalfOpen: true });
    client.send(bytes, "GET");
    client.end();
    return client;
  }

  async function closedAfter(client: RawClient, body: string): Promise<void> {
    const answer = await client.answer();
    expect(answer.body.toString()).to.equal(body);
    expect(fieldOf(answer, "Connection")).to.equal("close");
    await client.whenClosed();
    expect(client.violation).to.equal(null);
  }

  describe("that are served", () => {
    const limits = { servesHalfClosed: true };

    it("get their answer, with `Connection: close`, and then the end", async () => {
      const origin = await bench.origin(() => {});
      const gateway = await bench.gateway(origin, { limits });
      const client = await asked(gateway, requestBytes("GET /"));
      await until("the request arrived", () => origin.requests.length === 1);
      origin.connections[0]?.send(ok("late"));
      await closedAfter(client, "late");
      expect((await gateway.outcome()).errorCode).to.equal("");
      await until("the connection is gone", () => gateway.engine.stats().clientConnections === 0);
      expect(origin.live, "the origin's connection is kept").to.equal(1);
    });

    it("get an answer with a large body whole", async () => {
      const body = "x".repeat(4_000_000);
      const origin = await bench.origin(ok(body));
      const gateway = await bench.gateway(origin, { limits });
      await closedAfter(await asked(gateway, requestBytes("GET /")), body);
    });

    it("get the answer to a request with a body", async () => {
      const origin = await bench.origin((request, connection) =>
        connection.send(ok(`${request.body}`)),
      );
      const gateway = await bench.gateway(origin, { limits });
      const bytes = requestBytes("POST /", ["Content-Length: 4"], "body");
      await closedAfter(await asked(gateway, bytes), "body");
    });

    it("get their answer though the request waited for a peer or was held", async () => {
      for (const how of ["held", "waiting"]) {
        const held: TestExchange[] = [];
        const origin = await bench.origin(() => {});
        const gateway = await bench.gateway(origin, {
          limits: { ...limits, maxConnectionsPerPeer: 1 },
          hooks: {
            onRequest(exchange) {
              if (how === "waiting" || exchange.path === "/first" || held.length > 0) return;
              held.push(exchange);
              exchange.hold();
            },
          },
        });
        const first = await bench.client(gateway);
        first.send(requestBytes("GET /first"), "GET");
        await until("the first arrived", () => origin.requests.length === 1);
        const client = await asked(gateway, requestBytes("GET /"));
        await until("the second began", () => gateway.engine.stats().exchanges === 2);
        origin.connections[0]?.send(ok());
        await first.answer();
        held[0]?.resume();
        await until("the second arrived", () => origin.requests.length === 2);
        origin.connections[0]?.send(ok(how));
        await closedAfter(client, how);
      }
    });

    it("are gone all the same when their body is not whole", async () => {
      const origin = await bench.origin(() => {});
      const gateway = await bench.gateway(origin, { limits });
      const client = await asked(gateway, requestBytes("POST /", ["Content-Length: 10"], "half"));
      expect((await gateway.outcome()).errorCode).to.equal("client_closed");
      await client.whenClosed();
      await until("the origin was told", () => origin.live === 0);
    });

    it("leave nothing behind when they go after all: their answer, or its deadline, finds out", async () => {
      for (const answers of [true, false]) {
        const origin = await bench.origin(() => {});
        const gateway = await bench.gateway(origin, {
          limits: { ...limits, responseTimeoutMs: 200 },
        });
        const client = await asked(gateway, requestBytes("GET /"));
        await until("the request arrived", () => origin.requests.length === 1);
        client.reset();
        if (answers) origin.connections[0]?.send(ok("x".repeat(1_000_000)));
        await gateway.outcome();
        await until("it is gone", () => gateway.engine.stats().clientConnections === 0);
      }
    });

    it("get nothing for a head that is not whole", async () => {
      const gateway = await bench.gateway([], { limits });
      const client = await asked(gateway, "GET / HTTP/1.1\r\nHost: shop.example\r\n");
      await client.whenClosed();
      expect(client.receivedBytes).to.equal(0);
      expect(gateway.ended).to.have.length(0);
    });
  });

  describe("that are not served", () => {
    it("count as gone: their request is cancelled", async () => {
      const origin = await bench.origin(() => {});
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway, { allowHalfOpen: true });
      client.send(requestBytes("GET /"), "GET");
      await until("the request arrived", () => origin.requests.length === 1);
      client.end();
      expect((await gateway.outcome()).errorCode).to.equal("client_closed");
      await (await origin.connection()).whenClosed();
      await client.whenClosed();
      expect(client.receivedBytes).to.equal(0);
      expect(origin.peer.inFlight).to.equal(0);
    });

    it("are cut in the middle of their answer, and see that", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
      );
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway, { allowHalfOpen: true });
      client.send(requestBytes("GET /"), "GET");
      await until("it began", () => client.underWay?.bodyBytes === 4);
      client.end();
      await client.whenClosed();
      expect((await gateway.outcome()).errorCode).to.equal("client_closed");
      await (await origin.connection()).whenClosed();
    });

    it("have a connection that is closed when they close it between requests", async () => {
      for (const servesHalfClosed of [false, true]) {
        const origin = await bench.origin(ok());
        const gateway = await bench.gateway(origin, { limits: { servesHalfClosed } });
        const client = await bench.client(gateway, { allowHalfOpen: true });
        await client.request(requestBytes("GET /"));
        client.end();
        await client.whenClosed();
        expect(client.violation).to.equal(null);
        await until("it is gone", () => gateway.engine.stats().clientConnections === 0);
      }
    });
  });
});
