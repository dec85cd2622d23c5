/** Refusals before there is an exchange: at once, and to HEAD without a body. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import {
  fieldOf,
  ok,
  type RawClient,
  requestBytes,
  type TestGateway,
  until,
} from "../support/http.ts";

describeEngines("refusals", (bench, kind) => {
  const HOST = "Host: shop.example\r\n";

  /** What is refused when it is sent by this method, and how. */
  const refused: Readonly<Record<string, readonly [bytes: (method: string) => string, number]>> = {
    "a host that is none": [(method) => `${method} / HTTP/1.1\r\nHost: a..b\r\n\r\n`, 400],
    "no host": [(method) => `${method} / HTTP/1.1\r\n\r\n`, 400],
    "two hosts": [(method) => `${method} / HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400],
    "a bad path": [(method) => `${method} /%zz HTTP/1.1\r\n${HOST}\r\n`, 400],
    "a bad target": [(method) => `${method} a HTTP/1.1\r\n${HOST}\r\n`, 400],
    "a bad header": [(method) => `${method} / HTTP/1.1\r\n${HOST}a b: c\r\n\r\n`, 400],
    "a folded header": [(method) => `${method} / HTTP/1.1\r\n${HOST}a: b\r\n c\r\n\r\n`, 400],
    "a malformed request line": [(method) => `${method}  / HTTP/1.1\r\n${HOST}\r\n`, 400],
    "another version": [(method) => `${method} / HTTP/2.0\r\n${HOST}\r\n`, 505],
    "two lengths": [
      (method) => `${method} / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`,
      400,
    ],
    "an expectation": [(method) => `${method} / HTTP/1.1\r\n${HOST}Expect: a\r\n\r\n`, 417],
    "a coding": [(method) => `${method} / HTTP/1.1\r\n${HOST}Transfer-Encoding: a\r\n\r\n`, 400],
    "a body that is too long": [
      (method) => `${method} / HTTP/1.1\r\n${HOST}Content-Length: 101\r\n\r\n`,
      413,
    ],
    "too many headers": [
      (method) => `${method} / HTTP/1.1\r\n${HOST}${"a: b\r\n".repeat(20)}\r\n`,
      431,
    ],
    "a head that is too long": [
      (method) => `${method} / HTTP/1.1\r\n${HOST}a: ${"b".repeat(2_000)}\r\n\r\n`,
      431,
    ],
    "a target that is too long": [
      (method) => `${method} /${"a".repeat(300)} HTTP/1.1\r\n${HOST}\r\n`,
      414,
    ],
    "a head that stops": [(method) => `${method} / HTTP/1.1\r\n${HOST}`, 408],
  };
  const limits = {
    maxBodyBytes: 100,
    maxHeaders: 16,
    maxHeadBytes: 1_500,
    maxTargetBytes: 200,
    headTimeoutMs: 300,
  };

  /** All bytes that came until the gateway closed. */
  async function everything(gateway: TestGateway, bytes: string): Promise<string> {
    const client = await bench.client(gateway);
    const received: Buffer[] = [];
    client.socket.on("data", (piece: Buffer) => received.push(piece));
    client.send(bytes, bytes.startsWith("HEAD ") ? "HEAD" : "GET");
    await client.whenClosed();
    return Buffer.concat(received).toString("latin1");
  }

  for (const [name, [bytesOf, status]] of Object.entries(refused)) {
    it(`answer HEAD without a body: ${name}`, async () => {
      const gateway = await bench.gateway(await bench.origin(ok()), { limits });
      const [head, get] = await Promise.all([
        everything(gateway, bytesOf("HEAD")),
        everything(gateway, bytesOf("GET")),
      ]);
      for (const text of [head, get]) expect(text.slice(9, 12)).to.equal(String(status));
      const [, body = ""] = get.split("\r\n\r\n");
      expect(body).to.match(new RegExp(`^${status} `));
      expect(get.toLowerCase()).to.contain(`content-length: ${body.length}`);
      expect(head.split("\r\n\r\n")).to.have.length(2);
      expect(head.split("\r\n\r\n")[1]).to.equal("");
    });
  }

  it("answer HEAD without a body behind requests that were served", async () => {
    const gateway = await bench.gateway(await bench.origin(ok("")));
    const client = await bench.client(gateway);
    const received: Buffer[] = [];
    client.socket.on("data", (piece: Buffer) => received.push(piece));
    client.send(
      `${requestBytes("GET /")}${requestBytes("GET /")}HEAD / HTTP/1.1\r\n${HOST}a b: c\r\n\r\n`,
      "GET",
      "GET",
      "HEAD",
    );
    await client.whenClosed();
    const text = Buffer.concat(received).toString("latin1");
    expect(text.match(/^HTTP\/1\.1 \d+/gm)).to.deep.equal([
      "HTTP/1.1 200",
      "HTTP/1.1 200",
      "HTTP/1.1 400",
    ]);
    expect(text.endsWith("\r\n\r\n")).to.equal(true);
  });

  async function expectAtOnce(client: RawClient, status: number): Promise<void> {
    const answer = await client.answer();
    // How it is said is the parser's, where it finds out first.
    if (kind === "http1") expect(answer.status).to.equal(status);
    else expect(answer.status).to.be.oneOf([400, 405, 505]);
    expect(fieldOf(answer, "Connection")?.toLowerCase()).to.equal("close");
    await client.whenClosed();
  }

  const lines: readonly (readonly [line: string, status: number])[] = [
    ["GET", 400],
    ["GET /", 400],
    ["GET  / HTTP/1.1", 400],
    ["GET /  HTTP/1.1", 400],
    ["GET / HTTP/1.1 ", 400],
    ["GET / HTTP/1.x", 400],
    ["GET / HTTP/1.10", 505],
    ["GET / HTTP/2.0", 505],
    ["GET / RTSP/1.0", 400],
    ["GET /#a HTTP/1.1", 400],
    ["GET / HTTPS/1.1", 400],
    ["G@T / HTTP/1.1", 400],
    ["GET a HTTP/1.1", 400],
    ["GET * HTTP/1.1", 400],
    ["GET https://a.test/ HTTP/1.1", 400],
    ["GET http://a..test/ HTTP/1.1", 400],
    ["GET /%zz HTTP/1.1", 400],
    ["GET http://a.test/%00 HTTP/1.1", 400],
    ["CONNECT a.test:443 HTTP/1.1", 405],
  ];
  for (const [line, status] of lines) {
    it(`do not wait for the rest of a head: ${JSON.stringify(line)}`, async () => {
      // The head is never finished, and nothing is answered because of the time.
      const gateway = await bench.gateway(await bench.origin(ok()), {
        limits: { headTimeoutMs: 600_000 },
      });
      const client = await bench.client(gateway);
      client.send(`${line}\r\n`, "GET");
      await expectAtOnce(client, status);
      const split = await bench.client(gateway);
      split.send("", "GET");
      await split.sendSplit(
        `${line}\r\n`,
        Array.from({ length: line.length }, (_, at) => at + 1),
      );
      await expectAtOnce(split, status);
    });
  }

  const headers = ["Host : a", "nothing", " folded", "a b: c", ": a"];
  for (const header of headers) {
    it(`do not wait behind a finished header line: ${JSON.stringify(header)}`, async () => {
      const gateway = await bench.gateway(await bench.origin(ok()), {
        limits: { headTimeoutMs: 600_000 },
      });
      for (const before of ["", "X-A: b\r\n"]) {
        const client = await bench.client(gateway);
        client.send(`GET / HTTP/1.1\r\n${before}`, "GET");
        await until("the first line has come", () => client.socket.writableLength === 0);
        client.send(`${header}\r\n`);
        await expectAtOnce(client, 400);
      }
    });
  }

  it("come in their turn, behind requests with bodies that were served", async () => {
    const before =
      requestBytes("POST /1", ["Content-Length: 11"], "GET\r\n\r\n  x\r") +
      requestBytes(
        "POST /2",
        ["Transfer-Encoding: chunked"],
        "4\r\n\r\n\r\n\r\n0\r\nA: b\r\n\r\n",
      ) +
      requestBytes("GET /3");
    const bad = ["\rGET / HTTP/1.1", "\nGET / HTTP/1.1", "GET /  HTTP/1.1", "GET / RTSP/1.0"];
    for (const line of bad) {
      const bytes = `${before}${line}\r\n${HOST}\r\n${requestBytes("GET /smuggled")}`;
      for (const step of [bytes.length, 1, 7]) {
        const origin = await bench.origin(ok());
        const client = await bench.client(await bench.gateway(origin));
        const offsets = Array.from(
          { length: Math.ceil(bytes.length / step) - 1 },
          (_, n) => (n + 1) * step,
        );
        client.send("", "POST", "POST", "GET", "GET");
        await client.sendSplit(bytes, offsets);
        const statuses: number[] = [];
        for (let n = 0; n < 4; n += 1) statuses.push((await client.answer()).status);
        expect(statuses, JSON.stringify(line)).to.deep.equal([200, 200, 200, 400]);
        await client.whenClosed();
        expect(origin.requests.map(({ target }) => target)).to.deep.equal(["/1", "/2", "/3"]);
      }
    }
  });

  it("are not made of a head whose lines are good, however they are cut", async () => {
    const gateway = await bench.gateway(await bench.origin(ok()));
    const bytes = `\r\n${requestBytes("GET /a?b", ["Host: shop.example", "X: y z", "Empty:"])}`;
    const client = await bench.client(gateway);
    client.send("", "GET");
    await client.sendSplit(
      bytes,
      Array.from({ length: bytes.length - 1 }, (_, at) => at + 1),
    );
    expect((await client.answer()).status).to.equal(200);
  });
});
