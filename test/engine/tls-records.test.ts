/** Clients over TLS that spend a record on next to nothing, which costs the gateway as much as a request. */
import { once } from "node:events";
import { connect as connectPlain } from "node:net";
import { duplexPair } from "node:stream";
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
    const plain = connectPlain({ host: "127.0.0.1", port: gateway.port });
    plain.on("error", () => {});
    const [near, far] = duplexPair();
    plain.pipe(far);
    let held: Buffer[] | null = null;
    far.on("data", (bytes: Buffer) => (held === null ? plain.write(bytes) : held.push(bytes)));
    const socket = connect({ socket: near, servername: "a.example", ca: authority.cert });
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    socket.write("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000000\r\n\r\n");
    await until("the request has begun", () => gateway.engine.stats().exchanges === 1);
    /** Makes so many records, each of so many bytes, and then sends them at once, however long making them takes. */
    const send = async (records: number, bytes: number) => {
      const pieces: Buffer[] = [];
      held = pieces;
      for (let made = 0; made < records; made += 1) await record(socket, bytes);
      held = null;
      plain.write(Buffer.concat(pieces));
    };
    return { gateway, plain, send };
  };

  /** What is written while something else is on its way shares a record with it. */
  async function record(socket: TLSSocket, bytes: number): Promise<void> {
    await new Promise((resolve) => socket.write(Buffer.alloc(bytes, "x"), resolve));
  }

  it("end a connection when they are many and nearly empty, and are counted", async () => {
    const { gateway, send } = await begin();
    await send(25_000, 1);
    await until("it is counted", () => gateway.engine.stats().refused.tls_flood === 1, {
      describe: () => gateway.engine.stats().refused,
    });
    await until("the connection is gone", () => gateway.engine.stats().clientConnections === 0);
  });

  it("may be small where they carry something, and nearly empty where they are few", async () => {
    const { gateway, plain, send } = await begin();
    await send(5_000, 1);
    await send(15_000, 16);
    // Among its looks is one at all of it.
    const end = gateway.clock.now() + 2_000;
    await until("it has looked", () => gateway.clock.now() > end);
    expect([plain.destroyed, gateway.engine.stats().refused]).to.deep.equal([false, {}]);
    plain.destroy();
    await until("the connection is gone", () => gateway.engine.stats().clientConnections === 0);
  });
});
