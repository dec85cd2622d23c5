/** How requests and answers look in HTTP/2, and what becomes of them on the way to an origin that speaks HTTP/1.1. */
import { expect } from "chai";
import { createHttpEngine } from "../../../gateway/engine/index.ts";
import {
  answerBytes,
  fieldOf,
  fieldsOf,
  type GatewayOptions,
  type OriginRequest,
  ok,
  settled,
  until,
  useTestBench,
} from "../../support/http.ts";
import type { Http2Answer, Http2Connection } from "../../support/http2/connection.ts";
import { requestFields } from "../../support/http2/connection.ts";
import { dataFrame, errorCode, frame, frameFlag, frameType } from "../../support/http2/frames.ts";
import { type Field, headerBlock } from "../../support/http2/hpack.ts";

describe("HTTP/2: requests", () => {
  const bench = useTestBench(createHttpEngine);

  async function open(options: GatewayOptions = {}, script = ok()) {
    const origin = await bench.origin(script);
    const gateway = await bench.gateway(origin, options);
    return { origin, gateway, client: await bench.http2(gateway) };
  }

  async function ask(
    client: Http2Connection,
    fields: readonly Field[],
    body: string | null = null,
  ): Promise<Http2Answer> {
    const stream = client.request(fields, { isLast: body === null });
    if (body !== null) client.send(dataFrame(stream, body, true));
    return client.answer(stream);
  }

  it("reach the origin as HTTP/1.1, with what the gateway says of their way", async () => {
    const { origin, client } = await open();
    const answer = await ask(
      client,
      requestFields("/a%41?b=1", [
        ["x-a", "1"],
        ["x-a", "2"],
      ]),
    );
    expect(answer.status).to.equal(200);
    const { request } = origin;
    expect(request.startLine).to.equal("GET /aA?b=1 HTTP/1.1");
    expect(fieldOf(request, "host")).to.equal("shop.example");
    expect(fieldsOf(request, "x-a")).to.deep.equal(["1", "2"]);
    expect(fieldOf(request, "x-forwarded-for")).to.equal("127.0.0.1");
    expect(fieldOf(request, "x-forwarded-proto")).to.equal("http");
    expect(fieldOf(request, "x-forwarded-host")).to.equal("shop.example");
    expect(fieldOf(request, "via")).to.match(/^2(?:\.0)? sluice$/);
    expect(fieldsOf(request, "transfer-encoding")).to.deep.equal([]);
  });

  it("have a length when they say one, and chunks when not", async () => {
    const { origin, client } = await open();
    await ask(client, requestFields("/", [["content-length", "3"]], "POST"), "abc");
    await ask(client, requestFields("/", [], "POST"), "defg");
    await ask(client, requestFields("/", [["content-length", "0"]], "POST"), "");
    await ask(client, requestFields("/", [], "POST"));
    const sent = origin.requests.map(({ framing, body }) => [framing, body.toString()]);
    expect(sent).to.deep.equal([
      ["length", "abc"],
      ["chunked", "defg"],
      ["length", ""],
      ["none", ""],
    ]);
  });

  it("have their cookies joined again, which clients send in crumbs", async () => {
    const { origin, client } = await open();
    await ask(
      client,
      requestFields("/", [
        ["cookie", "a=1"],
        ["x-b", "2"],
        ["cookie", "c=3; d=4"],
      ]),
    );
    expect(fieldsOf(origin.request, "cookie")).to.deep.equal(["a=1; c=3; d=4"]);
  });

  it("name their host in :authority, in Host, or in both alike", async () => {
    const { origin, client } = await open();
    const other = [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
    ] as const;
    const both = await ask(client, requestFields("/", [["host", "SHOP.example"]]));
    const host = await ask(client, [...other, ["host", "other.example"]]);
    const hosts = origin.requests.map((request) => fieldOf(request, "host"));
    expect([both.status, host.status]).to.deep.equal([200, 200]);
    expect(hosts).to.deep.equal(["shop.example", "other.example"]);
    const refused = [
      await ask(client, requestFields("/", [["host", "evil.example"]])),
      await ask(client, [...other, ["host", "a.example"], ["host", "b.example"]]),
      await ask(client, [...other, [":authority", "user@shop.example"]]),
    ];
    // nghttp2 refuses some of them before they are a request.
    for (const { status, resetCode } of refused) {
      expect(status === 400 || resetCode === errorCode.protocolError).to.equal(true);
    }
    expect(origin.requests).to.have.length(2);
  });

  it("without a host are refused, as is a scheme that is none", async () => {
    const { origin, gateway, client } = await open();
    const answers = [
      await ask(client, [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
      ]),
      await ask(client, [
        ...[[":method", "GET"] as const, [":scheme", "ftp"] as const],
        ...[[":authority", "shop.example"] as const, [":path", "/"] as const],
      ]),
    ];
    for (const { status, resetCode } of answers) {
      expect(status === 400 || resetCode === errorCode.protocolError).to.equal(true);
    }
    expect(origin.requests).to.have.length(0);
    expect(gateway.engine.stats().requests).to.equal(0);
  });

  it("of CONNECT are refused with 405 and the methods there are", async () => {
    const { client } = await open();
    const answer = await ask(client, [
      [":method", "CONNECT"],
      [":authority", "shop.example:443"],
    ]);
    expect(answer.status).to.equal(405);
    expect(answer.field("allow")).to.contain("GET");
  });

  it("in frames of one byte wait in few pieces, and arrive whole", async () => {
    const origin = await bench.origin(ok());
    let go = () => {};
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          if (exchange.method !== "POST" || exchange.context?.failures.length === 1) return;
          exchange.context?.failures.push({ code: "reset", message: "it was held once" });
          exchange.hold();
          go = () => exchange.resume();
        },
      },
    });
    const client = await bench.http2(gateway);
    const stream = client.request(requestFields("/", [], "POST"), { isLast: false });
    const body = Buffer.from(Array.from({ length: 20_000 }, (_, n) => n % 251));
    const frames = Array.from(body, (_, n) => dataFrame(stream, body.subarray(n, n + 1), false));
    client.send(...frames, dataFrame(stream, "", true));
    await until("the body has come", () => gateway.engine.stats().exchanges === 1);
    await client.answer(client.request(requestFields("/")));
    go();
    expect((await client.answer(stream)).status).to.equal(200);
    expect(origin.requests.at(-1)?.body.equals(body)).to.equal(true);
  });

  it("beyond a limit are refused one by one, and their connection goes on", async () => {
    const limits = { maxHeadBytes: 2_000, maxTargetBytes: 200, maxHeaders: 10, maxBodyBytes: 10 };
    const { gateway, client } = await open({ limits });
    const many = Array.from({ length: 12 }, (_, at): Field => [`x-${at}`, "1"]);
    const statuses = [
      (await ask(client, requestFields("/", [["x-a", "a".repeat(2_100)]]))).status,
      (await ask(client, requestFields(`/${"a".repeat(300)}`))).status,
      (await ask(client, requestFields("/", many))).status,
      (await ask(client, requestFields("/", [["content-length", "11"]], "POST"), "x".repeat(11)))
        .status,
      (await ask(client, requestFields("/", [], "POST"), "x".repeat(11))).status,
      (await ask(client, requestFields("/%zz"))).status,
      (await ask(client, requestFields("/", [["expect", "200-ok"]]))).status,
      (await ask(client, requestFields("/"))).status,
    ];
    expect(statuses).to.deep.equal([431, 414, 431, 413, 413, 400, 417, 200]);
    expect(gateway.engine.stats().refused).to.deep.equal({
      head_too_large: 1,
      target_too_long: 1,
      too_many_headers: 1,
      body_too_large: 2,
      bad_path: 1,
      bad_expectation: 1,
    });
    expect(client.goaway).to.equal(null);
  });

  it("far beyond the limit of heads are reset, and their connection goes on", async () => {
    const { client } = await open({ limits: { maxHeadBytes: 2_000, maxHeaders: 10 } });
    // By its answer the client has acknowledged the settings, and the limit holds.
    await ask(client, requestFields("/"));
    const answer = await ask(client, requestFields("/", [["x-a", "a".repeat(10_000)]]));
    expect(answer.resetCode).to.equal(errorCode.enhanceYourCalm);
    expect((await ask(client, requestFields("/"))).status).to.equal(200);
  });

  it("have their trailers passed on by name, and counted when odd", async () => {
    const { origin, gateway, client } = await open({
      hooks: {
        onRequest(exchange) {
          exchange.trailers = new Set(["x-sum"]);
        },
      },
    });
    const stream = client.request(requestFields("/", [["te", "trailers"]], "POST"), {
      isLast: false,
    });
    const trailer = headerBlock([
      ["x-sum", "7"],
      ["x-other", "8"],
      ["x_odd", "9"],
    ]);
    const flags = frameFlag.endHeaders | frameFlag.endStream;
    client.send(dataFrame(stream, "abc", false), frame(frameType.headers, flags, stream, trailer));
    expect((await client.answer(stream)).status).to.equal(200);
    expect(origin.request.trailers).to.deep.equal(["x-sum: 7"]);
    expect(fieldOf(origin.request, "te")).to.equal("trailers");
    expect(gateway.engine.stats().droppedHeaders).to.equal(1);
  });

  it("are reset for a control character in their trailer, which HTTP/1.1 would refuse too", async () => {
    const { client } = await open({
      hooks: {
        onRequest(exchange) {
          exchange.trailers = new Set(["x-sum"]);
        },
      },
    });
    const stream = client.request(requestFields("/", [["te", "trailers"]], "POST"), {
      isLast: false,
    });
    const flags = frameFlag.endHeaders | frameFlag.endStream;
    const trailer = headerBlock([["x-sum", "7\x1b[2J"]]);
    client.send(frame(frameType.headers, flags, stream, trailer));
    expect((await client.answer(stream)).resetCode).to.equal(errorCode.protocolError);
    expect((await ask(client, requestFields("/"))).status).to.equal(200);
  });

  it("are waited for when the client expects 100", async () => {
    const origin = await bench.origin(ok(), {
      onHead: (_, connection) => connection.send("HTTP/1.1 100 Continue\r\n\r\n"),
    });
    const client = await bench.http2(await bench.gateway(origin));
    const fields = requestFields(
      "/",
      [
        ["expect", "100-continue"],
        ["content-length", "2"],
      ],
      "PUT",
    );
    const stream = client.request(fields, { isLast: false });
    await until("100 came", () => client.answerOn(stream).interim.length === 1);
    expect(client.answerOn(stream).interim[0]?.[0]).to.deep.equal([":status", "100"]);
    client.send(dataFrame(stream, "ab", true));
    expect((await client.answer(stream)).status).to.equal(200);
    expect(origin.request.body.toString()).to.equal("ab");
  });
});

