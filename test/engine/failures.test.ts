/** Origins that fail: what the client is told, what is tried again, and what the handler learns. */
import { expect } from "chai";
import { type FailureCode, Peer } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  type ClientAnswer,
  fieldOf,
  ok,
  requestBytes,
  until,
} from "../support/http.ts";
import { refusingPeer, silentPort } from "../support/unreachable.ts";

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

describeEngines("failures", (bench) => {
  describe("of the only peer", () => {
    it("answer 502 when it refuses connections", async () => {
      const gateway = await bench.gateway([], { peers: [refusingPeer()] });
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

    it("answer 504 in its own time, though a body may not pause for that long", async () => {
      const origin = await bench.origin(() => {});
      const gateway = await bench.gateway(origin, {
        limits: { responseTimeoutMs: 500, bodyTimeoutMs: 100 },
      });
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /"))).status).to.equal(504);
      expect((await gateway.outcome()).errorCode).to.equal("response_timeout");
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
      const peer = refusingPeer();
      const gateway = await bench.gateway([], { peers: [peer] });
      const client = await bench.client(gateway);
      await client.request(requestBytes("GET /"));
      const [failure] = (await gateway.outcome()).failures;
      expect(failure?.code satisfies FailureCode | undefined).to.equal("connect_failed");
      expect(failure?.message).to.include(peer.key);
    });
  });
});
