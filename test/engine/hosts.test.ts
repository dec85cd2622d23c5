/** Hosts at the bounds of what is one: taken as they are written, looked up under one spelling. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { fieldOf, ok, requestBytes } from "../support/http.ts";

describeEngines("hosts", (bench) => {
  const longest = `${"a".repeat(61)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(63)}`;
  const good: readonly (readonly [written: string, host: string])[] = [
    ["a.test:", "a.test"],
    ["A.test.:8080", "a.test"],
    ["a.test:65535", "a.test"],
    ["a.test:0", "a.test"],
    [`${longest}.`, longest],
    ["a!$&'()*+;=~.test", "a!$&'()*+;=~.test"],
    ["[2001:db8:0:0:0:0:0:1]:80", "[2001:db8::1]"],
  ];

  it("are forwarded as they were written", async () => {
    const seen: string[] = [];
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, {
      hooks: { onRequest: (exchange) => void seen.push(exchange.host) },
    });
    const client = await bench.client(gateway);
    for (const [written] of good) {
      expect((await client.request(requestBytes("GET /", [`Host: ${written}`]))).status).to.equal(
        200,
      );
      expect((await client.request(requestBytes(`GET http://${written}/`))).status).to.equal(200);
    }
    const hosts = good.flatMap(([written]) => [written, written]);
    expect(origin.requests.map((request) => fieldOf(request, "Host"))).to.deep.equal(hosts);
    expect(seen).to.deep.equal(good.flatMap(([, host]) => [host, host]));
  });

  it("are refused by name, also on a connection that served a good one", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    const bad = ["..wild.test", "%00.wild.test", "a.test:65536", `${longest}x`, "[::1%25lo]"];
    for (const host of bad) {
      const client = await bench.client(gateway);
      await client.request(requestBytes("GET /", ["Host: a.test"]));
      const answer = await client.request(requestBytes("GET /", [`Host: ${host}`]));
      expect(answer.status, host).to.equal(400);
      expect(answer.body.toString()).to.contain("bad_host");
    }
    expect(gateway.engine.stats().refused).to.deep.equal({ bad_host: bad.length });
  });

  it("cannot be set by a handler when they are none", async () => {
    const thrown: unknown[] = [];
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          for (const host of ["", "a..b", "%61", "a:65536", `${longest}x`, "[::1%25lo]"]) {
            try {
              exchange.authority = host;
              thrown.push(host);
            } catch (error) {
              thrown.push(error);
            }
          }
          exchange.authority = "b.test:";
        },
      },
    });
    const client = await bench.client(gateway);
    await client.request(requestBytes("GET /"));
    for (const error of thrown) expect(error).to.be.instanceOf(TypeError);
    expect(fieldOf(origin.request, "Host")).to.equal("b.test:");
  });
});