describe("HTTP/2: answers", () => {
  const bench = useTestBench(createHttpEngine);

  async function answerTo(
    script: string | ((request: OriginRequest) => string),
    method = "GET",
  ): Promise<Http2Answer> {
    const origin = await bench.origin((request, connection) =>
      connection.send(typeof script === "string" ? script : script(request)),
    );
    const client = await bench.http2(await bench.gateway(origin));
    return client.answer(client.request(requestFields("/", [], method)));
  }

  it("have their fields in order and in lower case, without those of a connection", async () => {
    const answer = await answerTo(
      answerBytes(
        "200 Alles gut",
        [
          ...["Set-Cookie: a=1", "X-B:  2 \t", "set-cookie: c=3", "X-Empty:", "X-Latin: caf\xe9"],
          ...["Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5"],
          ...["Upgrade: h2c", "TE: gzip", "HTTP2-Settings: AAMAAABk", "Proxy-Connection: close"],
          ...["Date: Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length: 2"],
        ],
        "ok",
      ),
    );
    expect(answer.fields).to.deep.equal([
      [":status", "200"],
      ["set-cookie", "a=1"],
      ["x-b", "2"],
      ["set-cookie", "c=3"],
      ["x-empty", ""],
      ["x-latin", "caf\xe9"],
      ["date", "Sun, 06 Nov 1994 08:49:37 GMT"],
      ["content-length", "2"],
    ]);
    expect(answer.body.toString()).to.equal("ok");
  });

  it("keep every byte of a value: the last of UTF-8's à is a blank to JavaScript", async () => {
    const word = Buffer.from("voilà").toString("latin1");
    const origin = await bench.origin(`HTTP/1.1 200 \r\nx-a: ${word}\r\nContent-Length: 0\r\n\r\n`);
    const client = await bench.http2(await bench.gateway(origin));
    const answer = await client.answer(client.request(requestFields("/")));
    expect(answer.field("x-a")).to.equal(word);
  });

  it("get a date when they have none", async () => {
    expect((await answerTo(ok())).field("date")).to.match(/^\w{3}, \d\d \w{3} \d{4} .* GMT$/);
  });

  for (const [method, status, lines, length] of [
    ["HEAD", "200 OK", ["Content-Length: 12"], "12"],
    ["HEAD", "200 OK", ["Transfer-Encoding: chunked"], undefined],
    ["GET", "204 No Content", [], undefined],
    ["GET", "304 Not Modified", ["Content-Length: 12"], "12"],
    ["GET", "200 OK", ["Content-Length: 0"], "0"],
  ] as const) {
    it(`end with their head when no body follows: ${status} to ${method}, ${lines.join()}`, async () => {
      const answer = await answerTo(answerBytes(status, lines), method);
      expect(answer.status).to.equal(Number(status.slice(0, 3)));
      expect(answer.isBodiless).to.equal(true);
      expect(answer.field("content-length")).to.equal(length);
      expect(answer.body.length).to.equal(0);
      expect(answer.resetCode).to.equal(null);
    });
  }

  it("of 205 lose a body that they must not have", async () => {
    const answer = await answerTo(answerBytes("205 Reset", ["Content-Length: 2"], "no"));
    expect([answer.status, answer.isBodiless, answer.resetCode]).to.deep.equal([205, true, null]);
  });

  it("in chunks have no length, and their trailer comes last", async () => {
    const body = "3\r\nabc\r\n3\r\ndef\r\n0\r\nGrpc-Status: 0\r\nX-A: 1\r\nX-A: 2\r\n\r\n";
    const answer = await answerTo(answerBytes("200 OK", ["Transfer-Encoding: chunked"], body));
    expect(answer.field("content-length")).to.equal(undefined);
    expect(answer.body.toString()).to.equal("abcdef");
    expect(answer.trailers).to.deep.equal([
      ["grpc-status", "0"],
      ["x-a", "1"],
      ["x-a", "2"],
    ]);
  });

  it("of the gateway's own look like any other", async () => {
    const gateway = await bench.gateway([]);
    const client = await bench.http2(gateway);
    const answer = await client.answer(
      client.request(requestFields("/", [["accept", "application/json"]])),
    );
    expect(answer.status).to.equal(503);
    expect(answer.field("content-type")).to.equal("application/json");
    expect(JSON.parse(answer.body.toString())).to.include({ status: 503, error: "no_peer" });
    expect(answer.field("content-length")).to.equal(String(answer.body.length));
  });

  it("that are cut by the origin are reset, with what came of them before", async () => {
    for (const lines of [["Content-Length: 100"], ["Transfer-Encoding: chunked"]]) {
      const origin = await bench.origin((_, connection) =>
        connection.end(answerBytes("200 OK", lines, "5\r\nhello\r\n")),
      );
      const client = await bench.http2(await bench.gateway(origin));
      const answer = await client.answer(client.request(requestFields("/")));
      expect(answer.status).to.equal(200);
      expect(answer.body.toString()).to.contain("hello");
      expect([answer.ended, answer.resetCode]).to.deep.equal([false, errorCode.internalError]);
      expect(client.isOver).to.equal(false);
    }
  });

  it("that come early are whole, and the client is told to send no more", async () => {
    for (const lines of [["Content-Length: 2"], ["Transfer-Encoding: chunked"]]) {
      const body = lines[0]?.startsWith("T") ? "2\r\nno\r\n0\r\nX-Why: full\r\n\r\n" : "no";
      const origin = await bench.origin("", {
        onHead: (_, connection) => connection.end(answerBytes("413 Too Large", lines, body)),
      });
      const client = await bench.http2(await bench.gateway(origin));
      const stream = client.request(requestFields("/", [], "POST"), { isLast: false });
      client.send(dataFrame(stream, "some", false));
      const answer = client.answerOn(stream);
      await until("the rest is not wanted", () => answer.resetCode !== null);
      expect([answer.status, answer.body.toString(), answer.ended]).to.deep.equal([
        413,
        "no",
        true,
      ]);
      expect(answer.trailers.length).to.equal(lines[0]?.startsWith("T") ? 1 : 0);
      expect(answer.resetCode).to.equal(errorCode.noError);
      expect(client.isOver).to.equal(false);
    }
  });

  it("of 1xx go ahead of the final one, without what is the connection's", async () => {
    const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n";
    const answer = await answerTo(hints + hints + ok());
    const hint = [
      ["link", "</a>"],
      [":status", "103"],
    ];
    expect(answer.interim.map((fields) => [...fields].reverse())).to.deep.equal([hint, hint]);
    expect(answer.status).to.equal(200);
  });

  it("of 1xx without end are taken no faster than the client reads them", async () => {
    const hint = answerBytes("103 Early Hints", [`Link: </${"a".repeat(1_000)}>`]);
    const total = 3_000;
    const piece = Buffer.from(hint.repeat(50));
    const origin = await bench.origin("", { bytesOnly: true });
    const client = await bench.http2(await bench.gateway(origin));
    client.socket.pause();
    const stream = client.request(requestFields("/"));
    const { socket } = await origin.connection();
    for (let sent = 0; sent < total; sent += 50) socket.write(piece);
    socket.write(ok("done"));
    // What the kernel's buffers do not take stays with the origin.
    await settled(() => socket.writableLength);
    client.socket.resume();
    expect((await client.answer(stream)).body.toString()).to.equal("done");
    expect(client.answerOn(stream).interim).to.have.length(total);
  });
});
