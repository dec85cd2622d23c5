/** No request goes where the engine is told that no peer may be, whatever the peer's name meant. */
import { expect } from "chai";
import { Peer } from "../../gateway/engine/peer.ts";
import { describeEngines } from "../support/engines.ts";
import { ok, requestBytes } from "../support/http.ts";

describeEngines("forbidden peers", (bench) => {
  it("are known by the address that a connection reached, and get no byte", async () => {
    const forbidden = await bench.origin(ok("forbidden"));
    const allowed = await bench.origin(ok("allowed"));
    const { port } = forbidden.peer;
    const asked: string[] = [];
    const forbids = (address: string, at: number) => {
      asked.push(`${address}:${at}`);
      return at === port ? "the admin API" : null;
    };
    for (const host of ["127.0.0.1", "localhost", "0x7f.1"]) {
      const peers = [new Peer(host, port), allowed.peer];
      const gateway = await bench.gateway(allowed, { peers, forbids });
      const client = await bench.client(gateway);
      for (const method of ["GET", "POST"]) {
        const answer = await client.request(requestBytes(`${method} /`, ["Content-Length: 0"]));
        expect(answer.body.toString(), host).to.equal("allowed");
      }
      const [{ failures } = { failures: [] }] = gateway.ended;
      expect(failures[0]?.code).to.equal("connect_failed");
      if (host !== "localhost") expect(failures[0]?.message).to.contain("the admin API is at");
    }
    expect(asked).to.include(`127.0.0.1:${port}`);
    expect(forbidden.requests).to.deep.equal([]);
  });
});
