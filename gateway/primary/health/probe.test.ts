/** Checks against real sockets: what a server may send, and what is said of it. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { refusingPeer } from "../../../test/support/unreachable.ts";
import { Peer } from "../../engine/engine.ts";
import { type CheckType, checkTypes, type HttpCheck } from "../../model/index.ts";
import { saidInTime } from "../fixtures/patient-ask.ts";
import type { Verdict } from "./judges.ts";
import { createProbe } from "./probe.ts";

const probe = createProbe({ authorities: () => null, pair: () => null });

const request = "GET /up HTTP/1.1\r\nHost: a\r\n\r\n";
const plain: HttpCheck = { request, statuses: [[200, 399]], body: null };
const withBody: HttpCheck = { ...plain, body: "all well" };

describe("a check of a server", () => {
  let server: Server;
  let received: string;
  let onConnection: (socket: Socket) => void;
  let open: Set<Socket>;

  beforeEach(async () => {
    received = "";
    open = new Set();
    server = createServer((socket) => {
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => open.delete(socket));
      socket.on("data", (data) => {
        received += data.toString("latin1");
      });
      onConnection(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(async () => {
    for (const socket of open) socket.destroy();
    server.close();
  });

  function askAt(
    peer: Peer,
    type: CheckType,
    http: HttpCheck | null,
    timeoutMs = 20_000,
  ): Promise<Verdict> {
    const check = { type, http, timeoutMs, intervalMs: 1_000, rise: 1, fall: 1 };
    return new Promise((resolve) => void probe(peer, check, resolve));
  }
  const ask = (type: CheckType, http: HttpCheck | null, timeoutMs?: number) => {
    const { port } = server.address() as AddressInfo;
    return askAt(new Peer("127.0.0.1", port), type, http, timeoutMs);
  };

  /** What is said of a server that says these pieces. */
  async function saying(type: CheckType, http: HttpCheck | null, ...pieces: readonly string[]) {
    onConnection = async (socket) => {
      if (type !== "mysql" && type !== "general") await once(socket, "data");
      socket.setNoDelay();
      for (const piece of pieces) {
        if (socket.destroyed) return;
        socket.write(piece, "latin1");
        await new Promise((resolve) => setImmediate(resolve));
      }
      socket.end();
    };
    return ask(type, http);
  }

  it("is good when a server accepts, and says so when it refuses", async () => {
    onConnection = () => {};
    expect(await ask("general", null)).to.equal(null);
    const closed = refusingPeer();
    for (const type of checkTypes)
      expect(await askAt(closed, type, plain), type).to.equal("it refuses connections");
  });

  it("fails in time when the server is silent, and leaves no connection behind", async () => {
    onConnection = () => {};
    for (const type of ["http", "redis", "mysql"] as const)
      expect(await saidInTime("no connection", (ms) => ask(type, plain, ms))).to.equal(
        "no whole answer in time",
      );
    while (open.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("by HTTP goes by the status, whatever comes before it", async () => {
    const line = (status: number) => `HTTP/1.1 ${status} X\r\nA: b\r\n\r\n`;
    expect(await saying("http", plain, line(204))).to.equal(null);
    expect(received).to.equal(request);
    expect(await saying("http", plain, line(500))).to.equal("it answered 500");
    expect(await saying("http", plain, line(103), line(200))).to.equal(null);
    expect(await saying("http", plain, ...line(302))).to.equal(null);
    expect(await saying("http", plain, "HTTP/1.1 200\r\n\r\n")).to.equal(null);
  });

  it("by HTTP refuses what is no HTTP, and never takes in more than it may", async () => {
    const not = "the answer is not HTTP";
    expect(await saying("http", plain, "SSH-2.0-x\r\n")).to.equal(not);
    expect(await saying("http", plain, "HTTP/2 200\r\n\r\n")).to.equal(not);
    expect(await saying("http", plain, "HTTP/1.1 20")).to.equal(not);
    expect(await saying("http", plain)).to.equal("it closed the connection without an answer");
    const endless = `HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(10_000)}`;
    expect(await saying("http", withBody, endless)).to.equal(not);
    const missing = 'the body does not have "all well"';
    const large = `HTTP/1.1 200 OK\r\n\r\n${"x".repeat(70_000)}all well`;
    expect(await saying("http", withBody, large)).to.equal(missing);
  });

  it("by HTTP looks for a text in the body, however that is framed and cut", async () => {
    const head = "HTTP/1.1 200 OK\r\n";
    const sized = `${head}Content-Length: 12\r\n\r\n..all well..`;
    expect(await saying("http", withBody, sized)).to.equal(null);
    expect(await saying("http", withBody, ...sized)).to.equal(null);
    const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n5\r\n.all \r\n5\r\nwell.\r\n0\r\n\r\n`;
    expect(await saying("http", withBody, chunked)).to.equal(null);
    expect(await saying("http", withBody, ...chunked)).to.equal(null);
    const missing = 'the body does not have "all well"';
    const other = sized.replace("well", "ill?");
    expect(await saying("http", withBody, other)).to.equal(missing);
    expect(await saying("http", withBody, chunked.replace("well", "ill."))).to.equal(missing);
    expect(await saying("http", withBody, `${head}\r\n..all well`)).to.equal(null);
  });

  it("by HTTP answers without waiting for a server that keeps the connection", async () => {
    onConnection = (socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"));
    };
    expect(await ask("http", plain)).to.equal(null);
    expect(await ask("http", withBody)).to.equal('the body does not have "all well"');
  });

  it("of Redis wants an answer to PING", async () => {
    expect(await saying("redis", null, "+PONG\r\n")).to.equal(null);
    expect(received).to.equal("*1\r\n$4\r\nPING\r\n");
    expect(await saying("redis", null, "+PO", "NG\r\n")).to.equal(null);
    expect(await saying("redis", null, "-NOAUTH Authentication required.\r\n")).to.equal(null);
    expect(await saying("redis", null, "-LOADING Redis is loading\r\n")).to.equal(
      'it answered "-LOADING Redis is loading"',
    );
    expect(await saying("redis", null, "x".repeat(2_000))).to.equal("the answer is not Redis's");
    expect(await saying("redis", null)).to.equal("it closed the connection without an answer");
  });

  it("of MySQL wants its greeting", async () => {
    expect(await saying("mysql", null, "\x4a\0\0\0\x0a8.0.36\0")).to.equal(null);
    expect(received).to.equal("");
    expect(await saying("mysql", null, "\x17\0\0\0", "\xff\x10\x04Too many")).to.equal(
      "it refused with error 1040",
    );
    expect(await saying("mysql", null, "HTTP/1.1 400")).to.equal("the greeting is not MySQL's");
    expect(await saying("mysql", null)).to.equal("it closed the connection without a greeting");
  });
});
