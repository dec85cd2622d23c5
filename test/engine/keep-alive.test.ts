/** Connections are kept on both sides and reused, and closed when one side asks for it. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { fieldOf, ok, requestBytes, until } from "../support/http.ts";

describeEngines("keep-alive", (bench) => {
  it("serves many requests of one client connection over one origin connection", async () => {
    const origin = await bench.origin((request, connection) => connection.send(ok(request.target)));
    const client = await bench.client(await bench.gateway(origin));
    for (let n = 0; n < 50; n += 1) {
      const answer = await client.request(requestBytes(`GET /${n}`));
      expect(answer.body.toString()).to.equal(`/${n}`);
    }
    expect(origin.connections).to.have.length(1);
    expect(origin.requests.map((request) => request.target)).to.deep.equal(
      Array.from({ length: 50 }, (_, n) => `/${n}`),
    );
  });

  it("lets clients share the origin connections that are idle", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    for (let n = 0; n < 5; n += 1) {
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /"))).status).to.equal(200);
      client.close();
    }
    expect(origin.connections).to.have.length(1);
  });

  it("opens as many origin connections as requests run at once, and reuses them after", async () => {
    const origin = await bench.origin((request, connection) => {
      if (request.target !== "/wait") connection.send(ok());
    });
    const gateway = await bench.gateway(origin);
    const clients = await Promise.all([1, 2, 3].map(() => bench.client(gateway)));
    for (const client of clients) client.send(requestBytes("GET /wait"), "GET");
    await until("three requests are waiting", () => origin.requests.length === 3);
    expect(origin.connections).to.have.length(3);
    for (const connection of origin.connections) connection.send(ok());
    for (const client of clients) expect((await client.answer()).status).to.equal(200);
    for (const client of clients) await client.request(requestBytes("GET /again"));
    expect(origin.connections).to.have.length(3);
  });

  it("closes the client's connection after the answer when the client asked for it", async () => {
    const origin = await bench.origin(ok());
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(requestBytes("GET /", ["Connection: close"]));
    expect(answer.status).to.equal(200);
    expect(fieldOf(answer, "Connection")?.toLowerCase()).to.equal("close");
    await client.whenClosed();
    expect(client.violation).to.equal(null);
    expect(origin.connections[0]?.closed, "the origin's connection is kept").to.equal(false);
  });

  it("reads `close` among other connection options and in any case", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    for (const value of ["Close", "x-a, CLOSE", "keep-alive ,\tclose"]) {
      const client = await bench.client(gateway);
      expect(
        (await client.request(requestBytes("GET /", [`Connection: ${value}`]))).status,
      ).to.equal(200);
      await client.whenClosed();
    }
  });

  it("keeps the client's connection when the origin closes its own", async () => {
    const origin = await bench.origin((_, connection) =>
      connection.end(ok("bye", ["Connection: close"])),
    );
    const client = await bench.client(await bench.gateway(origin));
    for (let n = 0; n < 3; n += 1) {
      const answer = await client.request(requestBytes("GET /"));
      expect(answer.body.toString()).to.equal("bye");
      expect(fieldOf(answer, "Connection")?.toLowerCase()).to.not.equal("close");
    }
    expect(origin.connections).to.have.length(3);
  });

  it("does not reuse an origin connection on which more came than the answer", async () => {
    const origin = await bench.origin((_, connection) =>
      connection.send(`${ok("one")}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale`),
    );
    const client = await bench.client(await bench.gateway(origin));
    for (let n = 0; n < 3; n += 1) {
      const answer = await client.request(requestBytes("GET /"));
      expect(answer.body.toString()).to.equal("one");
    }
    expect(origin.connections).to.have.length(3);
    for (const connection of origin.connections) await connection.whenClosed();
  });

  it("does not reuse an origin connection on which something came while it was idle", async () => {
    const origin = await bench.origin(ok("right"));
    const client = await bench.client(await bench.gateway(origin));
    await client.request(requestBytes("GET /"));
    origin.connections[0]?.send(ok("wrong"));
    await (await origin.connection()).whenClosed();
    expect((await client.request(requestBytes("GET /"))).body.toString()).to.equal("right");
    expect(origin.connections).to.have.length(2);
  });

  it("closes a client's connection that stays without a request", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { idleTimeoutMs: 100 } });
    const silent = await bench.client(gateway);
    const used = await bench.client(gateway);
    await used.request(requestBytes("GET /"));
    await silent.whenClosed();
    await used.whenClosed();
    expect(silent.receivedBytes).to.equal(0);
    expect(used.violation).to.equal(null);
  });

  it("closes a pooled origin connection that stays without a request", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { peerIdleTimeoutMs: 100 } });
    const client = await bench.client(gateway);
    await client.request(requestBytes("GET /"));
    await (await origin.connection()).whenClosed();
    expect((await client.request(requestBytes("GET /"))).status).to.equal(200);
  });

  it("keeps no more idle connections for a peer than it may", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin, { limits: { maxIdlePerPeer: 2 } });
    const clients = await Promise.all([1, 2, 3, 4, 5].map(() => bench.client(gateway)));
    for (const client of clients) client.send(requestBytes("GET /"), "GET");
    await until("all requests arrived", () => origin.requests.length === 5);
    for (const connection of origin.connections) connection.send(ok());
    for (const client of clients) await client.answer();
    await until("the surplus was closed", () => origin.live === 2, { describe: () => origin.live });
    expect(gateway.engine.stats().peerConnections).to.equal(2);
  });

  it("closes the idle connections of a retired peer, and busy ones after their answer", async () => {
    const origin = await bench.origin((request, connection) => {
      if (request.target !== "/wait") connection.send(ok());
    });
    const gateway = await bench.gateway(origin);
    const [idle, busy] = [await bench.client(gateway), await bench.client(gateway)];
    busy.send(requestBytes("GET /wait"), "GET");
    await until("the request waits", () => origin.requests.length === 1);
    await idle.request(requestBytes("GET /"));
    expect(origin.connections).to.have.length(2);
    gateway.engine.retire(origin.peer);
    await (await origin.connection(1)).whenClosed();
    expect(origin.connections[0]?.closed).to.equal(false);
    origin.connections[0]?.send(ok("last"));
    expect((await busy.answer()).body.toString()).to.equal("last");
    await (await origin.connection(0)).whenClosed();
  });

  it("counts what is live and what was served", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /"), "GET");
    await until("the request arrived", () => origin.requests.length === 1);
    expect(gateway.engine.stats()).to.include({
      clientConnections: 1,
      peerConnections: 1,
      exchanges: 1,
      requests: 1,
    });
    expect(origin.peer.inFlight).to.equal(1);
    origin.connections[0]?.send(ok());
    await client.answer();
    await gateway.outcome();
    expect(gateway.engine.stats()).to.include({ exchanges: 0, clientConnections: 1 });
    expect(origin.peer.inFlight).to.equal(0);
  });
});
