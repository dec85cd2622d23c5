/** Checks of servers over TLS, as their upstream says that they are reached. */
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createPlain } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { expect } from "chai";
import { TestAuthority } from "../../../test/support/certificates.ts";
import { Peer, type PeerTls } from "../../engine/engine.ts";
import type { CheckType, HealthCheck } from "../../model/index.ts";
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

  function ask(peer: Peer, type: CheckType, tls: PeerTls): Promise<Verdict> {
    const http = { request: "GET / HTTP/1.1\r\n\r\n", statuses: [[200, 299]], body: null } as const;
    const check: HealthCheck = {
      ...{ type, tls, http: type === "http" ? http : null },
      ...{ timeoutMs: 20_000, intervalMs: 1_000, rise: 1, fall: 1 },
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
    expect(await ask(peer, "grpc", { ...believed, serverName: "outer.example" })).to.equal(
      "ERR_TLS_CERT_ALTNAME_INVALID",
    );
  });

  const distrusted: readonly [string, Partial<PeerTls>, string][] = [
    ["is of nobody known", { authorities: null }, "SELF_SIGNED_CERT_IN_CHAIN"],
    ["is for another name", { serverName: "outer.example" }, "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["needs authorities that are not there", { authorities: "x" }, "there are no authorities x"],
    ["asks for a certificate that is not there", { certificate: "x" }, "there is no certificate x"],
  ];
  for (const [what, tls, why] of distrusted)
    for (const type of ["general", "http", "grpc"] as const)
      it(`fails for a server whose certificate ${what}: ${type}`, async () => {
        const peer = await startServer("general");
        expect(await ask(peer, type, { ...believed, ...tls })).to.equal(why);
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

  it("fails for a server that speaks no TLS", async () => {
    const plain = createPlain((socket) => {
      socket.on("error", () => {});
      socket.end("+PONG\r\n");
    });
    plain.listen(0, "127.0.0.1");
    await once(plain, "listening");
    toClose.push(() => plain.close());
    const peer = new Peer("127.0.0.1", (plain.address() as AddressInfo).port);
    expect(await ask(peer, "redis", believed)).to.not.equal(null);
  });
});
