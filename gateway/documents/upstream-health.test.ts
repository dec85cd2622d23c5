import { expect } from "chai";
import { DocumentError } from "./document-error.ts";
import { parseUpstreamDocument } from "./upstream-document.ts";

const parse = (value: unknown) =>
  parseUpstreamDocument("sluice/upstreams/api", JSON.stringify(value));

describe("the health of an upstream document", () => {
  it("reads how servers are checked, in its own words", () => {
    const servers = [{ host: "10.0.0.1", port: 80 }];
    const check = (written: object) => parse({ servers, check: written }).check;
    expect(check({})).to.deep.equal({
      ...{ type: "general", intervalMs: 5_000, timeoutMs: 1_000, rise: 2, fall: 3, http: null },
    });
    const http = check({ type: "http", statuses: [204, "3xx", "400-404"], body: "up" })?.http;
    expect(http?.statuses).to.deep.equal([
      [204, 204],
      [300, 399],
      [400, 404],
    ]);
    expect(http?.body).to.equal("up");
    expect(http?.request).to.match(/^GET \/ HTTP\/1\.1\r\nHost: api\r\n.*\r\n\r\n$/s);
    const own = { type: "http", method: "HEAD", path: "/up?a=1", host: "a.example:81" };
    expect(check(own)?.http?.request).to.match(
      /^HEAD \/up\?a=1 HTTP\/1\.1\r\nHost: a\.example:81\r\n/,
    );
    const refused = [
      { type: "ping" },
      { interval: 0 },
      { fall: 0 },
      { path: "/" },
      { type: "http", path: "no" },
      { type: "http", path: "/a b" },
      { type: "http", path: "/\r\nX: y" },
      { type: "http", host: "a\r\nX: y" },
      { type: "http", method: "POST" },
      { type: "http", method: "HEAD", body: "x" },
      { type: "http", statuses: ["2x"] },
      { type: "http", statuses: [] },
    ];
    for (const one of refused)
      expect(() => check(one), JSON.stringify(one)).to.throw(DocumentError);
    expect(() => parse({ service: "a", check: {} })).to.throw("services have Consul's checks");
    expect(() => parse({ servers, check: {}, typ: "http" })).to.throw("has both check and typ");
  });

  it("reads how servers are checked, in Slardar's words", () => {
    const servers = [{ host: "10.0.0.1", port: 80 }];
    const query = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const { check } = parse({
      ...{ servers, typ: "http", timeout: 2, sensibility: 3, checkup_timer_interval: 4 },
      http_opts: { query, statuses: { 502: false, 200: true } },
    });
    expect(check).to.deep.equal({
      ...{ type: "http", intervalMs: 4_000, timeoutMs: 2_000, rise: 1, fall: 3 },
      http: {
        request: query,
        statuses: [
          [100, 501],
          [503, 599],
        ],
        body: null,
      },
    });
    expect(parse({ servers, typ: "mysql" }).check).to.include({ type: "mysql", timeoutMs: 5_000 });
    expect(parse({ servers, enable: true }).check?.type).to.equal("general");
    expect(parse({ servers }).check).to.equal(undefined);
    expect(parse({ servers, enable: false, check: {} }).check).to.equal(undefined);
    for (const bad of ["POST / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n", `${query}GET / HTTP/1.1`])
      expect(() => parse({ servers, typ: "http", http_opts: { query: bad } })).to.throw(
        "http_opts.query",
      );
  });

  it("puts backup servers behind the others of their level", () => {
    const [a, b] = [
      { host: "10.0.0.1", port: 80, backup: true },
      { host: "10.0.0.2", port: 80 },
    ];
    const hosts = (document: object) =>
      parse(document).levels.map(({ servers }) => servers.map(({ host }) => host));
    expect(hosts({ servers: [a, b] })).to.deep.equal([["10.0.0.2"], ["10.0.0.1"]]);
    expect(hosts({ cluster: [{ servers: [a, b] }, { servers: [a] }] })).to.deep.equal([
      ["10.0.0.2"],
      ["10.0.0.1"],
      ["10.0.0.1"],
    ]);
  });

  it("reads outliers, slow starts and protection", () => {
    const servers = [
      { host: "10.0.0.1", port: 80 },
      { host: "10.0.0.2", port: 80, slow_start: 0 },
    ];
    const document = parse({ servers, slow_start: 30, protected: false, outliers: {} });
    expect(document.levels[0]?.servers.map(({ slowStartMs }) => slowStartMs)).to.deep.equal([
      30_000,
      undefined,
    ]);
    expect(document).to.deep.include({
      isProtected: false,
      outliers: {
        ...{ consecutiveFailures: 5, successRateDrop: 0.2, minRequests: 20, intervalMs: 1_000 },
        ...{ ejectionMs: 10_000, maxEjectionMs: 300_000, maxEjected: 0.5 },
      },
    });
  });
});
