/** Interim answers without end, to a client that reads none of them. */
import { once } from "node:events";
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, ok, requestBytes, settled, until } from "../support/http.ts";

const MEGABYTE = 1024 * 1024;
/** Enough to tell a bound from none: reading 60,000 heads takes a busy machine its time. */
const TOTAL = 64 * MEGABYTE;
/** Two loopback hops of up to 10 MB in the kernel each, and as much again. */
const BOUND = 40 * MEGABYTE;

describeEngines("interim answers without end", (bench) => {
  it("are not taken from an origin while the client does not read them", async () => {
    const interim = answerBytes("103 Early Hints", [`Link: </${"a".repeat(1_000)}>`]);
    const piece = Buffer.from(interim.repeat(64));
    let sent = 0;
    const origin = await bench.origin(async (_, connection) => {
      while (sent < TOTAL && !connection.closed) {
        sent += piece.length;
        if (!connection.socket.write(piece)) await once(connection.socket, "drain");
      }
      connection.send(ok("done"));
    });
    const client = await bench.client(await bench.gateway(origin));
    client.socket.pause();
    client.send(requestBytes("GET /"), "GET");
    await until("the flood began", () => sent > 0);
    expect(await settled(() => sent)).to.be.lessThan(BOUND);
    client.socket.resume();
    expect((await client.finalAnswer()).body.toString()).to.equal("done");
  });
});
