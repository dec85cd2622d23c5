/** Draining: what runs finishes, what is idle closes, and nothing new begins. */
import { connect } from "node:net";
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { fieldOf, ok, openClient, requestBytes, until } from "../support/http.ts";
import { freePort } from "../support/ports.ts";

describeEngines("drain", (bench) => {
  it("closes idle connections and resolves with nothing cut", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    const fresh = await bench.client(gateway);
    const used = await bench.client(gateway);
    await used.request(requestBytes("GET /"));
    expect(await gateway.engine.drain(10_000)).to.equal(0);
    await fresh.whenClosed();
    await used.whenClosed();
    expect(used.violation).to.equal(null);
    await (await origin.connection()).whenClosed();
  });

  it("lets running requests finish, and says that their connections close", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin, { port: await freePort() });
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /"), "GET");
    await until("it arrived", () => origin.requests.length === 1);
    let cut = -1;
    const drained = gateway.engine.drain(10_000).then((count) => {
      cut = count;
    });
    await refusedAt(gateway.port);
    expect(cut).to.equal(-1);
    origin.connections[0]?.send(ok("finished"));
    const answer = await client.answer();
    expect(answer.body.toString()).to.equal("finished");
    expect(fieldOf(answer, "Connection")?.toLowerCase()).to.equal("close");
    await client.whenClosed();
    await drained;
    expect(cut).to.equal(0);
    await (await origin.connection()).whenClosed();
  });

  it("refuses new connections as soon as it begins", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { port: await freePort() });
    await gateway.engine.drain(1_000);
    const outcome = await openClient(gateway.port).then(
      (client) => {
        client.close();
        return "accepted";
      },
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect(outcome).to.equal("ECONNREFUSED");
  });

  it("cuts what still runs at the deadline and says how many", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    const clients = [await bench.client(gateway), await bench.client(gateway)];
    for (const client of clients) client.send(requestBytes("GET /"), "GET");
    await until("both arrived", () => origin.requests.length === 2);
    expect(await gateway.engine.drain(50)).to.equal(2);
    for (const client of clients) await client.whenClosed();
    for (const connection of origin.connections) await connection.whenClosed();
    expect(gateway.ended).to.have.length(2);
  });

  it("answers a request that is on its way when draining begins, or closes cleanly", async () => {
    const origin = await bench.origin(ok("late"));
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send("GET / HTTP/1.1\r\nHost: shop.ex", "GET");
    await until("it began", () => gateway.engine.stats().clientConnections === 1);
    const drained = gateway.engine.drain(2_000);
    client.send("ample\r\n\r\n");
    await until(
      "it is answered or closed",
      () => client.waiting > 0 || client.ended || client.closed,
    );
    if (client.waiting > 0) {
      const answer = await client.answer();
      expect(fieldOf(answer, "Connection")?.toLowerCase()).to.equal("close");
    }
    expect(client.violation).to.equal(null);
    await drained;
  });

  it("serves no request that was pipelined behind the running one", async () => {
    const origin = await bench.origin((request, connection) => {
      if (request.target !== "/wait") connection.send(ok());
    });
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /wait") + requestBytes("GET /behind"), "GET", "GET");
    await until("it arrived", () => origin.requests.length === 1);
    const drained = gateway.engine.drain(10_000);
    origin.connections[0]?.send(ok("finished"));
    expect((await client.answer()).body.toString()).to.equal("finished");
    await client.whenClosed();
    await drained;
    expect(origin.requests).to.have.length(1);
  });

  it("may be asked twice: both calls resolve when the last exchange has ended", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /"), "GET");
    await until("it arrived", () => origin.requests.length === 1);
    const resolved: string[] = [];
    gateway.engine.drain(10_000).then(() => resolved.push("first"));
    gateway.engine.drain(10_000).then(() => resolved.push("second"));
    origin.connections[0]?.send(ok());
    await client.answer();
    await until("both resolved", () => resolved.length === 2, { describe: () => resolved });
  });
});

/** Resolves once nothing listens on the port any more. */
async function refusedAt(port: number): Promise<void> {
  let refused = false;
  while (!refused) {
    refused = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("connect", () => {
        socket.destroy();
        resolve(false);
      });
      socket.once("error", () => resolve(true));
    });
  }
}
