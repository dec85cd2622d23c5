/** Checks of servers over TLS, as their upstream says that they are reached. */
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createPlain, type Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { expect } from "chai";
import { TestAuthority } from "../../../test/support/certificates.ts";
import { Peer, type PeerTls } from "../../engine/engine.ts";
import type { CheckType, HealthCheck } from "../../model/index.ts";
import { saidInTime } from "../fixtures/patient-ask.ts";
import type { Verdict } from "./judges.ts";
import { createProbe } from "./probe.ts";

const authority = new TestAuthority();
const server = authority.issue({ names: ["inner.example"] });
const client = authority.issue({ names: ["gateway.example"] });
const probe = createProbe({
  authorities: (name) => (name === "inner-ca" ? authority.cert : null),
  pair: (name) => (name === "gateway" ? { chain: client.cert, key: client.key } : null),
});
const believed: PeerTls = {
  serverName: "inner.example",
  authorities: "inner-ca",
  certificate: null,
  isInsecure: false,
};

/** What a well server says over TLS, once it has been asked where it is to be asked. */
const well: Readonly<Record<Exclude<CheckType, "grpc" | "udp">, string>> = {
  general: "",
  http: "HTTP/1.1 204 No Content\r\n\r\n",
  redis: "+PONG\r\n",
  mysql: "\x4a\0\0\0\x0a8.0",
};

/** What is said of a request that meets the same. */
function failedHandshake({ key }: Peer, why: string): RegExp {
  const [place, clause] = [key, why].map(RegExp.escape);
  return new RegExp(
    `^the TLS handshake with ${place} failed: .*${clause}[^;]* \\(see the upstream's`,
  );
}

describe("a check of a server over TLS", () => {
  const toClose: (() => unknown)[] = [];
  let seen: TLSSocket[];

  beforeEach(() => {
    seen = [];
  });
  afterEach(() => {
    for (const close of toClose.splice(0)) close();
  });

  async function listening(one: Server | ReturnType<typeof createSecureServer>): Promise<Peer> {
    one.on("secureConnection", (socket: TLSSocket) => {
      seen.push(socket);
      socket.on("error", () => {});
    });
    one.listen(0, "127.0.0.1");
    await once(one, "listening");
    toClose.push(() => {
      for (const socket of seen) socket.destroy();
      one.close();
    });
    return new Peer("127.0.0.1", (one.address() as AddressInfo).port);
  }

  const secure = {
    ...{ cert: server.cert, key: server.key, ca: authority.cert },
    ...{ requestCert: true, rejectUnauthorized: false },
  };

  function startServer(type: Exclude<CheckType, "grpc" | "udp">): Promise<Peer> {
    return listening(
      createServer(secure, (socket) => {
        if (type === "mysql") socket.write(well[type], "latin1");
        else socket.once("data", () => socket.write(well[type], "latin1"));
      }),
    );
  }

  function ask(peer: Peer, type: CheckType, tls: PeerTls, timeoutMs = 20_000): Promise<Verdict> {
    const http = { request: "GET / HTTP/1.1\r\n\r\n", statuses: [[200, 299]], body: null } as const;
    const check: HealthCheck = {
      ...{ type, tls, http: type === "http" ? http : null },
      ...{ timeoutMs, intervalMs: 1_000, rise: 1, fall: 1 },
    };
    return new Promise((resolve) => void probe(peer, check, resolve));
  }

  for (const type of ["general", "http", "redis", "mysql"] as const)
    it(`is good where a server is well and believed: ${type}`, async () => {
      expect(await ask(await startServer(type), type, believed)).to.equal(null);
    });

  it("goes by gRPC's health", async () => {
    const grpc = createSecureServer(secure);
    grpc.on("stream", (stream: ServerHttp2Stream) => {
      stream.respond(
        { ":status": 200, "content-type": "application/grpc" },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
    });
    const peer = await listening(grpc);
    expect(await ask(peer, "grpc", believed)).to.equal(null);
    expect(await ask(peer, "grpc", { ...believed, serverName: "outer.example" })).to.match(
      failedHandshake(peer, "Host: outer.example. is not in the cert's altnames"),
    );
  });

  const distrusted: readonly [string, Partial<PeerTls>, string][] = [
    ["is of nobody known", { authorities: null }, "self-signed certificate in certificate chain"],
    [
      "is for another name",
      { serverName: "outer.example" },
      "Host: outer.example. is not in the cert's altnames",
    ],
  ];
  for (const [what, tls, why] of distrusted)
    for (const type of ["general", "http", "grpc"] as const)
      it(`fails for a server whose certificate ${what}: ${type}`, async () => {
        const peer = await startServer("general");
        const verdict = await ask(peer, type, { ...believed, ...tls });
        expect(verdict).to.match(failedHandshake(peer, why));
      });

  const missing: readonly [string, Partial<PeerTls>, string][] = [
    ["authorities that are not there", { authorities: "x" }, "there are no authorities x"],
    ["a certificate that is not there", { certificate: "x" }, "there is no certificate x"],
  ];
  for (const [what, tls, why] of missing)
    for (const type of ["general", "http", "grpc"] as const)
      it(`fails where the upstream names ${what}: ${type}`, async () => {
        const peer = await startServer("general");
        expect(await ask(peer, type, { ...believed, ...tls })).to.equal(why);
      });

  it("says what a server says that wants a certificate and gets none", async () => {
    const strict = createServer({ ...secure, rejectUnauthorized: true });
    const peer = await listening(strict);
    expect(await ask(peer, "redis", believed)).to.match(/^the TLS connection failed: .*alert/);
  });

  it("believes anybody where the upstream says so", async () => {
    const tls = { ...believed, authorities: null, serverName: null, isInsecure: true };
    expect(await ask(await startServer("http"), "http", tls)).to.equal(null);
  });

  it("shows the upstream's certificate, and resumes the session of the check before", async () => {
    const peer = await startServer("http");
    const tls = { ...believed, certificate: "gateway" };
    expect(await ask(peer, "http", tls)).to.equal(null);
    expect(await ask(peer, "http", tls)).to.equal(null);
    expect(
      seen.map((socket) => [socket.authorized, socket.isSessionReused() === true]),
    ).to.deep.equal([
      [true, false],
      [true, true],
    ]);
  });

  async function startInClear(onSocket: (socket: Socket) => void): Promise<Peer> {
    const plain = createPlain((socket) => {
      socket.on("error", () => {});
      toClose.push(() => socket.destroy());
      onSocket(socket);
    });
    plain.listen(0, "127.0.0.1");
    await once(plain, "listening");
    toClose.push(() => plain.close());
    return new Peer("127.0.0.1", (plain.address() as AddressInfo).port);
  }

  it("says of a server that speaks no TLS that it may speak clear text", async () => {
    const peer = await startInClear((socket) => void socket.end("+PONG\r\n"));
    for (const type of ["redis", "grpc"] as const)
      expect(await ask(peer, type, believed)).to.match(
        failedHandshake(peer, "what it answers is not TLS, so it may speak clear text"),
      );
  });

  it("says of a server that is silent that the handshake does not end", async () => {
    const peer = await startInClear(() => {});
    for (const type of ["redis", "grpc"] as const)
      expect(await saidInTime("no connection", (ms) => ask(peer, type, believed, ms))).to.equal(
        "no end of the TLS handshake in time",
      );
  });
});
