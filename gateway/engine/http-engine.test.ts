import { expect } from "chai";
import { requestBytes, until, useTestBench } from "../../test/support/http.ts";
import { LoopClock } from "../../test/support/loop-clock.ts";
import { ok } from "../../test/support/origin.ts";

/** Blocks this process for so long. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe("an engine whose process stood still", () => {
  const bench = useTestBench();

  it("reads what came meanwhile before it calls anybody late", async () => {
    // Called while the process reads from sockets: after that, timers come first, and only then what came in the
    // meantime.
    const clock = new LoopClock();
    const origin = await bench.origin((_, connection) => {
      connection.send(ok("in time"));
      standStill(900);
      clock.pass(900);
    });
    const gateway = await bench.gateway(origin, { clock, limits: { responseTimeoutMs: 400 } });
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /"), "GET");
    expect((await client.answer()).status).to.equal(200);
  });

  it("has deadlines all the same when it stands still again and again", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin, { limits: { responseTimeoutMs: 400 } });
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /"), "GET");
    await until("it is over", () => {
      gateway.clock.pass(350);
      return gateway.ended.length === 1;
    });
    expect((await client.answer()).status).to.equal(504);
  });
});
