/** HTTP/1.0 on either side (RFC 9112 sections 2.3, 6.1 and 9.3), and the forms of the target. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  chunked,
  fieldOf,
  type OriginRequest,
  ok,
  requestBytes,
  until,
} from "../support/http.ts";

describeEngines("versions and targets", (bench) => {
  describe("an HTTP/1.0 client", () => {
    it("gets one answer and then the end of the connection", async () => {
      const origin = await bench.origin(ok("body"));
      const client = await bench.client(await bench.gateway(origin));
      const answer = await client.request("GET /old HTTP/1.0\r\nHost: shop.example\r\n\r\n");
      expect(answer.body.toString()).to.equal("body");
      await client.whenClosed();
      expect(origin.request.version, "the gateway speaks for itself").to.equal("HTTP/1.1");
    });

    it("keeps its connection when it asks for that", async () => {
      const origin = await bench.origin(ok("body"));
      const client = await bench.client(await bench.gateway(origin));
      for (let n = 0; n < 3; n += 1) {
        const answer = await client.request(
          "GET / HTTP/1.0\r\nHost: shop.example\r\nConnection: Keep-Alive\r\n\r\n",
        );
        expect(answer.status).to.equal(200);
        expect(fieldOf(answer, "Connection")?.toLowerCase()).to.equal("keep-alive");
      }
    });

    it("gets a chunked answer without chunks, delimited by the end of the connection", async () => {
      const origin = await bench.origin((_, connection) => {
        connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked"]));
        connection.send(chunked(["hello", " ", "world"]));
      });
      const client = await bench.client(await bench.gateway(origin));
      const answer = await client.request(
        "GET / HTTP/1.0\r\nHost: shop.example\r\nConnection: keep-alive\r\n\r\n",
      );
      expect(answer.framing).to.equal("close");
      expect(answer.body.toString()).to.equal("hello world");
      await client.whenClosed();
      expect(client.violation).to.equal(null);
      expect(origin.connections[0]?.closed, "the origin's connection is kept").to.equal(false);
    });

    it("is never sent an interim answer", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.send(answerBytes("103 Early Hints", ["Link: </a>"]) + ok("body")),
      );
      const client = await bench.client(await bench.gateway(origin));
      client.send("GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n", "GET");
      expect((await client.answer()).status).to.equal(200);
    });

    it("can send a body with a length", async () => {
      const origin = await bench.origin(ok());
      const client = await bench.client(await bench.gateway(origin));
      await client.request(
        "POST / HTTP/1.0\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\nbody",
      );
      expect(origin.request.body.toString()).to.equal("body");
    });
  });

  describe("an HTTP/1.0 origin", () => {
    it("answers a client of HTTP/1.1, and its connection is not reused", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.end("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody"),
      );
      const client = await bench.client(await bench.gateway(origin));
      for (let n = 0; n < 3; n += 1) {
        const answer = await client.request(requestBytes("GET /"));
        expect(answer.version).to.equal("HTTP/1.1");
        expect(answer.body.toString()).to.equal("body");
      }
      expect(origin.connections).to.have.length(3);
    });

    it("is not sent a second request though it leaves the connection open", async () => {
      const origin = await bench.origin("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody");
      const client = await bench.client(await bench.gateway(origin));
      await client.request(requestBytes("GET /1"));
      await client.request(requestBytes("GET /2"));
      expect(origin.connections).to.have.length(2);
      for (const connection of origin.connections) await connection.whenClosed();
    });

    it("may delimit its body by closing", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.end("HTTP/1.0 200 OK\r\n\r\nthe whole body"),
      );
      const client = await bench.client(await bench.gateway(origin));
      const answer = await client.request(requestBytes("GET /"));
      expect(answer.body.toString()).to.equal("the whole body");
    });
  });

  describe("answers", () => {
    it("may have no reason phrase, an unusual one or an unusual status", async () => {
      const lines = ["200 ", "200 Alles g\xfct", "299 Odd", "451 Unavailable", "599 Own"];
      const origin = await bench.origin((request, connection) =>
        connection.send(
          answerBytes(lines[Number(request.target.slice(1))] ?? "", ["Content-Length: 0"]),
        ),
      );
      const client = await bench.client(await bench.gateway(origin));
      for (const [n, line] of lines.entries()) {
        const answer = await client.request(requestBytes(`GET /${n}`));
        expect(answer.status).to.equal(Number(line.slice(0, 3)));
        expect(answer.startLine).to.equal(`HTTP/1.1 ${line}`);
      }
    });
  });

  describe("targets", () => {
    async function forwarded(bytes: string): Promise<OriginRequest> {
      const origin = await bench.origin(ok());
      const client = await bench.client(await bench.gateway(origin));
      expect((await client.request(bytes)).status).to.equal(200);
      return origin.request;
    }

    it("are forwarded byte for byte when their path is in normal form", async () => {
      const target = '/a%2Fb/c/d;p=1/~\'()*!$&+,:@[]|{}^"<>`?x=1&y=%20?z=/a//../%zz[]|{}^"<>`\\';
      const request = await forwarded(requestBytes(`GET ${target}`));
      expect(request.target).to.equal(target);
    });

    it("are forwarded after blank lines before the request", async () => {
      expect((await forwarded(`\r\n\r\n${requestBytes("GET /x")}`)).target).to.equal("/x");
    });

    it("in absolute form decide the host, and are forwarded in origin form", async () => {
      const request = await forwarded(
        requestBytes("GET http://other.example:81/a?b", ["Host: shop.example"]),
      );
      expect(request.target).to.equal("/a?b");
      expect(fieldOf(request, "Host")).to.equal("other.example:81");
    });

    it("in absolute form without a path are forwarded with one", async () => {
      const bare = await forwarded(requestBytes("GET http://other.example"));
      expect(bare.target).to.equal("/");
      const query = await forwarded(requestBytes("GET http://other.example?q=1"));
      expect(query.target).to.equal("/?q=1");
    });

    it("`*` is for OPTIONS", async () => {
      expect((await forwarded(requestBytes("OPTIONS *"))).target).to.equal("*");
    });

    it("are split into path and query for the handler, which may change them", async () => {
      const seen: string[] = [];
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, {
        hooks: {
          onRequest(exchange) {
            seen.push(exchange.path, exchange.query);
            exchange.path = `/new${exchange.path}`;
            exchange.query = exchange.query === "" ? "" : `${exchange.query}&more=1`;
          },
        },
      });
      const client = await bench.client(gateway);
      await client.request(requestBytes("GET /a/b?c=d?e"));
      await client.request(requestBytes("GET /plain"));
      expect(seen).to.deep.equal(["/a/b", "c=d?e", "/plain", ""]);
      expect(origin.requests.map((request) => request.target)).to.deep.equal([
        "/new/a/b?c=d?e&more=1",
        "/new/plain",
      ]);
    });

    it("refuse a path or query of the handler's that would break the request line", async () => {
      const thrown: unknown[] = [];
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, {
        hooks: {
          onRequest(exchange) {
            for (const bad of ["/a b", "/a\r\nX: y", "a", "", "/\x00", "/a?b", "/a#b"]) {
              try {
                exchange.path = bad;
                thrown.push(bad);
              } catch (error) {
                thrown.push(error);
              }
            }
            for (const bad of ["a b", "a\nb", "a#b"]) {
              try {
                exchange.query = bad;
                thrown.push(bad);
              } catch (error) {
                thrown.push(error);
              }
            }
          },
        },
      });
      const client = await bench.client(gateway);
      await client.request(requestBytes("GET /kept?q"));
      expect(thrown).to.have.length(10);
      for (const error of thrown) expect(error).to.be.instanceOf(TypeError);
      expect(origin.request.target).to.equal("/kept?q");
    });

    it("of CONNECT are refused with 405 and the connection closed", async () => {
      const origin = await bench.origin(ok());
      const client = await bench.client(await bench.gateway(origin));
      const answer = await client.request(
        requestBytes("CONNECT other.example:443", ["Host: other.example:443"]),
      );
      expect(answer.status).to.equal(405);
      await client.whenClosed();
      await until("nothing was asked", () => origin.connections.length === 0);
    });
  });
});
