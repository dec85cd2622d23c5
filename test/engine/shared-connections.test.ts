/** Which request gets which connection to a peer: nobody waits for one while another is free. */
import { expect } from "chai";
import { Peer } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import { ok, requestBytes, until } from "../support/http.ts";
import { FallingSilent } from "../support/unreachable.ts";

describeEngines("connections that requests share", (bench) => {
  it("takes the one that another request is done with while its own is on its way", async () => {
    const silent = await FallingSilent.start(bench);
    const peer = new Peer("127.0.0.1", silent.port);
    const origin = await bench.origin("");
    const gateway = await bench.gateway(origin, {
      hooks: { onPick: () => peer },
      limits: { connectTimeoutMs: 60_000 },
    });
    const [first, second] = [await bench.client(gateway), await bench.client(gateway)];
    expect((await first.request(requestBytes("GET /"))).body.toString()).to.equal("1");
    await silent.fallSilent();
    first.send(requestBytes("GET /"), "GET");
    second.send(requestBytes("GET /"), "GET");
    await until("both wait", () => gateway.engine.stats().exchanges === 2);
    expect(gateway.engine.stats().peerConnections).to.equal(2);
    silent.answerOnLast();
    expect((await first.answer()).body.toString()).to.equal("1");
    silent.answerOnLast();
    expect((await second.answer()).body.toString()).to.equal("1");
    gateway.engine.retire(peer);
  });

  it("keeps the connection that was opened for a client that left", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /left"), "GET");
    client.close();
    await until("it is over", () => gateway.ended.length === 1);
    const other = await bench.client(gateway);
    other.send(requestBytes("GET /stays"), "GET");
    const asked = (target: string) =>
      origin.connections.find(({ requests }) => requests.some((one) => one.target === target));
    await until("the other arrived", () => asked("/stays") !== undefined);
    asked("/stays")?.send(ok("stays"));
    expect((await other.answer()).body.toString()).to.equal("stays");
  });

  it("gives a request that a kept connection failed a new one, though another is free", async () => {
    const origin = await bench.origin((request, connection) => {
      if (request.target === "/held") return;
      const isFirst = connection.requests.length === 1;
      if (request.target === "/again" && !isFirst) connection.reset();
      else connection.send(ok(isFirst ? "new" : "kept"));
    });
    const gateway = await bench.gateway(origin, { limits: { maxConnectionsPerPeer: 2 } });
    const [first, second] = [await bench.client(gateway), await bench.client(gateway)];
    first.send(requestBytes("GET /held"), "GET");
    await until("it is held", () => origin.requests.length === 1);
    expect((await second.request(requestBytes("GET /"))).body.toString()).to.equal("new");
    origin.connections[0]?.send(ok("was held"));
    await first.answer();
    await until("both are kept", () => origin.live === 2);
    expect((await second.request(requestBytes("GET /again"))).body.toString()).to.equal("new");
    expect(origin.connections).to.have.length(3);
    expect(gateway.ended.flatMap(({ failures }) => failures)).to.deep.equal([]);
  });

  it("closes a kept connection for it when the peer has all it may have", async () => {
    const origin = await bench.origin((request, connection) => {
      const isFirst = connection.requests.length === 1;
      if (request.target !== "/again" || isFirst) connection.send(ok());
      else if (connection !== origin.connections[0]) connection.reset();
    });
    const gateway = await bench.gateway(origin, { limits: { maxConnectionsPerPeer: 1 } });
    const [first, second] = [await bench.client(gateway), await bench.client(gateway)];
    await first.request(requestBytes("GET /"));
    first.send(requestBytes("GET /again"), "GET");
    await until("it arrived", () => origin.requests.length === 2);
    second.send(requestBytes("GET /second"), "GET");
    await until("the second waits", () => gateway.engine.stats().exchanges === 2);
    origin.connections[0]?.reset();
    expect((await second.answer()).status).to.equal(200);
    expect((await first.answer()).status).to.equal(200);
    expect(origin.requests.filter(({ target }) => target === "/again")).to.have.length(2);
    expect(gateway.ended.flatMap(({ failures }) => failures)).to.deep.equal([]);
  });
});
