/** PROXY headers from senders that need not send any, and none from those that must: both are told, and counted. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect } from "chai";
import type { ListenerOptions } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import { ok, requestBytes, until } from "../support/http.ts";

const one = "PROXY TCP4 192.0.2.8 192.0.2.1 1234 80\r\n";
const two = Buffer.concat([
  Buffer.from("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "latin1"),
  Buffer.from([192, 0, 2, 8, 192, 0, 2, 1, 4, 210, 0, 80]),
]).toString("latin1");
const request = requestBytes("GET /", ["Host: a.example"]);

describeEngines("PROXY headers", (bench) => {
  const listen = async (listener: ListenerOptions) =>
    bench.gateway(await bench.origin(ok()), { listeners: [listener] });

  /** Sends the pieces one after the other, and returns all that comes until the gateway closes. */
  const talk = async (port: number, pieces: readonly string[]): Promise<string> => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    bench.later(() => void socket.destroy());
    await once(socket, "connect");
    let text = "";
    socket.setEncoding("latin1").on("data", (piece: string) => {
      text += piece;
    });
    // It may be reset when pieces come behind a refusal.
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.once("close", resolve));
    for (const piece of pieces) {
      await new Promise((resolve) => socket.write(piece, "latin1", resolve));
      await new Promise(setImmediate);
    }
    await closed;
    return text;
  };

  for (const [what, pieces] of [
    ["of version 1", [one + request]],
    ["of version 1 alone", [one]],
    ["of version 1 in pieces", ["PROXY TC", one.slice(8), request]],
    ["of an unknown client", [`PROXY UNKNOWN\r\n${request}`]],
    ["of version 2", [two + request]],
    ["of version 2 alone", [two]],
  ] as const) {
    it(`${what}, of a sender that is not listed, are refused as that`, async () => {
      const gateway = await listen({ proxied: (address) => address === "192.0.2.1" });
      const answer = await talk(gateway.port, pieces);
      expect(answer).to.match(/^HTTP\/1\.1 400 /);
      expect(answer).to.include("unexpected_proxy_header").and.to.include("proxyProtocol");
      const { refused, lastRefused } = gateway.engine.stats();
      expect(refused).to.deep.equal({ unexpected_proxy_header: 1 });
      expect(lastRefused).to.deep.equal({ unexpected_proxy_header: "127.0.0.1" });
    });
  }

  it("are nothing that a method named PROXY would be", async () => {
    const gateway = await listen({});
    const answer = await talk(gateway.port, [
      "PROXY /a HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
    ]);
    expect(answer).to.match(/^HTTP\/1\.1 200 /);
    expect(await talk(gateway.port, ["PROXY TCP4x\r\n\r\n"])).to.include("bad_request_line");
  });

  it("are missed where a listed sender has none", async () => {
    const gateway = await listen({ proxied: () => true });
    const answer = await talk(gateway.port, [request]);
    expect(answer).to.match(/^HTTP\/1\.1 400 /);
    expect(answer).to.include("missing_proxy_header").and.to.include("proxyProtocol");
    const { refused, lastRefused } = gateway.engine.stats();
    expect(refused).to.deep.equal({ missing_proxy_header: 1 });
    expect(lastRefused).to.deep.equal({ missing_proxy_header: "127.0.0.1" });
    expect(
      await talk(gateway.port, [
        `${one}${request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")}`,
      ]),
    ).to.match(/^HTTP\/1\.1 200 /);
  });

  it("say for which address a connection counts, however many a listed sender opens at once", async () => {
    const gateway = await listen({ proxied: () => true, maxConnectionsPerAddress: 1 });
    const open = () => {
      const socket = connect({ port: gateway.port, host: "127.0.0.1", noDelay: true });
      socket.on("error", () => {});
      bench.later(() => void socket.destroy());
      return socket;
    };
    const sockets = [7, 8, 9].map((last) => ({ last, socket: open() }));
    await until("all are open", () => gateway.engine.stats().clientConnections === 3);
    const line = (last: number) => one.replace("192.0.2.8", `192.0.2.${last}`);
    for (const { last, socket } of sockets) {
      socket.write(line(last) + request);
      expect(String((await once(socket, "data"))[0])).to.match(/^HTTP\/1\.1 200 /);
    }
    expect(await talk(gateway.port, [line(8) + request])).to.include("too_many_from_address");
    sockets[1]?.socket.destroy();
    await until("it is gone", () => gateway.engine.stats().clientConnections === 2);
    const last = request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    expect(await talk(gateway.port, [line(8) + last])).to.match(/^HTTP\/1\.1 200 /);
    expect(gateway.engine.stats().refused).to.deep.equal({ too_many_from_address: 1 });
  });

  it("are told apart from other bytes in front of TLS", async () => {
    const gateway = await listen({ tls: { choose: () => null } });
    for (const bytes of [one, two]) expect(await talk(gateway.port, [bytes])).to.equal("");
    expect(await talk(gateway.port, [request])).to.include("tls_expected");
    await until("all are counted", () => gateway.engine.stats().refused.tls_expected === 1);
    expect(gateway.engine.stats().refused).to.deep.equal({
      unexpected_proxy_header: 2,
      tls_expected: 1,
    });
  });
});
