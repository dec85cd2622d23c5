import { expect } from "chai";
import { parseUpstreamDocument } from "./upstream-document.ts";

const parse = (value: unknown) =>
  parseUpstreamDocument("sluice/upstreams/api", JSON.stringify(value));

describe("how an upstream document has its servers reached", () => {
  it("reads servers that are down, and times that hold for its requests", () => {
    const servers = [{ host: "10.0.0.1", port: 80, down: true }];
    expect(parse({ servers }).levels[0]?.servers[0]?.down).to.equal(true);
    const times = { timeout: 2, connect_timeout: 0.25, try_timeout: 0 };
    expect(parse({ servers, ...times }).timeouts).to.deep.equal({
      connectTimeoutMs: 250,
      sendTimeoutMs: 2000,
      readTimeoutMs: 2000,
      tryTimeoutMs: 0,
    });
    expect(parse({ servers, try: 3 }).ignored).to.equal(undefined);
  });

  it("reads how servers are reached over TLS, and refuses what contradicts itself", () => {
    const servers = [{ host: "10.0.0.1", port: 1 }];
    const tlsOf = (more: object) => parse({ servers, ...more }).tls;
    const plain = { serverName: null, authorities: null, certificate: null, isInsecure: false };
    expect(tlsOf({})).to.equal(undefined);
    expect(tlsOf({ tls: false })).to.equal(undefined);
    expect(tlsOf({ tls: true })).to.deep.equal(plain);
    expect(tlsOf({ protocol: "h2" })).to.deep.equal(plain);
    expect(tlsOf({ tls: { server_name: "a.b", ca: "c", client_certificate: "d" } })).to.deep.equal({
      ...{ serverName: "a.b", authorities: "c", certificate: "d", isInsecure: false },
    });
    for (const [wrong, what] of [
      [{ tls: { insecure: true, ca: "c" } }, "tls: insecure believes anybody"],
      [{ tls: true, protocol: "h2c" }, "tls: the protocol h2c is in clear"],
      [{ tls: false, protocol: "h2" }, "tls: the protocol h2 is over TLS"],
      [{ tls: { server_name: "10.0.0.1" } }, "tls"],
      [{ check: { type: "http", service: "a" } }, "check.service: goes with the type grpc"],
    ] as const)
      expect(() => parse({ servers, ...wrong })).to.throw(what);
  });

  it("reads what bounds it, and refuses a queue in front of nothing", () => {
    const servers = [
      { host: "10.0.0.1", port: 1, max_conns: 3 },
      { host: "10.0.0.2", port: 1 },
    ];
    const document = parse({
      servers,
      max_conns: 7,
      max_requests: 9,
      queue: 4,
      breaker: { open: 2 },
    });
    expect(document.levels[0]?.servers.map(({ maxConns }) => maxConns)).to.deep.equal([3, 7]);
    expect(document.gate).to.deep.equal({
      ...{ maxRequests: 9, queue: 4, queueTimeoutMs: 10_000 },
      breaker: { errorRate: 0.5, minRequests: 20, intervalMs: 10_000, openMs: 2_000, probes: 3 },
    });
    expect(parse({ service: "a", retry_budget: {} }).retryBudget).to.deep.equal({
      ...{ share: 0.2, minPerSecond: 10 },
    });
    expect(parse({ service: "a", retry_budget: false }).retryBudget).to.equal(null);
    expect(() => parse({ service: "a", queue: 4 })).to.throw("queue: goes with max_requests");
    expect(() => parse({ service: "a", max_conns: 4, queue_timeout: 1 })).to.throw("queue_timeout");
    const answer = { headers: { "x-a": "b\r\nc: d" } };
    expect(() => parse({ service: "a", breaker: { answer } })).to.throw("x-a");
  });

  it("refuses fields of the breaker's answer that the gateway writes, and takes others in any case", () => {
    const parseHeaders = (headers: object) =>
      parse({ service: "a", breaker: { answer: { headers } } });
    for (const name of ["Content-Length", "transfer-encoding", "Connection", "Date"])
      expect(() => parseHeaders({ [name]: "3" })).to.throw(name);
    const { gate } = parseHeaders({ "Retry-After": "60" });
    expect(gate?.breaker?.answer?.headers).to.deep.equal({ "retry-after": "60" });
  });
});
