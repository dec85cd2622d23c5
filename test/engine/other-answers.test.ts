/** Answers that phases put in the place of the origin's, and tries that they ask for. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, fieldOf, ok, requestBytes } from "../support/http.ts";

const unavailable = answerBytes("503 Service Unavailable", ["Content-Length: 4"], "busy");
/** Longer than what is passed on in one piece. */
const long = answerBytes("503 Service Unavailable", ["Content-Length: 50000"], "x".repeat(50_000));

describeEngines("other answers than the origin's", (bench) => {
  for (const [size, answer] of [
    ["small", unavailable],
    ["large", long],
  ] as const) {
    it(`take the place of a ${size} one, and the connection goes on`, async () => {
      const origin = await bench.origin(answer);
      const gateway = await bench.gateway(origin, {
        hooks: {
          onResponse(exchange) {
            exchange.replaceAnswer({
              status: 200,
              headers: { "content-type": "text/plain" },
              body: `instead of ${exchange.status}`,
            });
            exchange.setResponseHeader("x-kind", "replaced");
          },
        },
      });
      const client = await bench.client(gateway);
      for (let n = 0; n < 2; n += 1) {
        const got = await client.request(requestBytes("GET /"));
        expect(got.status).to.equal(200);
        expect(got.body.toString()).to.equal("instead of 503");
        expect(fieldOf(got, "x-kind")).to.equal("replaced");
      }
    });

    it(`come from another peer when a phase asks for a try after a ${size} one`, async () => {
      const busy = await bench.origin(answer);
      const other = await bench.origin(ok("fine"));
      const gateway = await bench.gateway([busy, other], {
        hooks: {
          onResponse(exchange) {
            if (exchange.status !== 503) return;
            exchange.tryAgain();
            // Whoever else looks at it sees that it is gone.
            expect(exchange.status).to.equal(0);
          },
        },
      });
      const client = await bench.client(gateway);
      const put = requestBytes("PUT /", ["Content-Length: 3"], "abc");
      expect((await client.request(put)).body.toString()).to.equal("fine");
      expect(other.requests[0]?.body.toString()).to.equal("abc");
      expect((await gateway.outcome()).tries).to.equal(2);
    });
  }
});

describeEngines("an origin's answer", (bench) => {
  it("stays when the request may not be repeated, or there is nobody else", async () => {
    const origin = await bench.origin(unavailable);
    const other = await bench.origin(ok("fine"));
    const asked: boolean[] = [];
    const gateway = await bench.gateway([origin, other], {
      hooks: { onResponse: (exchange) => void asked.push(exchange.tryAgain()) },
    });
    const alone = await bench.gateway([origin], {
      hooks: { onResponse: (exchange) => void asked.push(exchange.tryAgain()) },
    });
    const post = requestBytes("POST /", ["Content-Length: 0"]);
    expect((await (await bench.client(gateway)).request(post)).status).to.equal(503);
    const get = requestBytes("GET /");
    expect((await (await bench.client(alone)).request(get)).status).to.equal(503);
    expect(asked).to.deep.equal([false, false]);
  });
});
