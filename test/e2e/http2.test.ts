/** A whole gateway whose clients speak HTTP/2, with Node's own client: routes, scripts and the access log are the same. */
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { WebSocket, WebSocketServer } from "ws";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { openWebSocketOn } from "../support/http2/web-socket.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const [embedded] = consulKinds();
if (embedded === undefined) throw new Error("there is no Consul to test with");

interface Http2Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask(session: ClientHttp2Session, path: string, authority: string): Promise<Http2Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Http2Answer>();
  const stream = session.request({ ":path": path, ":authority": authority });
  let head: IncomingHttpHeaders = {};
  let body = "";
  stream.setEncoding("latin1");
  stream.on("response", (headers) => {
    head = headers;
  });
  stream.on("data", (piece: string) => {
    body += piece;
  });
  stream.on("error", reject);
  stream.on("end", () => resolve({ status: Number(head[":status"]), headers: head, body }));
  return promise;
}

describe("a gateway whose clients speak HTTP/2", function () {
  this.timeout(300_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open(embedded);
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  function open(port: number): ClientHttp2Session {
    const session = connect(`http://127.0.0.1:${port}`);
    // What fails is seen by the requests.
    session.on("error", () => {});
    scene.later(() => session.destroy());
    return session;
  }

  it("routes, rewrites and records as for HTTP/1.1, many requests at once", async () => {
    const directory = await mkdtemp(join(tmpdir(), "sluice-http2-"));
    scene.later(() => rm(directory, { recursive: true }));
    const log = join(directory, "access.log");
    const gateway = await scene.start({ flags: ["--access-log", log], workers: 1 });
    const session = open(gateway.httpPort);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => ask(session, `/n/${n}?q=1`, homeHost)),
    );
    for (const [n, { status, body }] of answers.entries()) {
      expect(status).to.equal(200);
      expect(body).to.contain(`/n/${n}?q=1`);
    }
    await scene.writes.put(`scripts/${homeHost}`, `export default () => deny(403, "closed");`);
    await eventually("the script decides", async () => {
      expect((await ask(session, "/", homeHost)).status).to.equal(403);
    });
    await scene.writes.remove(`scripts/${homeHost}`);
    expect((await ask(session, "/", "nobody.example")).status).to.equal(404);
    await eventually("the log is written", async () => {
      expect(await readFile(log, "utf8"))
        .to.contain("/n/49")
        .and.contain("nobody.example");
    });
  });

  it("ends them by GOAWAY when it stops, and loses none that it took", async () => {
    const gateway = await scene.start({ workers: 1 });
    const session = open(gateway.httpPort);
    expect((await ask(session, "/", homeHost)).status).to.equal(200);
    let code = -1;
    session.on("goaway", (given) => {
      code = given;
    });
    gateway.signal("SIGTERM");
    await until("it is closed", () => session.closed && session.destroyed);
    expect(code).to.equal(0);
  });

  describe("with WebSockets", () => {
    const host = "chat.example";

    /** A server that sends back what it gets, and its route. */
    async function route(): Promise<void> {
      const server = createServer((_, response) => response.writeHead(426).end());
      const sockets = new WebSocketServer({ server });
      sockets.on("connection", (socket) => {
        socket.on("error", () => {});
        socket.on("message", (data) => socket.send(`echo of ${data}`));
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      scene.later(async () => {
        const closed = once(server, "close");
        server.close();
        for (const socket of sockets.clients) socket.terminate();
        server.closeAllConnections();
        await closed;
      });
      const { port } = server.address() as AddressInfo;
      await scene.writes.put("upstreams/chat", { servers: [{ host: "127.0.0.1", port }] });
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "chat" } });
      scene.later(async () => {
        await scene.writes.remove(`hosts/${host}`);
        await scene.writes.remove("upstreams/chat");
      });
    }

    async function opened(socket: WebSocket): Promise<WebSocket> {
      scene.later(() => socket.terminate());
      await once(socket, "open");
      return socket;
    }

    async function echo(socket: WebSocket, message: string): Promise<string> {
      socket.send(message);
      const [data] = await once(socket, "message");
      return String(data);
    }

    it("routes, judges and records them as for HTTP/1.1", async () => {
      const directory = await mkdtemp(join(tmpdir(), "sluice-http2-"));
      scene.later(() => rm(directory, { recursive: true }));
      const log = join(directory, "access.log");
      await route();
      const flags = ["--access-log", log, "--script-timeout", "1s"];
      const gateway = await scene.start({ flags, workers: 1 });
      const session = open(gateway.httpPort);
      await eventually("the host is served", async () => {
        expect((await ask(session, "/", host)).status).to.equal(426);
      });
      const socket = await opened(await openWebSocketOn(session, host, "/chat?room=1"));
      expect(await echo(socket, "hello")).to.equal("echo of hello");
      socket.close(4001, "enough");
      const [code, reason] = await once(socket, "close");
      expect([code, String(reason)]).to.deep.equal([4001, "enough"]);
      // The home host's origin knows no WebSocket, and answers 200.
      const plain = await openWebSocketOn(session, homeHost, "/");
      const [ignored] = await once(plain, "error");
      expect(String(ignored)).to.contain("502");
      await scene.writes.put(`scripts/${host}`, `export default () => deny(403, "closed");`);
      scene.later(() => scene.writes.remove(`scripts/${host}`));
      await eventually("the script decides", async () => {
        expect((await ask(session, "/", host)).status).to.equal(403);
      });
      const denied = await openWebSocketOn(session, host, "/chat?room=2");
      const [refused] = await once(denied, "error");
      expect(String(refused)).to.contain("403");
      await eventually("the log is written", async () => {
        const lines = (await readFile(log, "utf8")).split("\n");
        const of = (text: string) => lines.find((line) => line.includes(text)) ?? "";
        expect(of("room=1")).to.contain("GET").and.contain("101");
        expect(of("room=2")).to.contain("403");
        expect(of("no_upgrade")).to.contain("502");
      });
    });

    it("ends them when it stops, at the same time as those of HTTP/1.1", async () => {
      await route();
      // Long enough for both echoes on a busy machine.
      const gateway = await scene.start({ flags: ["--drain-timeout", "12s"], workers: 1 });
      const session = open(gateway.httpPort);
      await eventually("the host is served", async () => {
        expect((await ask(session, "/", host)).status).to.equal(426);
      });
      const sockets = [
        await opened(await openWebSocketOn(session, host, "/")),
        await opened(new WebSocket(`ws://127.0.0.1:${gateway.httpPort}/`, { headers: { host } })),
      ];
      let isTold = false;
      session.on("goaway", () => {
        isTold = true;
      });
      const closed = sockets.map((socket) => once(socket, "close"));
      gateway.signal("SIGTERM");
      await until("the client was told", () => isTold);
      for (const socket of sockets) expect(await echo(socket, "still")).to.equal("echo of still");
      const codes = (await Promise.all(closed)).map(([code]) => code);
      expect(codes).to.deep.equal([1006, 1006]);
    });
  });

  it("speaks HTTP/1.1 alone when it is told to", async () => {
    const gateway = await scene.start({ flags: ["--http2", "off"], workers: 1 });
    const session = open(gateway.httpPort);
    let failed = false;
    session.on("error", () => {
      failed = true;
    });
    await until("it is refused", () => failed || session.closed);
  });
});
