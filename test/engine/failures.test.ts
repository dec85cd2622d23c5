/** Origins that fail: what the client is told, what is tried again, and what the handler learns. */
import { expect } from "chai";
import { type FailureCode, Peer } from "../../gateway/engine/engine.ts";
import {
  answerBytes,
  type ClientAnswer,
  fieldOf,
  ok,
  requestBytes,
  until,
  useTestBench,
} from "../support/http.ts";
import { silentPort } from "../support/silent.ts";

interface ErrorBody {
  readonly status: number;
  readonly error: string;
  readonly message: string;
}

function errorOf(answer: ClientAnswer): ErrorBody {
  expect(fieldOf(answer, "Content-Type")).to.match(/^application\/json/);
  return JSON.parse(answer.body.toString()) as ErrorBody;
}

function failAt(here: boolean): void {
  if (here) throw new Error("thrown on purpose");
}

const JSON_PLEASE = ["Accept: application/json"];

describe("engine: failures", () => {
  const bench = useTestBench();

  /** A peer on which nobody listens. */
  async function refusingPeer(): Promise<Peer> {
    const origin = await bench.origin("");
    const { port } = origin;
    await origin.close();
    return new Peer("127.0.0.1", port);
  }

  describe("of the only peer", () => {
    it("answer 502 when it refuses connections", async () => {
      const gateway = await bench.gateway([], { peers: [await refusingPeer()] });
      const client = await bench.client(gateway);
      const answer = await client.request(requestBytes("GET /", JSON_PLEASE));
      expect(answer.status).to.equal(502);
      expect(errorOf(answer).status).to.equal(502);
      const outcome = await gateway.outcome();
      expect(outcome.failures.map((failure) => failure.code)).to.deep.equal(["connect_failed"]);
      expect(outcome.status).to.equal(502);
      expect(outcome.errorCode).to.equal(errorOf(answer).error);
      expect((await client.request(requestBytes("GET /"))).status).to.equal(502);
    });

    it("answer 504 when it is silent at connect", async () => {
      const silent = await silentPort(bench);
      const gateway = await bench.gateway([], {
        peers: [new Peer("127.0.0.1", silent)],
        limits: { connectTimeoutMs: 100 },
      });
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /"))).status).to.equal(504);
      const { failures } = await gateway.outcome();
      expect(failures.map((failure) => failure.code)).to.deep.equal(["connect_timeout"]);
    });

    it("answer 504 when it does not answer in time", async () => {
      const origin = await bench.origin(() => {});
      const gateway = await bench.gateway(origin, { limits: { responseTimeoutMs: 100 } });
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("POST /", ["Content-Length: 0"]))).status).to.equal(
        504,
      );
      const { failures } = await gateway.outcome();
      expect(failures.map((failure) => failure.code)).to.deep.equal(["response_timeout"]);
      await (await origin.connection()).whenClosed();
      expect(origin.requests).to.have.length(1);
    });

    it("answer 504 when it sends a part of the head only", async () => {
      const origin = await bench.origin("HTTP/1.1 200 OK\r\nContent-Le");
      const gateway = await bench.gateway(origin, { limits: { responseTimeoutMs: 100 } });
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("POST /", ["Content-Length: 0"]))).status).to.equal(
        504,
      );
      await (await origin.connection()).whenClosed();
    });

    for (const [what, script] of [
      ["closes before an answer", ""],
      ["closes in the middle of the answer's head", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"],
    ] as const) {
      it(`answer 502 when it ${what}`, async () => {
        const origin = await bench.origin((_, connection) => connection.end(script));
        const gateway = await bench.gateway(origin);
        const client = await bench.client(gateway);
        const answer = await client.request(requestBytes("POST /", ["Content-Length: 0"]));
        expect(answer.status).to.equal(502);
        const { failures } = await gateway.outcome();
        expect(failures.map((failure) => failure.code)).to.deep.equal(["reset"]);
        expect(
          (await client.request(requestBytes("POST /", ["Content-Length: 0"]))).status,
        ).to.equal(502);
      });
    }

    it("answer 502 when it resets the connection", async () => {
      const origin = await bench.origin((_, connection) => connection.reset());
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("POST /", ["Content-Length: 0"]))).status).to.equal(
        502,
      );
      expect((await gateway.outcome()).failures[0]?.code).to.equal("reset");
    });

    it("answer 502 when it closes in the middle of an upload", async () => {
      const origin = await bench.origin("", { onHead: (_, connection) => connection.reset() });
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      client.send(requestBytes("PUT /", ["Content-Length: 10"], "half!"), "PUT");
      const answer = await client.answer();
      expect(answer.status).to.equal(502);
      await client.whenClosed();
    });

    it("end an answer whose body stops coming", async () => {
      const origin = await bench.origin(answerBytes("200 OK", ["Content-Length: 10"], "half!"));
      const gateway = await bench.gateway(origin, { limits: { bodyTimeoutMs: 100 } });
      const client = await bench.client(gateway);
      client.send(requestBytes("GET /"), "GET");
      await client.whenClosed();
      await until("the cut is seen", () => client.violation !== null);
      expect(client.waiting).to.equal(0);
      await (await origin.connection()).whenClosed();
      expect((await gateway.outcome()).errorCode).to.not.equal("");
    });

    it("end a request whose body stops coming", async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, { limits: { bodyTimeoutMs: 100 } });
      const client = await bench.client(gateway);
      client.send(requestBytes("PUT /", ["Content-Length: 10"], "half!"), "PUT");
      await client.whenClosed();
      await (await origin.connection()).whenClosed();
      expect((await gateway.outcome()).errorCode).to.not.equal("");
    });
  });

  describe("are tried again on another peer", () => {
    it("when connecting fails, whatever the method and though a body waits", async () => {
      const origin = await bench.origin((request, connection) =>
        connection.send(ok(`${request.method} ${request.body}`)),
      );
      const gateway = await bench.gateway(origin, { peers: [await refusingPeer(), origin.peer] });
      const client = await bench.client(gateway);
      const answer = await client.request(requestBytes("POST /", ["Content-Length: 4"], "body"));
      expect(answer.body.toString()).to.equal("POST body");
      const outcome = await gateway.outcome();
      expect(outcome.tries).to.equal(2);
      expect(outcome.errorCode).to.equal("");
      expect(outcome.failures.map((failure) => failure.code)).to.deep.equal(["connect_failed"]);
      expect((await client.request(requestBytes("GET /"))).body.toString()).to.equal("GET ");
    });

    it("when connecting takes too long", async () => {
      const origin = await bench.origin(ok("other"));
      const gateway = await bench.gateway(origin, {
        peers: [new Peer("127.0.0.1", await silentPort(bench)), origin.peer],
        limits: { connectTimeoutMs: 100 },
      });
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /"))).body.toString()).to.equal("other");
      expect((await gateway.outcome()).failures[0]?.code).to.equal("connect_timeout");
    });

    it("when the peer closes before an answer and the method is idempotent", async () => {
      const bad = await bench.origin((_, connection) => connection.end());
      const good = await bench.origin(ok("good"));
      const gateway = await bench.gateway([bad, good]);
      const client = await bench.client(gateway);
      for (const method of ["GET", "PUT", "DELETE", "OPTIONS"]) {
        const answer = await client.request(requestBytes(`${method} /`));
        expect(answer.body.toString(), method).to.equal("good");
      }
      expect(bad.requests).to.have.length(4);
    });

    it("but not when the method is not idempotent and the request was sent", async () => {
      const bad = await bench.origin((_, connection) => connection.end());
      const good = await bench.origin(ok("good"));
      const gateway = await bench.gateway([bad, good]);
      const client = await bench.client(gateway);
      for (const method of ["POST", "PATCH"]) {
        const answer = await client.request(
          requestBytes(`${method} /`, ["Content-Length: 2"], "ab"),
        );
        expect(answer.status, method).to.equal(502);
      }
      expect(good.connections).to.have.length(0);
    });

    it("but not when a part of an answer was passed on", async () => {
      const bad = await bench.origin((_, connection) =>
        connection.end(answerBytes("200 OK", ["Content-Length: 10"], "half")),
      );
      const good = await bench.origin(ok("good"));
      const client = await bench.client(await bench.gateway([bad, good]));
      client.send(requestBytes("GET /"), "GET");
      await client.whenClosed();
      await until("the cut is seen", () => client.violation !== null);
      expect(good.connections).to.have.length(0);
    });

    it("as often as the limit allows and no more", async () => {
      const peers = await Promise.all([1, 2, 3, 4, 5].map(() => refusingPeer()));
      const gateway = await bench.gateway([], { peers, limits: { maxTries: 3 } });
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /"))).status).to.equal(502);
      const outcome = await gateway.outcome();
      expect(outcome.failures).to.have.length(3);
      expect(outcome.tries).to.equal(3);
    });

    it("and leave no trace of the first peer in what the second is sent", async () => {
      const bad = await bench.origin((_, connection) => connection.end());
      const good = await bench.origin(ok("good"));
      const client = await bench.client(await bench.gateway([bad, good]));
      await client.request(requestBytes("PUT /", ["Content-Length: 4", "X-A: b"], "body"));
      expect(good.request.body.toString()).to.equal("body");
      expect(good.request.headers.map(([name, value]) => `${name}: ${value}`)).to.deep.equal(
        bad.request.headers.map(([name, value]) => `${name}: ${value}`),
      );
    });
  });

  describe("of a kept connection", () => {
    it("that the origin closes as the request goes out do not reach an idempotent client", async () => {
      let served = 0;
      const origin = await bench.origin((_, connection) => {
        served += 1;
        // The second request finds its connection closed: its first connection serves one only.
        if (connection.requests.length > 1) connection.reset();
        else connection.send(ok(`served ${served}`));
      });
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /1"))).body.toString()).to.equal("served 1");
      expect((await client.request(requestBytes("GET /2"))).body.toString()).to.equal("served 3");
      expect((await gateway.outcomeOf(1)).errorCode).to.equal("");
      expect(origin.connections).to.have.length(2);
    });

    it("do reach a client whose request is not idempotent", async () => {
      const origin = await bench.origin((_, connection) => {
        if (connection.requests.length > 1) connection.end();
        else connection.send(ok());
      });
      const client = await bench.client(await bench.gateway(origin));
      await client.request(requestBytes("GET /1"));
      const answer = await client.request(requestBytes("POST /2", ["Content-Length: 0"]));
      expect(answer.status).to.equal(502);
      expect(origin.requests).to.have.length(2);
    });

    it("that was closed while idle are not noticed by anybody", async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin);
      const client = await bench.client(gateway);
      for (let n = 0; n < 3; n += 1) {
        expect(
          (await client.request(requestBytes("POST /", ["Content-Length: 0"]))).status,
        ).to.equal(200);
        origin.connections[n]?.end();
        await (await origin.connection(n)).whenClosed();
        await until("the gateway knows", () => gateway.engine.stats().peerConnections === 0);
      }
    });
  });

  describe("of the handler", () => {
    it("without a peer are answered with 503", async () => {
      const gateway = await bench.gateway([]);
      const client = await bench.client(gateway);
      const answer = await client.request(requestBytes("GET /", JSON_PLEASE));
      expect(answer.status).to.equal(503);
      expect(errorOf(answer)).to.have.all.keys("status", "error", "message");
      expect((await gateway.outcome()).errorCode).to.equal(errorOf(answer).error);
    });

    it("that throws are answered with 500, in whatever phase, and nothing else suffers", async () => {
      const origin = await bench.origin(ok("fine"));
      for (const path of ["/request", "/pick", "/response"]) {
        const gateway = await bench.gateway(origin, {
          hooks: {
            onRequest: (exchange) => failAt(path === "/request" && exchange.path === path),
            onPick(exchange) {
              failAt(path === "/pick" && exchange.path === path);
              return origin.peer;
            },
            onResponse: (exchange) => failAt(path === "/response" && exchange.path === path),
          },
        });
        const client = await bench.client(gateway);
        const answer = await client.request(requestBytes(`GET ${path}`, JSON_PLEASE));
        expect(answer.status, path).to.equal(500);
        expect(errorOf(answer).error, path).to.equal("handler_error");
        expect(answer.body.toString()).to.not.include("on purpose");
        expect((await gateway.outcome()).errorCode).to.equal("handler_error");
        const other = await bench.client(gateway);
        expect((await other.request(requestBytes("GET /fine"))).body.toString()).to.equal("fine");
      }
    });

    it("are answered as it said, as JSON or plain text by what the client accepts", async () => {
      const gateway = await bench.gateway([], {
        hooks: {
          onRequest(exchange) {
            exchange.fail(404, "no_route", `no route for "${exchange.host}"`);
          },
        },
      });
      const client = await bench.client(gateway);
      for (const accept of [
        "application/json",
        "APPLICATION/JSON",
        "text/html;q=0.5, application/json;q=0.9",
        "application/problem+json, application/json",
      ]) {
        const answer = await client.request(requestBytes("GET /", [`Accept: ${accept}`]));
        expect(errorOf(answer), accept).to.deep.equal({
          status: 404,
          error: "no_route",
          message: 'no route for "shop.example"',
        });
      }
      for (const headers of [[], ["Accept: text/html"], ["Accept: */*"]]) {
        const answer = await client.request(requestBytes("GET /", headers));
        expect(fieldOf(answer, "Content-Type")).to.match(/^text\/plain/);
        expect(answer.body.toString()).to.include('no route for "shop.example"');
      }
      expect(gateway.ended.every((end) => end.errorCode === "no_route")).to.equal(true);
    });
  });

  describe("for each failure code", () => {
    it("the message names the address of the peer", async () => {
      const peer = await refusingPeer();
      const gateway = await bench.gateway([], { peers: [peer] });
      const client = await bench.client(gateway);
      await client.request(requestBytes("GET /"));
      const [failure] = (await gateway.outcome()).failures;
      expect(failure?.code satisfies FailureCode | undefined).to.equal("connect_failed");
      expect(failure?.message).to.include(peer.key);
    });
  });
});
