/** Checks by HTTP of servers that speak HTTP/2, in clear and over TLS, and of some that only should. */
import { once } from "node:events";
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, createServer as createPlain, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { TestAuthority } from "../../../test/support/certificates.ts";
import { parseUpstreamDocument } from "../../documents/index.ts";
import { Peer } from "../../engine/engine.ts";
import { saidInTime } from "../fixtures/patient-ask.ts";
import type { Verdict } from "./judges.ts";
import { createProbe } from "./probe.ts";

const authority = new TestAuthority();
const certificate = authority.issue({ names: ["inner.example"] });
const probe = createProbe({
  authorities: (name) => (name === "inner-ca" ? authority.cert : null),
  pair: () => null,
});

/** How a document has its servers checked. */
type Fields = Readonly<Record<string, unknown>>;

describe("a check by HTTP of a server that speaks HTTP/2", () => {
  const toClose: (() => unknown)[] = [];
  let asked: IncomingHttpHeaders[];

  beforeEach(() => {
    asked = [];
  });
  afterEach(() => {
    for (const close of toClose.splice(0)) close();
  });

  async function listening(server: Server | Http2Server): Promise<number> {
    const sockets = new Set<Socket>();
    server.on("connection", (socket: Socket) => sockets.add(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    toClose.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  type Answer = (stream: ServerHttp2Stream) => void;

  const serving = (server: Http2Server, answer: Answer) => {
    server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on("error", () => {});
      asked.push(headers);
      answer(stream);
    });
    return listening(server);
  };
  const inClear = (answer: Answer) => serving(createServer(), answer);

  function ask(port: number, fields: Fields): Promise<Verdict> {
    const servers = [{ host: "127.0.0.1", port }];
    const text = JSON.stringify({ servers, ...fields });
    const { check } = parseUpstreamDocument("sluice/upstreams/api", text);
    if (check === undefined) throw new Error("no check");
    return new Promise((resolve) => void probe(new Peer("127.0.0.1", port), check, resolve));
  }
  const http = (more: Fields = {}) => ({ check: { type: "http", timeout: 20, ...more } });
  const h2c = (more: Fields = {}) => ({ protocol: "h2c", ...http(more) });

  it("goes by the status, and sends what it sends to others", async () => {
    let status = 200;
    const port = await inClear((stream) => {
      stream.additionalHeaders({ ":status": 103 });
      stream.respond({ ":status": status }, { endStream: true });
    });
    expect(await ask(port, h2c({ path: "/up?a=1", host: "a.example:81" }))).to.equal(null);
    expect(asked[0]).to.include({
      ...{ ":method": "GET", ":path": "/up?a=1", ":authority": "a.example:81", ":scheme": "http" },
      ...{ "user-agent": "sluice-check", accept: "*/*" },
    });
    expect(asked[0]).to.not.have.any.keys("host", "connection");
    expect(await ask(port, h2c({ method: "HEAD" }))).to.equal(null);
    expect(asked[1]).to.include({ ":method": "HEAD", ":authority": "api" });
    status = 500;
    expect(await ask(port, h2c())).to.equal("it answered 500");
    expect(await ask(port, h2c({ statuses: ["5xx"] }))).to.equal(null);
  });

  it("asks as Slardar's query says", async () => {
    const port = await inClear((stream) => stream.respond({ ":status": 404 }, { endStream: true }));
    const query = "GET /status HTTP/1.0\r\nHost: b.example\r\nConnection: close\r\nX-A: b\r\n\r\n";
    const fields = { protocol: "h2c", typ: "http", http_opts: { query } };
    expect(await ask(port, fields)).to.equal(null);
    expect(asked[0]).to.include({ ":path": "/status", ":authority": "b.example", "x-a": "b" });
    const statuses = { "404": false };
    expect(await ask(port, { ...fields, http_opts: { query, statuses } })).to.equal(
      "it answered 404",
    );
    const bad = { query: "GET / HTTP/1.1\r\nno field\r\n\r\n" };
    expect(() => ask(port, { ...fields, http_opts: bad })).to.throw("http_opts.query");
  });

  it("looks for a text in the body, and never at more than its beginning", async () => {
    let pieces: readonly string[] = [];
    const port = await inClear((stream) => {
      stream.respond({ ":status": 200 });
      for (const piece of pieces) stream.write(piece);
      stream.end();
    });
    const wanting = h2c({ body: "all well" });
    const missing = 'the body does not have "all well"';
    pieces = ["..all ", "well.."];
    expect(await ask(port, wanting)).to.equal(null);
    pieces = ["ill"];
    expect(await ask(port, wanting)).to.equal(missing);
    pieces = ["x".repeat(70_000), "all well"];
    expect(await ask(port, wanting)).to.equal(missing);
  });

  it("is asked over TLS where the upstream is", async () => {
    const { cert, key } = certificate;
    const server = createSecureServer({ cert, key, allowHTTP1: false });
    const port = await serving(server, (stream) =>
      stream.respond({ ":status": 204 }, { endStream: true }),
    );
    const tls = { server_name: "inner.example", ca: "inner-ca" };
    expect(await ask(port, { protocol: "h2", tls, ...http() })).to.equal(null);
    expect(asked[0]).to.include({ ":scheme": "https", ":authority": "api" });
    expect(await ask(port, { protocol: "h2", ...http() })).to.equal(
      `the TLS handshake with 127.0.0.1:${port} failed: unable to verify the first certificate (see the upstream's \`tls\`)`,
    );
  });

  it("fails in time, and by name, where a server does not answer in HTTP/2", async () => {
    const silent = await listening(createPlain((socket) => socket.on("error", () => {}).resume()));
    const askSilent = (ms: number) => ask(silent, h2c({ timeout: ms / 1_000 }));
    expect(await saidInTime("no connection", askSilent)).to.equal("no whole answer in time");
    const breaking = await inClear((stream) => stream.close(0x8));
    expect(await ask(breaking, h2c())).to.be.oneOf([
      "it broke the answer off",
      "it closed the connection without an answer",
    ]);
    const older = await listening(
      createPlain((socket) => {
        socket.on("error", () => {});
        socket.once("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
      }),
    );
    expect(await ask(older, h2c())).to.equal("it does not speak HTTP/2");
    const closing = await listening(createPlain((socket) => socket.on("error", () => {}).end()));
    expect(await ask(closing, h2c())).to.be.a("string");
  });
});
