/** Connections to peers that end, fail or stall at the worst moment: what becomes of the requests around them. */
import { expect } from "chai";
import { Peer } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  type OriginConnection,
  ok,
  type RawClient,
  requestBytes,
  settled,
  until,
} from "../support/http.ts";
import { refusingPeer, silentPort } from "../support/unreachable.ts";

describeEngines("connections that end at the worst moment", (bench) => {
  for (const [how, spoil] of [
    ["sends bytes that nobody asked for", (one: OriginConnection) => one.send("stray")],
    ["resets", (one: OriginConnection) => one.reset()],
  ] as const) {
    it(`are not given to a request when the peer ${how} just before`, async () => {
      const origin = await bench.origin((request, connection) =>
        connection.send(ok(request.target)),
      );
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      await client.request(requestBytes("GET /first"));
      for (let n = 0; n < 20; n += 1) {
        const kept = origin.connections.at(-1);
        if (kept !== undefined) spoil(kept);
        // Both arrive in one turn of the gateway's loop; a POST is never sent twice.
        const answer = await client.request(
          requestBytes(`POST /${n}`, ["Content-Length: 2"], "ab"),
        );
        expect(answer.status).to.equal(200);
      }
    });
  }

  it("do not take bytes that came before a request for its answer", async () => {
    let taken = () => 0;
    const origin = await bench.origin((request, connection) => {
      if (request.target === "/next") connection.send(ok("mine"));
    });
    const gateway = await bench.gateway(origin, {
      limits: { maxConnectionsPerPeer: 1, queueTimeoutMs: 60_000 },
      hooks: {
        onResponse(exchange) {
          if (exchange.path === "/slow") taken = () => exchange.bytesOut;
        },
      },
    });
    const slow = await bench.client(gateway);
    slow.socket.pause();
    slow.send(requestBytes("GET /slow"), "GET");
    await until("it arrived", () => origin.requests.length === 1);
    const next = await bench.client(gateway);
    next.send(requestBytes("GET /next"), "GET");
    await until("it waits", () => gateway.engine.stats().exchanges === 2);
    const connection = await origin.connection(0);
    connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked"]));
    const piece = Buffer.from(`4000\r\n${"x".repeat(0x4000)}\r\n`);
    for (let isTaken = true; isTaken; ) {
      const before = taken();
      connection.send(piece);
      const end = gateway.clock.now() + 200;
      await until("it is passed on, or held up", () => {
        isTaken = taken() > before;
        return isTaken || gateway.clock.now() > end;
      });
    }
    // The client holds the answer up: its end and what follows wait in the gateway, each by itself.
    for (const bytes of ["0\r\n\r\n", ok("forged")]) {
      connection.send(bytes);
      await settled(() => connection.socket.writableLength, 2);
    }
    slow.socket.resume();
    expect((await slow.answer()).status).to.equal(200);
    expect((await next.answer()).body.toString()).to.equal("mine");
  });

  it("make room in its turn for a request that a kept one failed", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin, { limits: { maxConnectionsPerPeer: 1 } });
    const [first, second, third] = [
      await bench.client(gateway),
      await bench.client(gateway),
      await bench.client(gateway),
    ];
    const last = () => origin.requests.at(-1)?.target;
    const answer = () => origin.connections.at(-1)?.send(ok());
    async function send(client: RawClient, target: string): Promise<void> {
      const { requests } = gateway.engine.stats();
      client.send(requestBytes(`GET ${target}`), "GET");
      await until(`${target} began`, () => gateway.engine.stats().requests > requests);
    }
    await send(first, "/");
    await until("it arrived", () => last() === "/");
    answer();
    await first.answer();
    await send(first, "/again");
    await until("it arrived", () => last() === "/again");
    await send(second, "/second");
    origin.connections[0]?.reset();
    await until("the second arrived", () => last() === "/second");
    await send(third, "/third");
    answer();
    await second.answer();
    await until("it arrived again", () => last() === "/again");
    answer();
    await first.answer();
    await until("the third arrived", () => last() === "/third");
    answer();
    await third.answer();
    expect(gateway.ended.flatMap(({ failures }) => failures)).to.deep.equal([]);
  });

  it("lead to one answer when the handler gives one to the failure, where it must not", async () => {
    const origin = await bench.origin((_, connection) => connection.reset());
    const gateway = await bench.gateway(origin, {
      hooks: { onPeerFailure: (exchange) => exchange.fail(502, "mine", "too early") },
    });
    const client = await bench.client(gateway);
    for (const line of ["POST /", "GET /"]) {
      const answer = await client.request(requestBytes(line, ["Accept: application/json"]));
      expect(JSON.parse(answer.body.toString())).to.include({ error: "handler_error" });
    }
    expect(client.waiting, "further answers").to.equal(0);
    expect(gateway.ended).to.have.length(2);
    expect(gateway.handlerErrors).to.have.length(2);
  });

  it("serve the next request though the handler throws after it answered the one before", async () => {
    const origin = await bench.origin((request, connection) => connection.send(ok(request.target)));
    let resume: (() => void) | undefined;
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          if (exchange.path !== "/held") return;
          if (resume === undefined) {
            exchange.hold();
            resume = () => exchange.resume();
            return;
          }
          exchange.answer({ status: 204 });
          throw new Error("thrown");
        },
      },
    });
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /held") + requestBytes("GET /next"), "GET", "GET");
    await until("it is held", () => resume !== undefined);
    resume?.();
    expect((await client.answer()).status).to.equal(204);
    expect((await client.answer()).body.toString()).to.equal("/next");
    expect(gateway.handlerErrors).to.have.length(1);
  });

  it("time out when neither side takes what the other sends", async () => {
    const origin = await bench.origin("", {
      bytesOnly: true,
      onConnection: ({ socket }) => {
        socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        socket.on("data", (bytes: Buffer) => {
          socket.write(`${bytes.length.toString(16)}\r\n`);
          socket.write(bytes);
          if (!socket.write("\r\n")) {
            socket.pause();
            socket.once("drain", () => socket.resume());
          }
        });
      },
    });
    const gateway = await bench.gateway(origin, { limits: { bodyTimeoutMs: 300 } });
    const client = await bench.client(gateway);
    client.socket.pause();
    const size = 100_000_000;
    client.send(requestBytes("PUT /", [`Content-Length: ${size}`]), "PUT");
    client.send(Buffer.alloc(size, "x"));
    await until("it is over", () => gateway.ended.length === 1, {
      describe: () => gateway.engine.stats(),
    });
    expect(gateway.ended[0]?.errorCode).to.equal("body_timeout");
  });

  it("time out when the client sends ahead and does not take its answer", async () => {
    const origin = await bench.origin(ok("x".repeat(30_000_000)));
    const gateway = await bench.gateway(origin, { limits: { bodyTimeoutMs: 300 } });
    const client = await bench.client(gateway);
    client.socket.pause();
    client.send(requestBytes("GET /"), "GET");
    const connection = await origin.connection();
    await settled(() => connection.socket.writableLength, 3);
    client.send(requestBytes("GET /").repeat(5_000));
    await until("it is over", () => gateway.ended.length === 1);
    expect(gateway.ended[0]?.errorCode).to.equal("client_closed");
  });

  it("leave a client the time that the peer takes once it takes its answer again", async () => {
    const origin = await bench.origin("", { bytesOnly: true, paused: true });
    const bodyTimeoutMs = 600;
    const gateway = await bench.gateway(origin, { limits: { bodyTimeoutMs } });
    const client = await bench.client(gateway);
    client.socket.pause();
    const size = 30_000_000;
    client.send(requestBytes("PUT /", [`Content-Length: ${size}`]), "PUT");
    client.send(Buffer.alloc(size, "x"));
    const connection = await origin.connection();
    connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked"]));
    // Neither side takes anything now; then the client does, and the peer only answers for a while.
    connection.send(`${size.toString(16)}\r\n`);
    connection.send(Buffer.alloc(size, "y"));
    await settled(() => connection.socket.writableLength + client.socket.writableLength, 3);
    client.socket.resume();
    await until("the client has it", () => (client.underWay?.bodyBytes ?? 0) >= size);
    const end = gateway.clock.now() + 3 * bodyTimeoutMs;
    await until("it took long", () => {
      connection.send("\r\n1\r\nz");
      return gateway.clock.now() > end;
    });
    connection.socket.resume();
    await until("the upload is whole", () => connection.receivedBytes > size);
    connection.send("\r\n0\r\n\r\n");
    expect((await client.answer()).status).to.equal(200);
    expect((await gateway.outcome()).errorCode).to.equal("");
  });

  for (const does of ["tries it again", "retires it", "throws"] as const) {
    it(`fail each that waits once for a try when connecting fails and the handler ${does}`, async () => {
      const peer = refusingPeer();
      const origin = await bench.origin("");
      const gateway = await bench.gateway(origin, {
        limits: { maxConnectionsPerPeer: 1 },
        hooks: {
          onPick: (exchange) => (exchange.tries < 3 ? peer : null),
          onPeerFailure() {
            if (does === "retires it") gateway.engine.retire(peer);
            if (does === "throws") throw new Error("thrown");
          },
        },
      });
      const clients = await Promise.all(Array.from({ length: 8 }, () => bench.client(gateway)));
      for (const client of clients) client.send(requestBytes("GET /").repeat(2), "GET", "GET");
      const throws = does === "throws";
      for (const client of [...clients, ...clients])
        expect((await client.answer()).status).to.equal(throws ? 500 : 502);
      const tries = throws ? 1 : 3;
      for (const ended of gateway.ended) {
        expect(ended.tries).to.equal(tries);
        expect(ended.failures.map(({ code }) => code)).to.deep.equal(
          Array.from({ length: tries }, () => "connect_failed"),
        );
      }
      expect(gateway.ended).to.have.length(16);
      expect(gateway.engine.stats()).to.include({ exchanges: 0, peerConnections: 0 });
      expect(peer.inFlight).to.equal(0);
    });
  }

  for (const isCut of [false, true]) {
    it(`do not hold up a drain while they are on their way${isCut ? ", beyond its deadline" : ""}`, async () => {
      const peer = new Peer("127.0.0.1", await silentPort(bench));
      const origin = await bench.origin("");
      const gateway = await bench.gateway(origin, {
        limits: { maxConnectionsPerPeer: 1, connectTimeoutMs: isCut ? 60_000 : 200, maxTries: 1 },
        hooks: { onPick: (exchange) => (exchange.tries === 0 ? peer : null) },
      });
      const clients = await Promise.all(Array.from({ length: 3 }, () => bench.client(gateway)));
      for (const client of clients) client.send(requestBytes("GET /"), "GET");
      await until("they have begun", () => gateway.engine.stats().requests === 3);
      expect(await gateway.engine.drain(isCut ? 100 : 10_000)).to.equal(isCut ? 3 : 0);
      if (!isCut)
        for (const client of clients) expect((await client.answer()).status).to.equal(504);
      expect(gateway.engine.stats()).to.include({ exchanges: 0, peerConnections: 0 });
      expect(peer.inFlight).to.equal(0);
    });
  }
});
