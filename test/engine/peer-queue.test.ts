/** Requests that wait because a peer has all the connections that it may have. */
import { expect } from "chai";
import type { Peer } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import {
  chunked,
  type GatewayOptions,
  type Origin,
  ok,
  type RawClient,
  requestBytes,
  type TestExchange,
  type TestGateway,
  until,
} from "../support/http.ts";
import { freePort } from "../support/ports.ts";

describeEngines("waiting for a peer", (bench) => {
  interface Waiting {
    readonly origin: Origin;
    readonly gateway: TestGateway;
    /** Its request is with the origin; those of the others wait. */
    readonly busy: RawClient;
    readonly waiting: readonly RawClient[];
  }

  /** A peer whose only connection is busy with `/0`, and `count` further requests, `/1` and so on. */
  async function waiting(
    count: number,
    options: GatewayOptions = {},
    pick?: (exchange: TestExchange, busy: Peer) => Peer | null,
  ): Promise<Waiting> {
    // Tests close it, and then nobody may have its port.
    const origin = await bench.origin(() => {}, { port: await freePort() });
    const gateway = await bench.gateway(origin, {
      ...options,
      limits: { maxConnectionsPerPeer: 1, ...options.limits },
      ...(pick && { hooks: { onPick: (exchange) => pick(exchange, origin.peer) } }),
    });
    const clients: RawClient[] = [];
    for (let n = 0; n <= count; n += 1) clients.push(await sending(gateway, `GET /${n}`));
    await until("the first arrived", () => origin.requests.length === 1);
    const [busy, ...others] = clients;
    if (busy === undefined) throw new Error("no client");
    return { origin, gateway, busy, waiting: others };
  }

  /** A client whose request the gateway has begun to serve. */
  async function sending(gateway: TestGateway, line: string): Promise<RawClient> {
    const client = await bench.client(gateway);
    const { requests } = gateway.engine.stats();
    client.send(requestBytes(line), "GET");
    await until(`${line} began`, () => gateway.engine.stats().requests > requests);
    return client;
  }

  function targets(origin: Origin): readonly string[] {
    return origin.requests.map((request) => request.target);
  }

  it("opens no more connections than it may, and serves in order as one becomes free", async () => {
    const { origin, gateway, busy, waiting: others } = await waiting(3);
    expect(gateway.engine.stats()).to.include({ exchanges: 4, peerConnections: 1 });
    expect(origin.peer.inFlight).to.equal(4);
    for (const [index, client] of [busy, ...others].entries()) {
      await until(`request ${index} arrived`, () => origin.requests.length === index + 1);
      origin.connections[0]?.send(ok(`for ${index}`));
      expect((await client.answer()).body.toString()).to.equal(`for ${index}`);
    }
    expect(targets(origin)).to.deep.equal(["/0", "/1", "/2", "/3"]);
    expect(origin.connections).to.have.length(1);
    expect(gateway.engine.stats()).to.deep.include({ exchanges: 0, refused: {} });
    expect(origin.peer.inFlight).to.equal(0);
  });

  it("is for one peer: others are asked meanwhile", async () => {
    const other = await bench.origin(ok("other"));
    const { gateway, origin, busy } = await waiting(0, {}, (exchange, peer) =>
      exchange.path === "/other" ? other.peer : peer,
    );
    const client = await bench.client(gateway);
    expect((await client.request(requestBytes("GET /other"))).body.toString()).to.equal("other");
    origin.connections[0]?.send(ok());
    await busy.answer();
    gateway.engine.retire(other.peer);
  });

  for (const most of [0, 1, 2]) {
    it(`is answered with 503 at once when ${most} wait already`, async () => {
      const limits = { maxWaitingPerPeer: most };
      const { origin, gateway, busy, waiting: others } = await waiting(most, { limits });
      const client = await bench.client(gateway);
      const answer = await client.request(requestBytes("GET /late", ["Accept: application/json"]));
      expect(answer.status).to.equal(503);
      expect(JSON.parse(answer.body.toString())).to.include({ error: "queue_full" });
      expect(gateway.engine.stats()).to.deep.include({
        exchanges: most + 1,
        refused: { queue_full: 1 },
      });
      expect((await gateway.outcome()).errorCode).to.equal("queue_full");
      for (const waiting of [busy, ...others]) {
        origin.connections[0]?.send(ok());
        expect((await waiting.answer()).status).to.equal(200);
      }
      client.send(requestBytes("GET /again"), "GET");
      await until("it was let through", () => targets(origin).includes("/again"));
      origin.connections[0]?.send(ok("again"));
      expect((await client.answer()).body.toString(), "on the same connection").to.equal("again");
      expect(targets(origin)).to.not.include("/late");
    });
  }

  it("is another peer's turn when as many wait as may, and no failure of the full one", async () => {
    const other = await bench.origin(ok("other"));
    const limits = { maxWaitingPerPeer: 0 };
    const { origin, gateway, busy } = await waiting(0, { limits }, (exchange, peer) =>
      exchange.tried(peer) ? other.peer : peer,
    );
    const client = await bench.client(gateway);
    const post = requestBytes("POST /", ["Content-Length: 4"], "body");
    expect((await client.request(post)).body.toString()).to.equal("other");
    expect(await gateway.outcome()).to.include({ status: 200, errorCode: "", tries: 2 });
    expect((await gateway.outcome()).failures).to.deep.equal([]);
    expect(other.requests[0]?.body.toString()).to.equal("body");
    expect(gateway.engine.stats().refused).to.deep.equal({});
    expect([origin.peer.inFlight, other.peer.inFlight]).to.deep.equal([1, 0]);
    origin.connections[0]?.send(ok());
    expect((await busy.answer()).status).to.equal(200);
    gateway.engine.retire(other.peer);
  });

  it("is refused once when as many wait for every peer that may be tried", async () => {
    const other = await bench.origin(() => {});
    const limits = { maxWaitingPerPeer: 0, maxTries: 3 };
    const { origin, gateway, busy } = await waiting(0, { limits }, (exchange, peer) => {
      const peers = exchange.path === "/1" ? [other.peer] : [peer, other.peer];
      return peers.find((candidate) => !exchange.tried(candidate)) ?? null;
    });
    const second = await sending(gateway, "GET /1");
    await until("it is at the other", () => other.requests.length === 1);
    const client = await bench.client(gateway);
    const answer = await client.request(requestBytes("GET /late"));
    expect(answer.status).to.equal(503);
    expect(await gateway.outcome()).to.include({ errorCode: "queue_full", tries: 2 });
    expect(gateway.engine.stats().refused).to.deep.equal({ queue_full: 1 });
    origin.connections[0]?.send(ok());
    other.connections[0]?.send(ok());
    expect((await busy.answer()).status).to.equal(200);
    expect((await second.answer()).status).to.equal(200);
    gateway.engine.retire(other.peer);
  });

  it("is not for a request that is repeated because its kept connection was closed", async () => {
    // Each connection serves one request, and is reset by the next.
    const origin = await bench.origin((_, connection) => {
      if (connection.requests.length > 1) connection.reset();
      else connection.send(ok());
    });
    const limits = { maxConnectionsPerPeer: 1, maxWaitingPerPeer: 0 };
    const gateway = await bench.gateway(origin, { limits });
    const client = await bench.client(gateway);
    for (let n = 0; n < 4; n += 1) {
      expect((await client.request(requestBytes(`GET /${n}`))).status, `request ${n}`).to.equal(
        200,
      );
    }
    expect(gateway.engine.stats().refused).to.deep.equal({});
    expect(gateway.ended.map(({ tries }) => tries)).to.deep.equal([1, 1, 1, 1]);
  });

  it("ends with 503 when it takes too long, and the request that is served goes on", async () => {
    const limits = { queueTimeoutMs: 100 };
    const { origin, gateway, busy, waiting: others } = await waiting(2, { limits });
    for (const client of others) {
      const answer = await client.answer();
      expect(answer.status).to.equal(503);
      expect(answer.body.toString()).to.contain("queue_timeout");
    }
    expect(gateway.engine.stats()).to.deep.include({ exchanges: 1, refused: { queue_timeout: 2 } });
    expect(origin.peer.inFlight).to.equal(1);
    origin.connections[0]?.send(ok("late"));
    expect((await busy.answer()).body.toString()).to.equal("late");
    expect(targets(origin)).to.deep.equal(["/0"]);
  });

  it("ends when the client leaves: its place goes to another", async () => {
    const limits = { maxWaitingPerPeer: 2 };
    const { origin, gateway, busy, waiting: others } = await waiting(2, { limits });
    const [leaves, stays] = others;
    leaves?.close();
    expect((await gateway.outcome()).errorCode).to.equal("client_closed");
    expect(origin.peer.inFlight).to.equal(2);
    const next = await sending(gateway, "GET /next");
    for (const client of [busy, stays, next]) {
      origin.connections[0]?.send(ok());
      expect((await client?.answer())?.status).to.equal(200);
    }
    expect(targets(origin)).to.deep.equal(["/0", "/2", "/next"]);
    expect(gateway.engine.stats().refused).to.deep.equal({});
  });

  it("goes on when the client of the request that is served leaves", async () => {
    const { origin, busy, waiting: others } = await waiting(2);
    busy.close();
    for (const [index, client] of others.entries()) {
      const connection = await origin.connection(1);
      await until("the next arrived", () => origin.requests.length === index + 2);
      connection.send(ok(`for ${index + 1}`));
      expect((await client.answer()).body.toString()).to.equal(`for ${index + 1}`);
    }
    await (await origin.connection(0)).whenClosed();
  });

  it("goes on over a new connection when the peer closes the one that was busy", async () => {
    for (const how of ["after", "instead of"] as const) {
      const { origin, gateway, busy, waiting: others } = await waiting(1);
      if (how === "after") origin.connections[0]?.end(ok("bye", ["Connection: close"]));
      else origin.connections[0]?.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut");
      await until("the first is over", () => busy.waiting > 0 || busy.ended || busy.closed);
      await until("the second arrived", () => origin.requests.length === 2);
      origin.connections[1]?.send(ok("second"));
      expect((await others[0]?.answer())?.body.toString()).to.equal("second");
      expect(gateway.engine.stats().refused).to.deep.equal({});
    }
  });

  it("is over for all when the peer dies: each is told, or served by another peer", async () => {
    for (const hasOther of [false, true]) {
      const other = await bench.origin(ok("other"));
      const {
        origin,
        gateway,
        busy,
        waiting: others,
      } = await waiting(3, {}, (exchange, peer) => {
        const peers = hasOther ? [peer, other.peer] : [peer];
        return peers.find((candidate) => !exchange.tried(candidate)) ?? null;
      });
      await origin.close();
      for (const client of [busy, ...others]) {
        const answer = await client.answer();
        expect(answer.status).to.equal(hasOther ? 200 : 502);
        if (hasOther) expect(answer.body.toString()).to.equal("other");
      }
      expect(gateway.engine.stats()).to.deep.include({ exchanges: 0, refused: {} });
      expect(origin.peer.inFlight).to.equal(0);
      gateway.engine.retire(other.peer);
    }
  });

  it("goes on when the peer is retired meanwhile", async () => {
    const { origin, gateway, busy, waiting: others } = await waiting(1);
    gateway.engine.retire(origin.peer);
    origin.connections[0]?.send(ok("first"));
    expect((await busy.answer()).body.toString()).to.equal("first");
    await until("the second arrived", () => origin.requests.length === 2);
    origin.connections[1]?.send(ok("second"));
    expect((await others[0]?.answer())?.body.toString()).to.equal("second");
    await (await origin.connection(1)).whenClosed();
  });

  it("keeps a body that comes meanwhile, and stops reading one that is large", async () => {
    const { origin, gateway, busy } = await waiting(0);
    const small = await bench.client(gateway);
    small.send(requestBytes("POST /small", ["Transfer-Encoding: chunked"]), "POST");
    small.send(chunked(["in ", "pieces"]));
    await until("it waits", () => gateway.engine.stats().exchanges === 2);
    const large = await bench.client(gateway);
    const bytes = Buffer.alloc(8_000_000, "x");
    large.send(requestBytes("POST /large", [`Content-Length: ${bytes.length}`]), "POST");
    large.send(bytes);
    await until("it waits too", () => gateway.engine.stats().exchanges === 3);
    origin.connections[0]?.send(ok());
    await busy.answer();
    await until("the small one is whole", () => origin.requests.length === 2);
    expect(large.socket.writableLength, "still with the client").to.be.greaterThan(0);
    expect(origin.requests[1]?.body.toString()).to.equal("in pieces");
    origin.connections[0]?.send(ok());
    expect((await small.answer()).status).to.equal(200);
    await until("the large one is whole", () => origin.requests.length === 3);
    expect(origin.requests[2]?.body.equals(bytes)).to.equal(true);
    origin.connections[0]?.send(ok());
    expect((await large.answer()).status).to.equal(200);
  });

  it("ends with 503 and the connection closed when the body of the request had not ended", async () => {
    const { gateway, origin, busy } = await waiting(0, { limits: { queueTimeoutMs: 100 } });
    const client = await bench.client(gateway);
    client.send(requestBytes("POST /", ["Content-Length: 10"], "half"), "POST");
    expect((await client.answer()).status).to.equal(503);
    await client.whenClosed();
    expect(gateway.engine.stats().refused).to.deep.equal({ queue_timeout: 1 });
    origin.connections[0]?.send(ok());
    await busy.answer();
  });

  it("lasts as long as an upgraded connection holds the only one", async () => {
    const { origin, gateway } = await waiting(0);
    origin.connections[0]?.send(ok());
    const tunnel = await bench.client(gateway);
    tunnel.send(requestBytes("GET /ws", ["Connection: Upgrade", "Upgrade: chat"]), "GET");
    await until("the handshake arrived", () => origin.requests.length === 2);
    origin.connections[0]?.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n",
    );
    expect((await tunnel.answer()).status).to.equal(101);
    const client = await sending(gateway, "GET /after");
    expect(gateway.engine.stats()).to.include({ exchanges: 2, peerConnections: 1 });
    tunnel.close();
    await until("it was let through", () => targets(origin).includes("/after"));
    origin.connections[1]?.send(ok("after"));
    expect((await client.answer()).body.toString()).to.equal("after");
  });

  it("is served to its end while the engine drains, or cut at the deadline", async () => {
    for (const isCut of [false, true]) {
      const { origin, gateway, busy, waiting: others } = await waiting(1);
      const drained = gateway.engine.drain(isCut ? 100 : 10_000);
      if (!isCut) {
        for (const client of [busy, ...others]) {
          const before = origin.requests.length;
          origin.connections.at(-1)?.send(ok());
          expect((await client.answer()).status).to.equal(200);
          if (client === busy) {
            await until("the next arrived", () => origin.requests.length > before);
          }
        }
      }
      expect(await drained).to.equal(isCut ? 2 : 0);
      expect(gateway.engine.stats()).to.include({ exchanges: 0, clientConnections: 0 });
      expect(origin.peer.inFlight).to.equal(0);
    }
  });

  it("loses nobody when many clients come and leave at once", async () => {
    const origin = await bench.origin((request, connection) => {
      setImmediate(() => connection.send(ok(request.target)));
    });
    const limits = { maxConnectionsPerPeer: 3, maxWaitingPerPeer: 1_000 };
    const gateway = await bench.gateway(origin, { limits });
    const clients = await Promise.all(Array.from({ length: 60 }, () => bench.client(gateway)));
    const stays: Promise<void>[] = [];
    for (const [index, client] of clients.entries()) {
      client.send(requestBytes(`GET /${index}`), "GET");
      if (index % 3 === 0) client.close();
      else if (index % 3 === 1) client.reset();
      else {
        stays.push(
          client.answer().then((answer) => {
            expect(answer.body.toString()).to.equal(`/${index}`);
          }),
        );
      }
    }
    await Promise.all(stays);
    await until("all is over", () => gateway.engine.stats().exchanges === 0);
    expect(origin.live).to.be.at.most(3);
    expect(origin.peer.inFlight).to.equal(0);
  });
});
