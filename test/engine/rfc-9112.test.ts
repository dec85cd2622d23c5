/** What RFC 9112 demands of an intermediary, where no other suite shows it. Titles name the section. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  type ClientAnswer,
  fieldOf,
  fieldsOf,
  ok,
  requestBytes,
} from "../support/http.ts";

describeEngines("RFC 9112", (bench) => {
  /** The answer to a request that never reaches an origin, after which the connection is closed. */
  async function refused(bytes: string): Promise<ClientAnswer> {
    const origin = await bench.origin(ok());
    const client = await bench.client(await bench.gateway(origin));
    client.send(bytes, bytes.slice(0, bytes.indexOf(" ")));
    const answer = await client.answer();
    expect(fieldOf(answer, "Connection")).to.equal("close");
    await client.whenClosed();
    expect(origin.connections).to.have.length(0);
    return answer;
  }

  describe("section 2.2: message parsing", () => {
    it("skips empty lines between requests too, and reads none for a request", async () => {
      const origin = await bench.origin(ok());
      const client = await bench.client(await bench.gateway(origin));
      const request = requestBytes("GET /");
      client.send(`\r\n${request}\r\n\r\n${request}\r\n`, "GET", "GET");
      expect((await client.answer()).status).to.equal(200);
      expect((await client.answer()).status).to.equal(200);
      expect((await client.request(request)).status).to.equal(200);
      expect(origin.requests).to.have.length(3);
    });
  });

  describe("section 2.3: versions", () => {
    it("are the gateway's own, both ways", async () => {
      const origin = await bench.origin("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      const answer = await client.request("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
      expect(answer.version).to.equal("HTTP/1.1");
      expect(origin.request.version).to.equal("HTTP/1.1");
    });
  });

  describe("section 3.2: targets", () => {
    async function forwarded(bytes: string) {
      const origin = await bench.origin(ok());
      const client = await bench.client(await bench.gateway(origin));
      expect((await client.request(bytes)).status).to.equal(200);
      return origin.request;
    }

    it("refuse a Host that is invalid though the target names another (3.2, 3.2.2)", async () => {
      for (const host of ["a b", "a/b", "a, b", "user@a"]) {
        const answer = await refused(requestBytes("GET http://shop.example/", [`Host: ${host}`]));
        expect(answer.status, host).to.equal(400);
      }
    });

    it("refuse an absolute target without Host, or with two (3.2)", async () => {
      expect((await refused("GET http://a.example/ HTTP/1.1\r\n\r\n")).status).to.equal(400);
      const two = requestBytes("GET http://a.example/", ["Host: a.example", "Host: a.example"]);
      expect((await refused(two)).status).to.equal(400);
    });

    it("in absolute form have a scheme in any case and replace Host (3.2.2)", async () => {
      const request = await forwarded(requestBytes("GET HTTP://Other.Example/A?b=/c"));
      expect(request.target).to.equal("/A?b=/c");
      expect(fieldsOf(request, "Host")).to.deep.equal(["Other.Example"]);
    });

    it("of the scheme https are refused on a plain connection (RFC 9110 section 7.4)", async () => {
      const answer = await refused(requestBytes("GET https://shop.example/"));
      expect(answer.status).to.equal(400);
    });

    it("in authority form are for CONNECT only (3.2.3)", async () => {
      for (const method of ["GET", "OPTIONS", "connect"]) {
        const answer = await refused(requestBytes(`${method} shop.example:443`));
        expect(answer.status, method).to.equal(400);
      }
    });

    it("of OPTIONS in absolute form without a path ask for `*` (3.2.4)", async () => {
      const request = await forwarded(requestBytes("OPTIONS http://www.example.org:8001"));
      expect(request.target).to.equal("*");
      expect(fieldOf(request, "Host")).to.equal("www.example.org:8001");
      expect((await forwarded(requestBytes("OPTIONS http://a.example/"))).target).to.equal("/");
      expect((await forwarded(requestBytes("OPTIONS http://a.example?b"))).target).to.equal("/?b");
    });
  });

  describe("section 4: status line", () => {
    it("has its space though there is no reason", async () => {
      for (const line of ["HTTP/1.1 200", "HTTP/1.1 200 "]) {
        const origin = await bench.origin(`${line}\r\nContent-Length: 0\r\n\r\n`);
        const client = await bench.client(await bench.gateway(origin));
        const answer = await client.request(requestBytes("GET /"));
        expect(answer.startLine).to.equal("HTTP/1.1 200 ");
      }
    });
  });

  describe("section 6.1: Transfer-Encoding", () => {
    it("is in no answer that cannot have it: interim, 204, to HTTP/1.0", async () => {
      const origin = await bench.origin((request, connection) => {
        if (request.target === "/204") {
          connection.send(answerBytes("204 No Content", ["Transfer-Encoding: chunked"]));
          return;
        }
        const chunks = "2\r\nok\r\n0\r\n\r\n";
        connection.send(answerBytes("103 Early Hints", ["Transfer-Encoding: chunked"]));
        connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked"], chunks));
      });
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      client.send(requestBytes("GET /"), "GET");
      const interim = await client.answer();
      expect(interim.status).to.equal(103);
      expect(fieldsOf(interim, "Transfer-Encoding")).to.deep.equal([]);
      expect((await client.answer()).body.toString()).to.equal("ok");
      const none = await client.request(requestBytes("GET /204"));
      expect(fieldsOf(none, "Transfer-Encoding")).to.deep.equal([]);
      const old = await bench.client(gateway);
      const answer = await old.request("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
      expect(fieldsOf(answer, "Transfer-Encoding")).to.deep.equal([]);
      expect(answer.body.toString()).to.equal("ok");
    });
  });

  describe("section 7.1: chunks", () => {
    it("are read whatever their sizes and the case of their digits", async () => {
      const origin = await bench.origin(ok());
      const client = await bench.client(await bench.gateway(origin));
      const sizes = ["a", "A", "1F", "00003", "1", "fF"];
      const body = sizes
        .map((size) => `${size};ext="a b";x\r\n${"y".repeat(Number.parseInt(size, 16))}\r\n`)
        .join("");
      await client.request(
        requestBytes("POST /", ["Transfer-Encoding: chunked"], `${body}000\r\n\r\n`),
      );
      const length = sizes.reduce((sum, size) => sum + Number.parseInt(size, 16), 0);
      expect(origin.request.body.toString()).to.equal("y".repeat(length));
    });

    it("are called so in any case", async () => {
      const body = "2\r\nok\r\n0\r\n\r\n";
      const origin = await bench.origin(
        answerBytes("200 OK", ["transfer-encoding: CHUNKED"], body),
      );
      const client = await bench.client(await bench.gateway(origin));
      const answer = await client.request(
        requestBytes("POST /", ["transfer-ENCODING:\tChunked "], body),
      );
      expect(answer.body.toString()).to.equal("ok");
      expect(origin.request.body.toString()).to.equal("ok");
      expect(fieldsOf(origin.request, "Transfer-Encoding")).to.deep.equal(["chunked"]);
    });
  });

  describe("section 9.3: persistence", () => {
    it("ends after `close` though `keep-alive` is named as well, in a request and in an answer", async () => {
      const both = "Connection: keep-alive, close";
      const origin = await bench.origin(ok("", [both]));
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      await client.request(requestBytes("GET /"));
      await (await origin.connection()).whenClosed();
      const answer = await client.request(requestBytes("GET /", [both]));
      expect(fieldOf(answer, "Connection")).to.equal("close");
      await client.whenClosed();
    });
  });
});
