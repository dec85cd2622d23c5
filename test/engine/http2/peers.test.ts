/** Peers that speak HTTP/2, behind clients of HTTP/1.1 and HTTP/2. */

import { once } from "node:events";
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from "node:http2";
import { createServer, type Socket } from "node:net";
import { expect } from "chai";
import { Peer, Target } from "../../../gateway/engine/engine.ts";
import {
  expectIdle,
  type GatewayOptions,
  startGateway,
  type TestGateway,
} from "../../support/engine.ts";
import { openClient, type RawClient, requestBytes, settled, until } from "../../support/http.ts";
import {
  bodyOf,
  type Http2Origin,
  type Http2Script,
  startHttp2Origin,
} from "../../support/http2/origin.ts";
import { refusingPeer } from "../../support/unreachable.ts";

describe("peers with HTTP/2", () => {
  let closers: (() => void | Promise<void>)[] = [];
  let gateways: TestGateway[] = [];

  afterEach(async () => {
    for (const close of closers.reverse()) await close();
    closers = [];
    for (const { engine } of gateways) {
      await engine.drain(2_000);
      await expectIdle(engine);
    }
    gateways = [];
  });

  async function startOrigin(...given: Parameters<typeof startHttp2Origin>): Promise<Http2Origin> {
    const origin = await startHttp2Origin(...given);
    closers.push(() => origin.close());
    return origin;
  }

  async function startFor(
    targets: readonly Target[],
    options: GatewayOptions = {},
  ): Promise<TestGateway> {
    const gateway = await startGateway({
      hooks: {
        onPick: (exchange) => targets.find(({ peer }) => !exchange.tried(peer)) ?? null,
        ...options.hooks,
      },
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    gateways.push(gateway);
    return gateway;
  }

  async function start(script: Http2Script, options: GatewayOptions = {}) {
    const origin = await startOrigin(script);
    const gateway = await startFor([origin.target], options);
    return { origin, gateway };
  }

  async function rawClient(gateway: TestGateway): Promise<RawClient> {
    const client = await openClient(gateway.port);
    closers.push(() => client.close());
    return client;
  }

  function http2Client(gateway: TestGateway): ClientHttp2Session {
    const session = connect(`http://127.0.0.1:${gateway.port}`);
    session.on("error", () => {});
    closers.push(() => session.destroy());
    return session;
  }

  /** Status and body of a request of HTTP/1.1 on a connection of its own. */
  async function ask(gateway: TestGateway, init: RequestInit = {}, path = "/") {
    const answer = await fetch(`http://127.0.0.1:${gateway.port}${path}`, init);
    return { status: answer.status, headers: answer.headers, body: await answer.text() };
  }

  it("are sent a request as HTTP/2 has it, and their answer comes back", async () => {
    const seen: IncomingHttpHeaders[] = [];
    const { gateway } = await start((stream, fields) => {
      seen.push(fields);
      stream.respond({ ":status": 201, "content-type": "text/plain", "x-two": ["a", "b"] });
      stream.end("hello");
    });
    const client = await rawClient(gateway);
    client.send(
      requestBytes("GET /a%20b?q=1", [
        "Host: Shop.example:80",
        "Cookie: a=1; b=2",
        "X-Case: Kept",
        "Connection: keep-alive, x-gone",
        "X-Gone: 1",
      ]),
    );
    const answer = await client.answer();
    expect(answer.startLine).to.equal("HTTP/1.1 201 Created");
    expect(answer.body.toString()).to.equal("hello");
    expect(
      answer.headers.filter(([name]) => name === "x-two").map(([, value]) => value),
    ).to.deep.equal(["a", "b"]);
    const [fields] = seen;
    expect(fields).to.include({
      ":method": "GET",
      ":scheme": "http",
      ":authority": "Shop.example:80",
      ":path": "/a%20b?q=1",
      cookie: "a=1; b=2",
      "x-case": "Kept",
      "x-forwarded-proto": "http",
      via: "1.1 sluice",
    });
    expect(fields).to.not.have.any.keys("connection", "x-gone", "host", "te", "transfer-encoding");
  });

  it("get bodies of announced and of unknown length", async () => {
    const lengths: (string | undefined)[] = [];
    const { gateway } = await start(async (stream, fields) => {
      lengths.push(fields["content-length"]);
      const body = await bodyOf(stream);
      stream.respond({ ":status": 200 });
      stream.end(`${body.length}`);
    });
    const large = Buffer.alloc(3_000_000, "x");
    expect((await ask(gateway, { method: "POST", body: "small" })).body).to.equal("5");
    expect((await ask(gateway, { method: "POST", body: large })).body).to.equal("3000000");
    const client = await rawClient(gateway);
    client.send(
      requestBytes(
        "POST /",
        ["Host: a.example", "Transfer-Encoding: chunked"],
        "5\r\nhello\r\n0\r\n\r\n",
      ),
    );
    expect((await client.answer()).body.toString()).to.equal("5");
    expect(lengths).to.deep.equal(["5", "3000000", undefined]);
  });

  it("serve many requests on one connection, and more on another when it is full", async () => {
    const waiting: (() => void)[] = [];
    const { origin, gateway } = await start((stream, fields) => {
      if (fields[":path"] === "/first") {
        stream.respond();
        stream.end();
        return;
      }
      waiting.push(() => {
        stream.respond();
        stream.end(fields[":path"]);
      });
    });
    await ask(gateway, {}, "/first");
    const session = http2Client(gateway);
    const answers = Array.from({ length: 120 }, (_, at) => {
      const stream = session.request({ ":path": `/${at}` });
      stream.setEncoding("utf8");
      return stream.toArray().then((pieces) => pieces.join(""));
    });
    await until("all are there", () => waiting.length === 120);
    expect(origin.sessions.length).to.equal(2);
    for (const answer of waiting) answer();
    const bodies = await Promise.all(answers);
    expect(bodies).to.deep.equal(bodies.map((_, at) => `/${at}`));
  });

  it("are asked for no more at once than they allow, and the others wait", async () => {
    const waiting: (() => void)[] = [];
    let most = 0;
    let now = 0;
    const origin = await startOrigin(
      (stream) => {
        now += 1;
        most = Math.max(most, now);
        waiting.push(() => {
          now -= 1;
          stream.respond();
          stream.end("x");
        });
      },
      { settings: { maxConcurrentStreams: 2 } },
    );
    const gateway = await startFor([origin.target], { limits: { maxConnectionsPerPeer: 1 } });
    const first = ask(gateway);
    await until("the first is there", () => waiting.length === 1);
    const rest = Array.from({ length: 6 }, () => ask(gateway));
    for (let at = 0; at < 7; at += 1) {
      await until(`request ${at} is there`, () => waiting.length > at);
      waiting[at]?.();
    }
    const statuses = (await Promise.all([first, ...rest])).map(({ status }) => status);
    expect(statuses).to.deep.equal(new Array(7).fill(200));
    expect(most).to.be.at.most(2);
    expect(origin.sessions.length).to.equal(1);
  });

  it("answer HEAD, 204 and 304 without a body, and an early end with an empty one", async () => {
    const { gateway } = await start((stream, fields) => {
      const status = Number(fields[":path"]?.slice(1));
      const length = fields[":method"] === "HEAD" ? { "content-length": "7" } : {};
      stream.respond({ ":status": status, ...length }, { endStream: true });
    });
    const head = await ask(gateway, { method: "HEAD" }, "/200");
    expect([head.status, head.headers.get("content-length"), head.body]).to.deep.equal([
      200,
      "7",
      "",
    ]);
    for (const status of [200, 204, 304, 404]) {
      const client = await rawClient(gateway);
      client.send(requestBytes(`GET /${status}`, ["Host: a.example"]));
      const answer = await client.answer();
      expect(answer.startLine).to.match(new RegExp(` ${status} `));
      expect(answer.body.length).to.equal(0);
    }
  });

  it("send interim answers, streamed bodies and trailers", async () => {
    const { gateway } = await start((stream) => {
      stream.additionalHeaders({ ":status": 103, link: "</a.css>; rel=preload" });
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "12" }));
      stream.write("one");
      stream.end("two");
    });
    const client = await rawClient(gateway);
    client.send(requestBytes("GET /", ["Host: a.example", "TE: trailers", "Connection: TE"]));
    const interim = await client.answer();
    expect(interim.startLine).to.match(/^HTTP\/1\.1 103 /);
    const answer = await client.answer();
    expect(answer.body.toString()).to.equal("onetwo");
    expect(answer.trailers).to.deep.equal(["x-sum: 12"]);
  });

  it("wait for a client that reads slowly, and are read no further ahead than their window", async () => {
    let written = 0;
    const { gateway } = await start((stream) => {
      stream.respond();
      const piece = Buffer.alloc(65_536, "x");
      const write = () => {
        while (written < 60_000_000) {
          written += piece.length;
          if (!stream.write(piece)) {
            stream.once("drain", write);
            return;
          }
        }
        stream.end();
      };
      write();
    });
    const client = await rawClient(gateway);
    client.socket.pause();
    client.send(requestBytes("GET /", ["Host: a.example"]));
    await until("it flows", () => written > 0);
    await settled(() => written);
    expect(written).to.be.below(40_000_000);
    client.socket.resume();
    const answer = await client.answer();
    expect(answer.body.length).to.equal(written);
  });

  it("that refuse a stream are asked again by a new connection, then others, whatever the method", async () => {
    const busy = await startOrigin((stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM));
    const well = await startOrigin(async (stream) => {
      const body = await bodyOf(stream);
      stream.respond();
      stream.end(body);
    });
    const gateway = await startFor([busy.target, well.target]);
    const answer = await ask(gateway, { method: "POST", body: "kept" });
    expect([answer.status, answer.body]).to.deep.equal([200, "kept"]);
    const outcome = await gateway.outcome();
    expect(outcome.failures.map(({ code }) => code)).to.deep.equal(["refused"]);
    const last = await startFor([busy.target]);
    expect((await ask(last)).status).to.equal(503);
  });

  it("that shut down in peace lose no request", async () => {
    const origin = await startOrigin((stream) => {
      stream.respond();
      stream.end("x");
      // GOAWAY after each answer: the next request needs another connection.
      stream.session?.close();
    });
    const gateway = await startFor([origin.target]);
    const statuses: number[] = [];
    for (let at = 0; at < 30; at += 1) {
      statuses.push((await ask(gateway, { method: "POST", body: "x" })).status);
    }
    expect(statuses).to.deep.equal(new Array(30).fill(200));
  });

  it("that go in the middle of an answer cut it off, and a GET without an answer is repeated", async () => {
    let count = 0;
    const { gateway } = await start((stream, fields) => {
      count += 1;
      if (fields[":path"] === "/half") {
        stream.respond({ "content-length": "100" });
        stream.write("half", () => stream.session?.destroy());
      } else if (count % 2 === 1) {
        stream.session?.destroy();
      } else {
        stream.respond();
        stream.end("x");
      }
    });
    count = 1;
    expect((await ask(gateway)).status).to.equal(200);
    // Its kept connection goes under the next request.
    expect((await ask(gateway)).status).to.equal(200);
    const error = await ask(gateway, {}, "/half").catch((caught: unknown) => caught);
    expect(error).to.be.instanceOf(Error);
    expect((await gateway.outcomeOf(2)).errorCode).to.equal("truncated");
  });

  it("that accept no connection, or speak something else, fail the try", async () => {
    const refusing = await startFor([new Target(refusingPeer(), { protocol: "h2c" })]);
    expect((await ask(refusing)).status).to.equal(502);
    expect((await refusing.outcome()).errorCode).to.equal("connect_failed");

    const sockets: Socket[] = [];
    const old = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    old.listen(0, "127.0.0.1");
    await once(old, "listening");
    closers.push(() => void old.close());
    const address = old.address() as { port: number };
    const target = new Target(new Peer("127.0.0.1", address.port), { protocol: "h2c" });
    const gateway = await startFor([target]);
    expect((await ask(gateway, { method: "POST", body: "x" })).status).to.equal(502);
  });

  it("learn that a client has gone, whole request or not", async () => {
    const codes: number[] = [];
    const { gateway } = await start((stream) => {
      stream.on("close", () => codes.push(stream.rstCode));
      stream.respond();
      stream.write("x");
    });
    const whole = await rawClient(gateway);
    whole.send(requestBytes("GET /", ["Host: a.example"]));
    await until("it is answered", () => whole.receivedBytes > 0);
    whole.socket.destroy();
    await until("the peer heard", () => codes.length === 1);
    const half = await rawClient(gateway);
    half.send(requestBytes("POST /", ["Host: a.example", "Content-Length: 10"], "half"));
    await until("it is answered", () => half.receivedBytes > 0);
    half.socket.destroy();
    await until("the peer heard", () => codes.length === 2);
    expect(codes).to.deep.equal([constants.NGHTTP2_CANCEL, constants.NGHTTP2_INTERNAL_ERROR]);
  });
});
