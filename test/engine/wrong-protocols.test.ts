/** Peers that speak another protocol than their upstream says: the failure says which, and what to look at. */
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { Peer, Target, type TargetOptions } from "../../gateway/engine/engine.ts";
import { TestAuthority } from "../support/certificates.ts";
import { describeEngines } from "../support/engines.ts";
import { requestBytes } from "../support/http.ts";

const { cert, key } = new TestAuthority("Strangers").issue({ names: ["peer.example"] });
const tls = { serverName: null, authorities: null, certificate: null, isInsecure: false };
const trusting = { ...tls, isInsecure: true };

/** Accepts connections and does this with them. */
const accepting = (meet: (socket: Socket) => void) =>
  createServer((socket) => {
    socket.on("error", () => {});
    meet(socket);
  });
const http1 = () => createHttpServer((_request, response) => response.end("fine"));
const https1 = () => createHttpsServer({ cert, key }, (_request, response) => response.end("fine"));

interface Case {
  readonly title: string;
  readonly server: () => Server;
  readonly options: TargetOptions;
  readonly error: readonly [code: string, status: number];
  readonly words: readonly RegExp[];
}

const cases: readonly Case[] = [
  {
    title: "in clear behind an upstream with TLS",
    server: http1,
    options: { tls },
    error: ["tls_failed", 502],
    words: [/^the TLS handshake with KEY failed: /, /may speak clear text/, /the upstream's `tls`/],
  },
  {
    title: "that close the connection at the handshake",
    server: () => accepting((socket) => socket.once("data", () => socket.destroy())),
    options: { tls },
    error: ["tls_failed", 502],
    words: [
      /^the TLS handshake with KEY failed: /,
      /closed the connection/,
      /the upstream's `tls`/,
    ],
  },
  {
    title: "that say nothing to the handshake",
    server: () => accepting((socket) => socket.resume()),
    options: { tls, connectTimeoutMs: 200 },
    error: ["connect_timeout", 504],
    words: [/TLS handshake with KEY/, /the upstream's `tls`/],
  },
  {
    title: "whose certificate nobody trusts",
    server: https1,
    options: { tls },
    error: ["tls_failed", 502],
    words: [/^the TLS handshake with KEY failed: .*certificate/, /the upstream's `tls`/],
  },
  {
    title: "that speak HTTP/1 over TLS behind an upstream with h2",
    server: https1,
    options: { tls: trusting, protocol: "h2" },
    error: ["tls_failed", 502],
    words: [/KEY/, /does not speak the upstream's `protocol`/],
  },
  {
    title: "that speak HTTP/1 behind an upstream with h2c",
    server: http1,
    options: { protocol: "h2c" },
    error: ["reset", 502],
    words: [/KEY/, /does not speak HTTP\/2/, /no SETTINGS frame/, /the upstream's `protocol`/],
  },
  {
    title: "that close the connection at the first byte of HTTP/2",
    server: () => accepting((socket) => socket.once("data", () => socket.end())),
    options: { protocol: "h2c" },
    error: ["reset", 502],
    words: [/KEY/, /without a byte of HTTP\/2/, /the upstream's `protocol`/],
  },
];

describeEngines("peers that speak something else", (bench) => {
  for (const { title, server: open, options, error, words } of cases) {
    it(title, async () => {
      const server = open();
      await once(server.listen(0, "127.0.0.1"), "listening");
      const sockets = new Set<Socket>();
      server.on("connection", (socket: Socket) => sockets.add(socket));
      bench.later(() => {
        for (const socket of sockets) socket.destroy();
        server.close();
      });
      const peer = new Peer("127.0.0.1", (server.address() as AddressInfo).port);
      const target = new Target(peer, { ...options, maxTries: 1 });
      const gateway = await bench.gateway([], {
        hooks: { onPick: (exchange) => (exchange.tried(peer) ? null : target) },
      });
      const client = await bench.client(gateway);
      const answer = await client.request(requestBytes("GET /"));
      const outcome = await gateway.outcome();
      expect([outcome.errorCode, answer.status]).to.deep.equal(error);
      const [failure] = outcome.failures;
      for (const word of words) {
        expect(failure?.message.replaceAll(peer.key, "KEY")).to.match(word);
        expect(answer.body.toString()).not.to.include(String(peer.port));
      }
    });
  }
});
