/** What is tried again after a failure, and what must not be. */
import { expect } from "chai";
import { Peer } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, ok, requestBytes, until } from "../support/http.ts";
import { refusingPeer, silentPort } from "../support/unreachable.ts";

describeEngines("retries", (bench) => {
  describe("of a failed try", () => {
    it("when connecting fails, whatever the method and though a body waits", async () => {
      const origin = await bench.origin((request, connection) =>
        connection.send(ok(`${request.method} ${request.body}`)),
      );
      const gateway = await bench.gateway(origin, { peers: [refusingPeer(), origin.peer] });
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
      const origins = await Promise.all(
        [1, 2, 3, 4, 5].map(() => bench.origin((_, connection) => connection.end())),
      );
      const gateway = await bench.gateway(origins, { limits: { maxTries: 3 } });
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
});
