/** Clients over TLS that spend a record on next to nothing, which costs the gateway as much as a request. */
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import { expect } from "chai";
import { TlsEndpoint } from "../../gateway/engine/listening/tls-endpoint.ts";
import { TestAuthority } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { describeEngines } from "../support/engines.ts";
import { ok } from "../support/http.ts";

const authority = new TestAuthority();

describeEngines("the records of TLS", (bench) => {
  /** A connection on which a request with a long body has begun. */
  const begin = async () => {
    const origin = await bench.origin(ok());
    const { cert, key } = authority.issue({ names: ["a.example"] });
    const endpoint = new TlsEndpoint({
      pairs: [{ chain: cert, key }],
      profile: "intermediate",
      protocols: ["http/1.1"],
      tickets: () => [],
      clients: null,
      now: Date.now,
      identity: "a.example",
    });
    const tls = { choose: () => ({ endpoint, clientRule: "", covers: () => true }) };
    const gateway = await bench.gateway(origin, { listeners: [{ tls }] });
    const socket = connect({
      ...{ host: "127.0.0.1", port: gateway.port, servername: "a.example", ca: authority.cert },
    });
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    socket.setNoDelay(true);
    socket.write("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000000\r\n\r\n");
    return { gateway, socket };
  };

  /** Sends so many records, each of so many bytes, or as many as the gateway takes. */
  async function send(socket: TLSSocket, records: number, bytes: number): Promise<void> {
    const piece = Buffer.alloc(bytes, "x");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    // What is written while something else is on its way shares a record with it.
    const write = () => new Promise((resolve) => socket.write(piece, resolve));
    for (let sent = 0; sent < records && !socket.destroyed; sent += 1)
      await Promise.race([write(), closed]);
  }

  it("end a connection when they are many and nearly empty, and are counted", async () => {
    const { gateway, socket } = await begin();
    await send(socket, 1_000_000, 1);
    const { refused } = gateway.engine.stats();
    await until("it is counted", () => gateway.engine.stats().refused.tls_flood === 1, {
      describe: () => refused,
    });
    await until("the connection is gone", () => gateway.engine.stats().clientConnections === 0);
  });

  it("may be small where they carry something, and nearly empty where they are few", async () => {
    const { gateway, socket } = await begin();
    await send(socket, 5_000, 1);
    await send(socket, 15_000, 16);
    expect([socket.destroyed, gateway.engine.stats().refused]).to.deep.equal([false, {}]);
    socket.destroy();
    await until("the connection is gone", () => gateway.engine.stats().clientConnections === 0);
  });
});
