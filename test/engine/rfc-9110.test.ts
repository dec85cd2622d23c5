/** What RFC 9110 demands of an intermediary, where no other suite shows it. Titles name the section. */
import { expect } from "chai";
import { Peer } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  type ClientAnswer,
  fieldOf,
  fieldsOf,
  type OriginRequest,
  ok,
  requestBytes,
  until,
} from "../support/http.ts";

const IMF_FIXDATE =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT$/;

describeEngines("RFC 9110", (bench) => {
  /** What the origin was sent, and what the client got, for one request; its trailers are allowed. */
  async function exchanged(
    bytes: string,
    answer = ok(),
  ): Promise<{ readonly request: OriginRequest; readonly answer: ClientAnswer }> {
    const origin = await bench.origin(answer);
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          exchange.trailers = new Set(["x-sum", "x-more", "x-hop", "x-kept"]);
        },
      },
    });
    const client = await bench.client(gateway);
    const got = await client.request(bytes);
    return { request: origin.request, answer: got };
  }

  describe("section 5.3, 5.5: field lines", () => {
    it("of answers keep their order and their bytes, obs-text too", async () => {
      const lines = ["X-B: 2", "X-A: 1", "X-B: caf\xe9 \x80\xff", "x-b:3", "X-Empty:"];
      const { answer } = await exchanged(requestBytes("GET /"), ok("", lines));
      const got = answer.headers.filter(([name]) => /^x-/i.test(name));
      expect(got).to.deep.equal([
        ["X-B", "2"],
        ["X-A", "1"],
        ["X-B", "caf\xe9 \x80\xff"],
        ["x-b", "3"],
        ["X-Empty", ""],
      ]);
    });
  });

  describe("section 6.5: trailer fields", () => {
    it("are passed on both ways, in their order", async () => {
      const { request, answer } = await exchanged(
        requestBytes(
          "POST /",
          ["TE: trailers", "Connection: TE", "Transfer-Encoding: chunked"],
          "2\r\nab\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
        ),
        answerBytes(
          "200 OK",
          ["Transfer-Encoding: chunked"],
          "2\r\nok\r\n0\r\nX-B: 2\r\nX-A: 1\r\n\r\n",
        ),
      );
      expect(request.trailers).to.deep.equal(["X-Sum: 1", "X-More: 2"]);
      expect(answer.trailers).to.deep.equal(["X-B: 2", "X-A: 1"]);
    });

    it("are dropped for a client of HTTP/1.0, with the chunks", async () => {
      const { answer } = await exchanged(
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        answerBytes("200 OK", ["Transfer-Encoding: chunked"], "2\r\nok\r\n0\r\nX-A: 1\r\n\r\n"),
      );
      expect(answer.framing).to.equal("close");
      expect(answer.body.toString()).to.equal("ok");
    });
  });

  describe("section 6.6.1: Date", () => {
    it("is added to an answer that has none", async () => {
      const { answer } = await exchanged(requestBytes("GET /"));
      expect(fieldOf(answer, "Date")).to.match(IMF_FIXDATE);
    });

    it("is left as the origin wrote it", async () => {
      const date = "Sun, 06 Nov 1994 08:49:37 GMT";
      const { answer } = await exchanged(requestBytes("GET /"), ok("", [`date: ${date}`]));
      expect(fieldsOf(answer, "Date")).to.deep.equal([date]);
    });

    it("is in every answer of the gateway's own, refusals included", async () => {
      const gateway = await bench.gateway([]);
      for (const bytes of [requestBytes("GET /"), "GET / HTTP/1.1\r\n\r\n"]) {
        const client = await bench.client(gateway);
        expect(fieldOf(await client.request(bytes), "Date")).to.match(IMF_FIXDATE);
      }
    });
  });

  describe("section 7.6: loops", () => {
    it("of a gateway that forwards to itself end, since each round adds a Via line", async () => {
      const maxHeaders = 20;
      let itself: Peer | null = null;
      const gateway = await bench.gateway([], {
        limits: { maxHeaders },
        hooks: { onPick: (exchange) => (exchange.tries === 0 ? itself : null) },
      });
      itself = new Peer("127.0.0.1", gateway.port);
      const client = await bench.client(gateway);
      const answer = await client.request(requestBytes("GET /"));
      expect(answer.status).to.equal(431);
      expect(gateway.ended.length).to.be.within(2, maxHeaders);
      gateway.engine.retire(itself);
    });
  });

  describe("section 7.6.1: Connection", () => {
    it("removes what it names from an answer, and never what frames or dates it", async () => {
      const { answer } = await exchanged(
        requestBytes("GET /"),
        ok("body", ["X-Hop: 1", "Connection: x-hop, Content-Length", "x-hop: 2", "X-Kept: 3"]),
      );
      expect(fieldsOf(answer, "X-Hop")).to.deep.equal([]);
      expect(fieldOf(answer, "X-Kept")).to.equal("3");
      expect(answer.body.toString()).to.equal("body");
    });

    it("removes what it names from interim answers too", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.send(
          `${answerBytes("103 Early Hints", ["Link: </a>", "X-Hop: 1", "Connection: X-Hop"])}${ok()}`,
        ),
      );
      const client = await bench.client(await bench.gateway(origin));
      client.send(requestBytes("GET /"), "GET");
      const interim = await client.answer();
      expect(interim.headers).to.deep.equal([["Link", "</a>"]]);
      expect((await client.answer()).status).to.equal(200);
    });

    it("removes what it names from the trailers as well, both ways", async () => {
      const body = "2\r\nab\r\n0\r\nX-Hop: 1\r\nX-Kept: 2\r\n\r\n";
      const headers = ["Connection: X-Hop", "Transfer-Encoding: chunked"];
      const { request, answer } = await exchanged(
        requestBytes("POST /", headers, body),
        answerBytes("200 OK", headers, body),
      );
      expect(request.trailers).to.deep.equal(["X-Kept: 2"]);
      expect(answer.trailers).to.deep.equal(["X-Kept: 2"]);
    });

    it("is not passed on with the client's wish to close", async () => {
      const { request } = await exchanged(requestBytes("GET /", ["Connection: close"]));
      expect(fieldsOf(request, "Connection")).to.deep.equal([]);
    });
  });

  describe("section 7.6.2: Max-Forwards", () => {
    for (const method of ["OPTIONS", "TRACE"]) {
      it(`of 0 is not forwarded with ${method}: the gateway answers as the last recipient`, async () => {
        const origin = await bench.origin(ok());
        const client = await bench.client(await bench.gateway(origin));
        const answer = await client.request(requestBytes(`${method} /`, ["Max-Forwards: 0"]));
        // A last recipient may refuse to show a request to who sent it.
        expect(method === "TRACE" ? [200, 405] : [200, 204]).to.include(answer.status);
        expect(origin.connections).to.have.length(0);
      });

      it(`above 0 is forwarded with ${method}, lowered by one`, async () => {
        const { request } = await exchanged(requestBytes(`${method} /`, ["Max-Forwards: 10"]));
        expect(fieldOf(request, "Max-Forwards")).to.equal("9");
      });
    }

    it("is left alone with other methods", async () => {
      const { request } = await exchanged(requestBytes("GET /", ["Max-Forwards: 0"]));
      expect(fieldOf(request, "Max-Forwards")).to.equal("0");
    });
  });

  describe("section 7.6.3: Via", () => {
    it("is added to a request after what others wrote, with the version that was received", async () => {
      const { request } = await exchanged(
        requestBytes("GET /", ["Via: 1.0 fred", "via: 1.1 p.example (x)"]),
      );
      expect(fieldsOf(request, "Via")).to.deep.equal([
        "1.0 fred",
        "1.1 p.example (x)",
        "1.1 sluice",
      ]);
      const old = await exchanged("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
      expect(fieldsOf(old.request, "Via")).to.deep.equal(["1.0 sluice"]);
    });
  });

  describe("section 7.8: Upgrade", () => {
    const switching = (protocol: string) =>
      answerBytes("101 Switching Protocols", ["Connection: Upgrade", `Upgrade: ${protocol}`]);

    it("is sent on with the connection option, and so is the 101", async () => {
      const { request, answer } = await exchanged(
        requestBytes("GET /", ["Connection: upgrade", "Upgrade: chat/2, chat"]),
        switching("chat"),
      );
      expect(fieldsOf(request, "Connection").join().toLowerCase()).to.contain("upgrade");
      expect(fieldsOf(request, "Upgrade")).to.deep.equal(["chat/2, chat"]);
      expect(answer.status).to.equal(101);
      expect(fieldOf(answer, "Connection")?.toLowerCase()).to.equal("upgrade");
      expect(fieldOf(answer, "Upgrade")).to.equal("chat");
    });

    it("is not sent on when one of several protocols would hide requests from the gateway", async () => {
      for (const protocols of ["websocket, h2c", "websocket ,\tH2C", "a, TLS/1.2", "a,HTTP/2.0"]) {
        const { request, answer } = await exchanged(
          requestBytes("GET /", ["Connection: Upgrade", `Upgrade: ${protocols}`]),
        );
        expect(fieldsOf(request, "Upgrade"), protocols).to.deep.equal([]);
        expect(answer.status).to.equal(200);
      }
    });

    it("to a protocol that the client did not name is a bad answer", async () => {
      const { answer } = await exchanged(
        requestBytes("GET /", ["Connection: Upgrade", "Upgrade: websocket"]),
        switching("h2c"),
      );
      expect(answer.status).to.equal(502);
    });
  });

  describe("section 8.6: Content-Length", () => {
    it("is not passed on in interim answers", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.send(
          `${answerBytes("103 Early Hints", ["Content-Length: 0", "Link: </a>"])}${ok()}`,
        ),
      );
      const client = await bench.client(await bench.gateway(origin));
      client.send(requestBytes("GET /"), "GET");
      expect((await client.answer()).headers).to.deep.equal([["Link", "</a>"]]);
      expect((await client.answer()).body.toString()).to.equal("ok");
    });

    it("of an answer to HEAD is what the origin said, and nothing follows", async () => {
      const { answer } = await exchanged(
        requestBytes("HEAD /"),
        answerBytes("200 OK", ["Content-Length: 1000"]),
      );
      expect(fieldOf(answer, "Content-Length")).to.equal("1000");
      expect(answer.body).to.have.length(0);
    });
  });

  describe("section 9.1: methods", () => {
    it("are case-sensitive, and unknown ones are passed on", async () => {
      for (const method of ["get", "PURGE", "M-SEARCH", "x!#$%&'*+-.^_`|~9"]) {
        const { request } = await exchanged(requestBytes(`${method} /`));
        expect(request.method).to.equal(method);
      }
    });
  });

  describe("section 10.1.1: Expect", () => {
    it("is ignored in a request of HTTP/1.0", async () => {
      const { request } = await exchanged(
        "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
      );
      expect(fieldsOf(request, "Expect")).to.deep.equal([]);
      expect(request.body.toString()).to.equal("body");
    });

    it("is not sent on with a request that has no content", async () => {
      for (const headers of [[], ["Content-Length: 0"]]) {
        const { request, answer } = await exchanged(
          requestBytes("POST /", ["Expect: 100-continue", ...headers]),
        );
        expect(fieldsOf(request, "Expect")).to.deep.equal([]);
        expect(answer.status).to.equal(200);
      }
    });
  });

  describe("section 10.1.4: TE", () => {
    it("is sent on with its connection option when it says trailers, alone or in a list", async () => {
      for (const lines of [
        ["TE: trailers"],
        ["TE: gzip;q=0.5, Trailers"],
        ["TE: trailers", "TE: gzip"],
      ]) {
        const { request } = await exchanged(requestBytes("GET /", ["Connection: TE", ...lines]));
        expect(fieldsOf(request, "TE"), lines.join()).to.deep.equal(["trailers"]);
        expect(fieldsOf(request, "Connection")).to.deep.equal(["TE"]);
      }
    });

    it("is not sent on when it names transfer codings only", async () => {
      const { request } = await exchanged(
        requestBytes("GET /", ["Connection: TE", "TE: gzip, x-trailers"]),
      );
      expect(fieldsOf(request, "TE")).to.deep.equal([]);
    });
  });

  describe("section 11: credentials", () => {
    it("and challenges are passed on as they are", async () => {
      const { request, answer } = await exchanged(
        requestBytes("GET /", ["Authorization: Basic YTpi", 'Authorization: Digest x="y"']),
        answerBytes("401 Unauthorized", [
          'WWW-Authenticate: Basic realm="a"',
          "WWW-Authenticate: Digest b",
          "Content-Length: 0",
        ]),
      );
      expect(fieldsOf(request, "Authorization")).to.deep.equal(["Basic YTpi", 'Digest x="y"']);
      expect(fieldsOf(answer, "WWW-Authenticate")).to.deep.equal(['Basic realm="a"', "Digest b"]);
    });
  });

  describe("section 15.2: interim answers", () => {
    it("are all passed on, unknown ones too, before the final one", async () => {
      const origin = await bench.origin((_, connection) =>
        connection.sendPieces([
          answerBytes("102 Processing", []),
          answerBytes("103 Early Hints", ["Link: </a>"]),
          answerBytes("199 Whatever", ["X: y"]),
          ok("done"),
        ]),
      );
      const client = await bench.client(await bench.gateway(origin));
      client.send(requestBytes("GET /"), "GET");
      const statuses: number[] = [];
      do statuses.push((await client.answer()).status);
      while (statuses.at(-1) !== 200);
      expect(statuses).to.deep.equal([102, 103, 199, 200]);
    });
  });

  describe("section 15.5.6: 405", () => {
    it("says which methods are allowed", async () => {
      const client = await bench.client(await bench.gateway([]));
      const answer = await client.request(requestBytes("CONNECT shop.example:443"));
      expect(answer.status).to.equal(405);
      expect(fieldOf(answer, "Allow")).to.be.a("string");
      await until("it is closed", () => client.ended);
    });
  });
});
