import { expect } from "chai";
import { parseChallenge } from "./challenge-document.ts";
import { DocumentError } from "./document-error.ts";
import {
  parseCertificate,
  parseHostDocument,
  parseListenerDocument,
  parsePeerSettings,
  parseUpstreamDocument,
} from "./index.ts";

describe("what is said of a document that is all wrong", () => {
  const many = (count: number, part: (at: number) => string) =>
    Array.from({ length: count }, (_, at) => part(at)).join(",");

  function problemOf(parse: () => unknown): string {
    try {
      parse();
    } catch (error) {
      if (error instanceof DocumentError) return error.problem;
      throw error;
    }
    throw new Error("nothing is wrong with it");
  }

  it("counts what it does not name, of values and of names", () => {
    const values = problemOf(() =>
      parseUpstreamDocument("u", `{"servers":[${many(1_000, String)}]}`),
    );
    expect(values).to.match(/^servers\[0\]: 0 is not an object; .*; and 990 more$/);
    const names = problemOf(() =>
      parseUpstreamDocument("u", `{"servers":[],${many(1_000, (at) => `"k${at}":1`)}}`),
    );
    expect(names).to.contain('unknown fields "k0", "k1"').and.to.contain("and 990 more");
  });

  it("is short, however long the names are", () => {
    const long = "x".repeat(400_000);
    for (const text of [
      `{"${long}":1}`,
      `{"paths":{"/${long}":1}}`,
      `{"paths":{"/..${long}/..":"u"}}`,
      `{"paths":"${long}"}`,
    ]) {
      expect(problemOf(() => parseHostDocument("h", text)).length).to.be.below(2_000);
    }
  });

  const saidOf = (parse: (key: string, text: string) => unknown, value: unknown) =>
    problemOf(() => parse("k", JSON.stringify(value)));

  it("says which field was meant, of slips and of the words of nginx and Traefik", () => {
    const server = { host: "10.0.0.1", port: 80 };
    for (const [parse, value, says] of [
      [parseHostDocument, { location: {} }, 'unknown field "location" (did you mean "paths"?)'],
      [
        parseHostDocument,
        { paths: {}, middlewares: [] },
        '"middlewares" (did you mean "plugins"?)',
      ],
      [parseUpstreamDocument, { server: [] }, '"server" (did you mean "servers"?)'],
      [
        parseUpstreamDocument,
        { servers: [server], proxy_read_timeout: 5, least_conn: true },
        '"proxy_read_timeout" (did you mean "read_timeout"?), "least_conn" (did you mean "policy"?)',
      ],
      [
        parseUpstreamDocument,
        { servers: [{ ...server, maxConns: 5 }] },
        'servers[0]: unknown field "maxConns" (did you mean "max_conns"?)',
      ],
      [
        parseUpstreamDocument,
        { servers: [server], check: { uri: "/" } },
        'check: unknown field "uri" (did you mean "path"?)',
      ],
      [parseUpstreamDocument, { servers: [server], zzz: 1 }, 'unknown field "zzz"'],
      [
        parseListenerDocument,
        { address: ":53", protocol: "udp", upstream: "dns", idleTimeout: 5 },
        'unknown field "idleTimeout" (did you mean "idle_timeout"?)',
      ],
      [
        parseListenerDocument,
        { address: ":53", protocol: "udp", upstream: "dns", send_proxy_protocol: "v1" },
        'unknown field "send_proxy_protocol" (others have it, this one does not)',
      ],
      [
        parsePeerSettings,
        { "10.0.0.1:80": { drain: true } },
        '["10.0.0.1:80"]: unknown field "drain" (did you mean "drained"?)',
      ],
    ] as const)
      expect(saidOf(parse, value)).to.contain(says);
  });

  it("speaks of the branch of a union that has the fields", () => {
    expect(saidOf(parseCertificate, { cert: "x", key: "y" }))
      .to.contain('unknown field "cert" (did you mean "chain"?)')
      .and.not.to.contain("authorities");
  });

  it("repeats nothing of what may be a private key, wherever it was put", () => {
    const keyText = "MHcCAQEEIKq0Wn3Vt2yJx8h5Zs7RfD1uLgPbE9cTmAoXkYiN6vQw";
    const armoured = `-----BEGIN EC PRIVATE KEY-----\n${keyText}`;
    const chain = "-----BEGIN CERTIFICATE-----";
    const written: readonly unknown[] = [
      keyText,
      [keyText],
      { chain, key: keyText },
      { chain, key: { pem: keyText } },
      { chain, key: armoured.split("\n") },
      { chain: keyText, key: chain },
      { chain, key: armoured, [keyText]: "" },
      { chain, key: armoured, acme: keyText },
      { type: keyText },
      { type: "tls-alpn-01", host: "a.example", chain, key: keyText },
    ];
    for (const parse of [parseCertificate, parseChallenge])
      for (const value of written) expect(saidOf(parse, value)).to.not.contain(keyText.slice(0, 9));
    expect(saidOf(parseCertificate, { chain, key: keyText })).to.equal(
      "key: its value is not a private key as PEM",
    );
  });

  it("says where a field is that another one of its name would replace, or that would be lost", () => {
    const said = (text: string) => problemOf(() => parseHostDocument("h", text));
    expect(said('{"paths":{"/":"a"},\n "paths":{"/b":"b"}}')).to.equal(
      'at line 2, column 2: a second field has the name "paths"',
    );
    expect(said('{"paths":{"/":"a","\\u002f":"b"}}')).to.contain('the name "/"');
    expect(said('{"paths":{"/":"a","__proto__":"b"}}')).to.contain('the name "__proto__"');
    const server = (host: string) => `{"host":"${host}","port":80}`;
    const two = `{"servers":[${server("10.0.0.1")},${server("10.0.0.2")}]}`;
    expect(parseUpstreamDocument("u", two).levels, "one name in two objects").to.have.lengthOf(1);
  });

  it("names the protocols that a listener may have, in its own words", () => {
    const listener = { address: ":80", upstream: "web" };
    const choices = 'one of "tcp", "udp", "tls-passthrough"';
    expect(saidOf(parseListenerDocument, { ...listener, protocol: "http" })).to.equal(
      `protocol: "http" is not ${choices}`,
    );
    expect(saidOf(parseListenerDocument, listener)).to.equal(
      `protocol: is missing: it is ${choices}`,
    );
  });

  it("says what to write instead of a duration or a number in quotes", () => {
    const upstream = { service: "web" };
    for (const [fields, says] of [
      [{ read_timeout: "1m" }, 'read_timeout: "1m" is not a number: write 60, which is in seconds'],
      [
        { retry_budget: { percent: "20%" } },
        'retry_budget.percent: "20%" is not a number: write 20, without quotes',
      ],
      [{ connect_timeout: "soon" }, 'connect_timeout: "soon" is not a number'],
    ] as const)
      expect(saidOf(parseUpstreamDocument, { ...upstream, ...fields })).to.equal(says);
    expect(saidOf(parseHostDocument, { paths: { "/": "web" }, redirect: "http" })).to.equal(
      'redirect: "http" is not "https"',
    );
  });
});
