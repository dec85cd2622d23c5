import { expect } from "chai";
import { DocumentError } from "./document-error.ts";
import { parseUpstreamDocument, upstreamSchema } from "./upstream-document.ts";

const key = "sluice/upstreams/api";
const parse = (value: unknown) => parseUpstreamDocument(key, JSON.stringify(value));

function refusal(text: string): DocumentError {
  try {
    parseUpstreamDocument(key, text);
  } catch (error) {
    expect(error).to.be.instanceOf(DocumentError);
    if (error instanceof DocumentError) return error;
  }
  throw new Error(`accepted: ${text}`);
}

const refused = (value: unknown) => refusal(JSON.stringify(value)).message;

describe("an upstream document", () => {
  it("is read word for word as Slardar's README writes it", () => {
    const text =
      '{"enable": true, "servers": [{"host": "127.0.0.1","port": 8001,"weight": 1,"max_fails": 6,"fail_timeout": 30}]}';
    expect(parseUpstreamDocument(key, text)).to.deep.equal({
      levels: [
        {
          servers: [
            { host: "127.0.0.1", port: 8001, weight: 1, maxFails: 6, failTimeoutMs: 30_000 },
          ],
        },
      ],
      service: null,
      maxFails: 1,
      failTimeoutMs: 10_000,
      tries: null,
      check: {
        ...{ type: "general", intervalMs: 5_000, timeoutMs: 5_000, rise: 1, fall: 1, http: null },
      },
    });
  });

  it("fills in nginx's defaults", () => {
    expect(
      parse({ servers: [{ host: "a.example", port: 80 }] }).levels[0]?.servers[0],
    ).to.deep.equal({ host: "a.example", port: 80, weight: 1, maxFails: 1, failTimeoutMs: 10_000 });
  });

  it("reads levels from cluster, as a list and by name, in the order written", () => {
    const level = (port: number) => ({ try: 2, servers: [{ host: "10.0.0.1", port }] });
    const ports = (cluster: unknown) =>
      parse({ cluster }).levels.map((one) => one.servers.map((server) => server.port));
    expect(ports([level(1), level(2)])).to.deep.equal([[1], [2]]);
    expect(ports({ main: level(3), backup: level(4) })).to.deep.equal([[3], [4]]);
  });

  it("reads a service with its health and its tries", () => {
    const document = parse({
      service: "v2.thumb.service.dc2.consul",
      max_fails: 0,
      fail_timeout: 0.5,
      try: 3,
    });
    expect(document).to.deep.equal({
      levels: [],
      service: "v2.thumb.service.dc2.consul",
      maxFails: 0,
      failTimeoutMs: 500,
      tries: 3,
    });
  });

  it("reads numbers in quotes where Slardar does", () => {
    const document = parse({ servers: [{ host: "::1", port: "8001" }], try: "2" });
    expect(document.levels[0]?.servers[0]?.port).to.equal(8001);
    expect(document.tries).to.equal(2);
  });

  it("reads after what another server is asked", () => {
    const servers = [{ host: "10.0.0.1", port: 80 }];
    const retries = (...words: readonly string[]) =>
      parse({ servers, next_upstream: words }).retries;
    expect(retries("error", "timeout")).to.deep.equal({ nonIdempotent: false, statuses: [] });
    expect(retries("http_503", "non_idempotent")).to.deep.equal({
      nonIdempotent: true,
      statuses: [503],
    });
    expect(() => retries("http_200")).to.throw("next_upstream");
  });

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
      [{ tls: true, check: { type: "http" } }, "check.type: http is asked in clear"],
      [{ protocol: "h2", check: { type: "grpc" } }, "check.type: grpc is asked in clear"],
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

  it("lets datacenters take the place of a service's own, and of no list of servers", () => {
    const failover = ["dc2", "dc-3"];
    expect(parse({ service: "thumb", failover }).failover).to.deep.equal(failover);
    const servers = [{ host: "10.0.0.1", port: 80 }];
    expect(() => parse({ servers, failover })).to.throw("failover: goes with service");
    for (const wrong of ["dc2", [], ["DC 2"], ["a.b"], [2]])
      expect(() => parse({ service: "thumb", failover: wrong }), String(wrong)).to.throw(
        "failover",
      );
  });

  it("names every field that it accepts and nothing comes of", () => {
    const fields = (value: unknown) => parse(value).ignored?.map(({ field }) => field) ?? [];
    const servers = [{ host: "10.0.0.1", port: 80, down: false }];
    const others = Object.keys(upstreamSchema.shape).filter(
      (field) =>
        ![
          ...["servers", "cluster", "service", "failover", "hash_by", "queue", "queue_timeout"],
        ].includes(field),
    );
    const used = [
      "try",
      "try_timeout",
      "timeout",
      "connect_timeout",
      "send_timeout",
      "read_timeout",
      "next_upstream",
      "policy",
      "protocol",
      "tls",
      "mode",
      "enable",
      "typ",
      "http_opts",
      "check",
      "outliers",
      "protected",
      "slow_start",
      "host",
      "max_conns",
      "max_requests",
      "breaker",
      "retry_budget",
    ];
    const values: Record<string, unknown> = {
      typ: "http",
      host: "peer",
      mode: "hash",
      policy: "random",
      protocol: "h2c",
      next_upstream: ["http_503"],
      http_opts: {},
      check: {},
      outliers: {},
      breaker: {},
      retry_budget: false,
    };
    const flags = new Set(["enable", "protected", "tls"]);
    for (const field of others) {
      const value = values[field] ?? (flags.has(field) ? true : 1);
      const expected = used.includes(field) ? [] : [field];
      expect(fields({ servers, [field]: value }), field).to.deep.equal(expected);
    }
    expect(
      fields({ servers, typ: "http", sensibility: 2, checkup_timer_interval: 3 }),
    ).to.deep.equal([]);
    expect(fields({ servers, enable: false, typ: "http" })).to.deep.equal(["typ"]);
    expect(fields({ servers, typ: "ping" })).to.deep.equal(["typ"]);
    expect(fields({ servers, typ: "redis", http_opts: {} })).to.deep.equal(["http_opts"]);
    expect(fields({ service: "a", typ: "http", enable: true })).to.deep.equal(["typ", "enable"]);
    expect(fields({ servers, read_timeout: 0 })).to.deep.equal(["read_timeout"]);
    expect(fields({ service: "a", max_fails: 2, fail_timeout: 3 })).to.deep.equal([]);
    expect(fields({ cluster: [{ servers, try: 2, keepalive: 1 }] })).to.deep.equal([
      "cluster[0].try",
      "cluster[0].keepalive",
    ]);
    expect(fields({ cluster: { main: { servers, try: 2 } } })).to.deep.equal([
      'cluster["main"].try',
    ]);
  });

  it("reads how servers are picked, in its own words and in Slardar's", () => {
    const servers = [{ host: "10.0.0.1", port: 80 }];
    const choice = (fields: object) => {
      const { policy, hashBy } = parse({ servers, ...fields });
      return [policy, hashBy];
    };
    expect(choice({})).to.deep.equal([undefined, undefined]);
    expect(choice({ policy: "least_conn" })).to.deep.equal(["least_conn", undefined]);
    expect(choice({ policy: "hash" })).to.deep.equal(["hash", "uri"]);
    const by = [{ header: "X-User" }, { cookie: "Sid" }, { path_segment: 2 }, "host"];
    expect(by.map((one) => choice({ policy: "hash", hash_by: one })[1])).to.deep.equal([
      { header: "x-user" },
      { cookie: "Sid" },
      { pathSegment: 2 },
      "host",
    ]);
    expect(choice({ mode: "hash" })).to.deep.equal(["hash", "uri"]);
    expect(choice({ mode: "url_hash" })).to.deep.equal(["hash", "uri"]);
    expect(choice({ mode: "ip_hash" })).to.deep.equal(["hash", "client"]);
    const refused = [
      { policy: "fastest" },
      { policy: "wrr", mode: "hash" },
      { policy: "wrr", hash_by: "uri" },
      { hash_by: "uri" },
      { policy: "hash", hash_by: { header: "a b" } },
      { policy: "hash", hash_by: "cookie" },
    ];
    for (const fields of refused)
      expect(() => choice(fields), JSON.stringify(fields)).to.throw(DocumentError);
  });

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

  it("accepts the fields of Slardar that are not used", () => {
    const document = parse({
      servers: [{ host: "10.0.0.1", port: 80 }],
      typ: "http",
      timeout: 2,
      protected: false,
      heartbeat: "http",
      http_opts: { query: "GET / HTTP/1.0\r\n\r\n", statuses: { 502: false } },
      keepalive: 10,
      mode: "hash",
      ups_max_fails: 3,
      sensibility: 2,
    });
    expect(document.levels).to.have.length(1);
  });

  it("names the key, the field and what is wrong", () => {
    const ok = { host: "10.0.0.1", port: 80 };
    const cases: readonly (readonly [unknown, string])[] = [
      [{ servers: [ok, { ...ok, port: 70_000 }] }, "servers[1].port: 70000 is above 65535"],
      [{ servers: [{ ...ok, port: 0 }] }, "servers[0].port: 0 is below 1"],
      [{ servers: [{ ...ok, port: "70000" }] }, "servers[0].port: 70000 is above 65535"],
      [{ servers: [{ ...ok, port: "http" }] }, 'servers[0].port: "http" is not a number'],
      [{ servers: [{ ...ok, port: null }] }, "servers[0].port: null is not a port"],
      [{ servers: [{ ...ok, port: 80.5 }] }, "servers[0].port: 80.5 is not a port"],
      [{ servers: [{ port: 80 }] }, "servers[0].host: is missing"],
      [{ servers: [{ host: "10.0.0.1" }] }, "servers[0].port: is missing"],
      [
        { servers: [{ ...ok, host: "10.0.0.256" }] },
        'servers[0].host: "10.0.0.256" is not an IP address or a host name',
      ],
      [
        { servers: [{ ...ok, host: "a\r\nb" }] },
        'servers[0].host: "a\\r\\nb" is not an IP address or a host name',
      ],
      [{ servers: [{ ...ok, weight: 1.5 }] }, "servers[0].weight: 1.5 is not a whole number"],
      [{ servers: [{ ...ok, weight: 1001 }] }, "servers[0].weight: 1001 is above 1000"],
      [{ servers: [{ ...ok, max_fails: "1" }] }, 'servers[0].max_fails: "1" is not a number'],
      [{ servers: [{ ...ok, fail_timeout: -1 }] }, "servers[0].fail_timeout: -1 is below 0"],
      [{ servers: [{ ...ok, wieght: 1 }] }, 'servers[0]: unknown field "wieght"'],
      [{ servers: [ok], extra: 1, more: 2 }, 'unknown fields "extra", "more"'],
      [{ servers: [] }, "servers: is empty"],
      [{ servers: {} }, "servers: {} is not a list"],
      [{ cluster: [] }, "cluster: is empty"],
      [{ cluster: {} }, "cluster: is empty"],
      [{ cluster: 5 }, "cluster: 5 is not a list of levels"],
      [{ cluster: [{ servers: [ok] }, {}] }, "cluster[1].servers: is missing"],
      [
        { cluster: [{ servers: [{ ...ok, port: 70_000 }] }] },
        "cluster[0].servers[0].port: 70000 is above 65535",
      ],
      [
        { cluster: { a: { servers: [{ ...ok, port: "0" }] } } },
        'cluster["a"].servers[0].port: 0 is below 1',
      ],
      [{ enable: "yes", servers: [ok] }, 'enable: "yes" is not true or false'],
      [{ enable: true }, "has none of servers, cluster, service"],
      [
        { servers: [ok], service: "thumb" },
        "has servers and service; only one of servers, cluster, service can be",
      ],
      [
        { service: "thumb.example.com" },
        'service: "thumb.example.com" is not a service: thumb, [tag.]thumb.service[.dc].consul',
      ],
      [{ service: "thumb", try: 0 }, "try: 0 is below 1"],
      [[], "[] is not an object"],
      [null, "null is not an object"],
    ];
    for (const [value, problem] of cases) expect(refused(value)).to.equal(`${key}: ${problem}`);
  });

  it("lists every field that is wrong, ten of them and how many more", () => {
    const bad = { host: "10.0.0.1", port: 0, weight: 0 };
    const first = "servers[0].port: 0 is below 1; servers[0].weight: 0 is below 1";
    expect(refused({ servers: [bad], mdoe: "x" })).to.equal(
      `${key}: ${first}; unknown field "mdoe"`,
    );
    expect(refused({ cluster: [{ servers: [bad] }] })).to.equal(
      `${key}: ${first.replaceAll("servers", "cluster[0].servers")}`,
    );
    expect(refused({ servers: [{ host: "a", port: "0" }], service: "b", try: "101" })).to.equal(
      `${key}: has servers and service; only one of servers, cluster, service can be; servers[0].port: 0 is below 1; try: 101 is above 100`,
    );
    const many = refused({ servers: Array.from({ length: 1_000 }, () => bad) });
    expect(many.split("; ")).to.have.length(11);
    expect(many).to.match(/; and 1990 more$/);
  });

  it("is refused with line and column when it is not JSON", () => {
    const error = refusal('{\n  "servers": [\n    {"host": "a" "port": 1}\n  ]\n}');
    expect(error.code).to.equal("bad_json");
    expect(error.key).to.equal(key);
    expect(error.message).to.equal(
      `${key}: is not JSON at line 3, column 18: found "\\"" where "," or "}" is expected`,
    );
  });

  it("is refused above 512 KiB, counted in bytes", () => {
    const document = JSON.stringify({ servers: [{ host: "10.0.0.1", port: 80 }], typ: "é" });
    const fill = 512 * 1024 - Buffer.byteLength(document);
    expect(parseUpstreamDocument(key, document + " ".repeat(fill)).levels).to.have.length(1);
    const error = refusal(document + " ".repeat(fill + 1));
    expect(error.code).to.equal("too_large");
    expect(error.message).to.equal(`${key}: 524289 bytes are above 524288`);
  });
});
