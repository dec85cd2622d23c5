/** How many peers a request is tried on, for how long, and whose failure a failure is. */
import { expect } from "chai";
import { Peer, Target } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import { ok, requestBytes, until } from "../support/http.ts";
import { freePort } from "../support/ports.ts";
import { refusingPeer, silentPort } from "../support/unreachable.ts";

const refusing = (count: number) => Array.from({ length: count }, () => refusingPeer());

describeEngines("tries", (bench) => {
  describe("that sent nothing", () => {
    it("do not count: every peer is tried until one takes the request", async () => {
      const origin = await bench.origin(ok("there"));
      const peers = [...refusing(19), origin.peer];
      const gateway = await bench.gateway(origin, { peers, limits: { maxTries: 1 } });
      const client = await bench.client(gateway);
      for (const head of ["GET /", "POST /"]) {
        const answer = await client.request(requestBytes(head, ["Content-Length: 2"], "ab"));
        expect(answer.status, head).to.equal(200);
      }
      expect(gateway.ended.map(({ tries }) => tries)).to.deep.equal([20, 20]);
      expect(origin.requests.map(({ body }) => body.toString())).to.deep.equal(["ab", "ab"]);
    });

    it("are bounded all the same, however many peers refuse", async () => {
      const peer = refusingPeer();
      const peers = Array.from({ length: 1_000 }, () => new Peer(peer.host, peer.port));
      const gateway = await bench.gateway([], { peers });
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /"))).status).to.equal(502);
      expect((await gateway.outcome()).tries).to.be.within(50, 200);
    });

    it("end when the time for tries is up", async () => {
      const silent = new Peer("127.0.0.1", await silentPort(bench));
      const peers = [silent, ...refusing(3)];
      const gateway = await bench.gateway([], {
        peers,
        // Deadlines are as coarse as the sweep, and late or early by as much as the machine is busy.
        limits: { connectTimeoutMs: 1_000, tryTimeoutMs: 100 },
      });
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /"))).status).to.equal(504);
      expect((await gateway.outcome()).tries).to.equal(1);
    });

    it("go on for as long as they take when there is no such time", async () => {
      const origin = await bench.origin(ok("there"));
      const silent = new Peer("127.0.0.1", await silentPort(bench));
      const gateway = await bench.gateway(origin, {
        peers: [silent, origin.peer],
        limits: { connectTimeoutMs: 200, tryTimeoutMs: 0 },
      });
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /"))).status).to.equal(200);
    });
  });

  describe("on a peer that is silent", () => {
    it("are followed by another when the method is idempotent, with its body", async () => {
      const silent = await bench.origin(() => {});
      const origin = await bench.origin(ok("there"));
      const gateway = await bench.gateway([silent, origin], { limits: { responseTimeoutMs: 150 } });
      const client = await bench.client(gateway);
      for (const method of ["GET", "PUT"]) {
        const head = requestBytes(`${method} /`, ["Content-Length: 2"], "ab");
        expect((await client.request(head)).status, method).to.equal(200);
      }
      expect(origin.requests.map(({ body }) => body.toString())).to.deep.equal(["ab", "ab"]);
      const codes = gateway.ended.flatMap(({ failures }) => failures.map(({ code }) => code));
      expect(codes).to.deep.equal(["response_timeout", "response_timeout"]);
      expect(silent.peer.inFlight + origin.peer.inFlight).to.equal(0);
    });

    it("on a kept connection too", async () => {
      const falls = await bench.origin((request, connection) => {
        if (request.target === "/first") connection.send(ok("first"));
      });
      const origin = await bench.origin(ok("there"));
      const gateway = await bench.gateway([falls, origin], { limits: { responseTimeoutMs: 150 } });
      const client = await bench.client(gateway);
      await client.request(requestBytes("GET /first"));
      const answer = await client.request(requestBytes("GET /second"));
      expect(answer.body.toString()).to.equal("there");
      expect((await gateway.outcomeOf(1)).tries).to.equal(2);
    });

    it("are not when the method is not idempotent, or a byte of an answer came", async () => {
      const silent = await bench.origin((request, connection) => {
        if (request.method === "GET") connection.send("HTTP/1.1 200 OK\r\n");
      });
      const origin = await bench.origin(ok("there"));
      const gateway = await bench.gateway([silent, origin], { limits: { responseTimeoutMs: 150 } });
      const client = await bench.client(gateway);
      for (const head of ["POST /", "GET /"]) {
        const answer = await client.request(requestBytes(head, ["Content-Length: 0"]));
        expect(answer.status, head).to.equal(504);
      }
      expect(origin.requests).to.have.length(0);
    });
  });

  describe("of an upstream with limits of its own", () => {
    it("are as many as it says", async () => {
      const origins = await Promise.all(
        [1, 2, 3, 4].map(() => bench.origin((_, connection) => connection.end())),
      );
      const own = { maxTries: 4 };
      const gateway = await bench.gateway(origins, {
        hooks: {
          onPick(exchange) {
            const peer =
              origins.map(({ peer }) => peer).find((one) => !exchange.tried(one)) ?? null;
            return peer !== null && exchange.path === "/own" ? new Target(peer, own) : peer;
          },
        },
      });
      const client = await bench.client(gateway);
      for (const path of ["/own", "/engine"]) {
        expect((await client.request(requestBytes(`GET ${path}`))).status).to.equal(502);
      }
      expect(gateway.ended.map(({ tries }) => tries)).to.deep.equal([4, 2]);
    });

    it("wait for a connection, an answer and its body as long as it says", async () => {
      const origin = await bench.origin((request, connection) => {
        if (request.target === "/body")
          connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
      });
      const silent = new Peer("127.0.0.1", await silentPort(bench));
      const own = { connectTimeoutMs: 100, readTimeoutMs: 100 };
      const gateway = await bench.gateway(origin, {
        limits: { connectTimeoutMs: 60_000 },
        hooks: {
          onPick: (exchange) => {
            if (exchange.tries > 0) return null;
            return new Target(exchange.path === "/connect" ? silent : origin.peer, own);
          },
        },
      });
      const client = await bench.client(gateway);
      for (const path of ["/connect", "/head"]) {
        expect((await client.request(requestBytes(`GET ${path}`))).status, path).to.equal(504);
      }
      client.send(requestBytes("GET /body"), "GET");
      await client.whenClosed();
      expect(gateway.ended.map(({ errorCode }) => errorCode)).to.deep.equal([
        "connect_timeout",
        "response_timeout",
        "body_timeout",
      ]);
    });
  });

  it("that fail to connect are told of once each, also when many wait for few connections", async () => {
    const peer = refusingPeer();
    const gateway = await bench.gateway([], {
      peers: [peer],
      limits: { maxConnectionsPerPeer: 2 },
    });
    const clients = await Promise.all(Array.from({ length: 12 }, () => bench.client(gateway)));
    for (const client of clients) client.send(requestBytes("GET /"), "GET");
    for (const client of clients) expect((await client.answer()).status).to.equal(502);
    expect(gateway.ended.map(({ failures }) => failures.length)).to.deep.equal(
      clients.map(() => 1),
    );
    expect(peer.inFlight).to.equal(0);
  });

  it("fail one request with one attempt: the others are served when the peer comes back", async () => {
    const peer = new Peer("127.0.0.1", await freePort());
    let back: Promise<unknown> | null = null;
    const gateway = await bench.gateway([], {
      limits: { maxConnectionsPerPeer: 1 },
      hooks: {
        onPick: (exchange) => (exchange.tries === 0 ? peer : null),
        onPeerFailure() {
          back ??= bench.origin((_, connection) => connection.send(ok("back")), {
            port: peer.port,
          });
        },
      },
    });
    const clients = await Promise.all(Array.from({ length: 24 }, () => bench.client(gateway)));
    for (const client of clients) client.send(requestBytes("GET /"), "GET");
    const statuses: number[] = [];
    for (const client of clients) statuses.push((await client.answer()).status);
    await back;
    expect(statuses.at(-1), "of the last that waited").to.equal(200);
    const told = gateway.ended.reduce((sum, { failures }) => sum + failures.length, 0);
    expect(told).to.equal(statuses.filter((status) => status === 502).length);
    gateway.engine.retire(peer);
  });

  it("do not leave those waiting that have no attempt of their own at a silent peer", async () => {
    const silent = new Peer("127.0.0.1", await silentPort(bench));
    const origin = await bench.origin(ok("there"));
    const connectTimeoutMs = 300;
    const gateway = await bench.gateway(origin, {
      peers: [silent, origin.peer],
      limits: { maxConnectionsPerPeer: 1, connectTimeoutMs, queueTimeoutMs: 60_000 },
    });
    const clients = await Promise.all(Array.from({ length: 8 }, () => bench.client(gateway)));
    for (const client of clients) client.send(requestBytes("GET /"), "GET");
    await until("they have begun", () => gateway.engine.stats().requests === clients.length);
    for (const client of clients) expect((await client.answer()).status).to.equal(200);
    const told = gateway.ended.reduce((sum, { failures }) => sum + failures.length, 0);
    expect(told, "failures told").to.be.at.least(1);
    expect(silent.inFlight).to.equal(0);
  });
});
