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
    const level = { servers, try: 2, try_timeout: 3, keepalive: 1 };
    expect(fields({ cluster: [level] })).to.deep.equal([
      "cluster[0].try",
      "cluster[0].try_timeout",
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
    expect(choice({ mode: "hash" })).to.deep.equal(["hash", "path"]);
    expect(choice({ mode: "url_hash" })).to.deep.equal(["hash", "path"]);
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

  it("takes the statuses that Slardar names as bad for failed requests, also without checks", () => {
    const server = { host: "10.0.0.1", port: 80, weight: 10, max_fails: 3, fail_timeout: 10 };
    const fields = {
      typ: "http",
      http_opts: {
        query: "GET / HTTP/1.0\r\n\r\n",
        statuses: { 502: false, 503: false, 200: true },
      },
      cluster: { dc1: { servers: [server] }, dc2: { servers: [{ ...server, host: "10.0.0.2" }] } },
    };
    const retries = { nonIdempotent: false, statuses: [502, 503] };
    const { retries: found, check, levels } = parse(fields);
    expect(found).to.deep.equal(retries);
    expect(check?.type).to.equal("http");
    expect(levels).to.have.length(2);
    const unchecked = parse({ ...fields, enable: false });
    expect([unchecked.retries, unchecked.check, unchecked.ignored]).to.deep.equal([
      retries,
      undefined,
      undefined,
    ]);
    expect(parse({ ...fields, next_upstream: ["http_500"] }).retries?.statuses).to.deep.equal([
      500,
    ]);
    expect(parse({ ...fields, typ: "general" }).retries).to.equal(undefined);
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
      [
        { servers: [{ ...ok, max_fails: "1" }] },
        'servers[0].max_fails: "1" is not a number: write 1, without quotes',
      ],
      [{ servers: [{ ...ok, fail_timeout: -1 }] }, "servers[0].fail_timeout: -1 is below 0"],
      [
        { servers: [{ ...ok, wieght: 1 }] },
        'servers[0]: unknown field "wieght" (did you mean "weight"?)',
      ],
      [{ servers: [ok], extra: 1, further: 2 }, 'unknown fields "extra", "further"'],
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
      `${key}: ${first}; unknown field "mdoe" (did you mean "mode"?)`,
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
