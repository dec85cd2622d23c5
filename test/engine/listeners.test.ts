/** An engine accepts on several addresses, and each exchange shows by which of them it came in. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect } from "chai";
import { createEngine } from "../../gateway/worker/engine-choice.ts";
import { openClient } from "../support/client.ts";
import { describeEngines } from "../support/engines.ts";
import { ok, requestBytes, TestGateway, until } from "../support/http.ts";
import { freePort } from "../support/ports.ts";

describeEngines("several listeners", (bench, kind) => {
  it("shows each exchange the listener of its connection, request after request", async () => {
    const origin = await bench.origin(ok());
    const seen: number[] = [];
    const hooks = {
      onRequest: (exchange: { readonly listener: number }) => void seen.push(exchange.listener),
    };
    const gateway = await bench.gateway(origin, { hooks });
    const { port } = await gateway.engine.listen({ host: "127.0.0.1", port: 0 }, 1);
    const { engine, ended, handlerErrors, clock } = gateway;
    const second = new TestGateway(engine, port, ended, handlerErrors, clock);
    const clients = [await bench.client(gateway), await bench.client(second)];
    for (const client of [...clients, ...clients]) {
      expect((await client.request(requestBytes("GET /"))).status).to.equal(200);
    }
    expect(seen).to.deep.equal([0, 1, 0, 1]);
    expect(gateway.engine.stats().clientConnections).to.equal(2);
  });

  it("counts deadlines from when it listens, however long before it was made", async () => {
    const origin = await bench.origin(ok());
    let passedMs = 0;
    let looks = 0;
    const now = () => {
      looks += 1;
      return performance.now() + passedMs;
    };
    const gateway = await bench.gateway(origin, {
      engine(options) {
        const engine = createEngine(kind, { ...options, now });
        passedMs = 3_600_000;
        return engine;
      },
    });
    const client = await bench.client(gateway);
    const before = looks;
    await until("deadlines were looked at", () => looks > before + 1);
    expect((await client.request(requestBytes("GET /"))).status).to.equal(200);
  });

  it("drains all of them: what runs finishes on each, and none accepts any more", async () => {
    const origin = await bench.origin(() => {});
    const ports = [await freePort(), await freePort()] as const;
    const gateway = await bench.gateway(origin, { port: ports[0] });
    await gateway.engine.listen({ host: "127.0.0.1", port: ports[1] }, 1);
    const clients = await Promise.all(ports.map((each) => openClient(each)));
    bench.later(() => {
      for (const client of clients) client.close();
    });
    for (const client of clients) client.send(requestBytes("GET /"), "GET");
    await until("both are at the origin", () => origin.requests.length === 2);
    const drained = gateway.engine.drain(10_000);
    for (const each of ports) {
      const socket = connect({ host: "127.0.0.1", port: each });
      const outcome = await once(socket, "connect").then(
        () => "connected",
        (error: NodeJS.ErrnoException) => error.code,
      );
      expect(outcome).to.equal("ECONNREFUSED");
    }
    for (const connection of origin.connections) connection.send(ok());
    for (const client of clients) expect((await client.answer()).status).to.equal(200);
    expect(await drained).to.equal(0);
  });
});
