import { expect } from "chai";
import { readTraefikTags } from "./traefik.ts";
import { RuleError, readRule } from "./traefik-rule.ts";

const rule = (text: string) =>
  readRule(text).map(
    ({ host, path, isExact }) => `${host ?? "*"}${path ?? ""}${isExact ? "$" : ""}`,
  );

describe("Traefik's rules", () => {
  for (const [text, matches] of [
    ["Host(`a.example`)", ["a.example"]],
    ['Host("A.example")', ["a.example"]],
    ["Host(`a.example`, `b.example`)", ["a.example", "b.example"]],
    ["PathPrefix(`/x`)", ["*/x"]],
    ["Path(`/x`)", ["*/x$"]],
    ["Host(`a.example`) && PathPrefix(`/x`)", ["a.example/x"]],
    ["Host(`a.example`)&&(PathPrefix(`/x`)||Path(`/y`))", ["a.example/x", "a.example/y$"]],
    [
      "(Host(`a.example`) || Host(`b.example`)) && PathPrefix(`/x`)",
      ["a.example/x", "b.example/x"],
    ],
    ["Host(`a.example`) || Host(`b.example`) && Path(`/x`)", ["a.example", "b.example/x$"]],
    ["Host(`a.example`) && Host(`b.example`)", []],
    ["PathPrefix(`/x`) && PathPrefix(`/x/y`)", ["*/x/y"]],
    ["PathPrefix(`/x`) && Path(`/x/y`)", ["*/x/y$"]],
    ["Path(`/x`) && PathPrefix(`/x/y`)", []],
  ] as const)
    it(`reads ${text}`, () => {
      expect(rule(text)).to.deep.equal(matches);
    });

  for (const [text, why] of [
    ["", /is missing/],
    ["Host(`a.example`", /\) is missing/],
    ["Host()", /a value in backticks is missing/],
    ["Host(a.example)", /a value in backticks is missing|cannot be read/],
    ["Host(`a.example`) &&", /a matcher/],
    ["Host(`a.example`) Host(`b.example`)", /is not expected/],
    ["Host(`a.example`) & Path(`/x`)", /cannot be read/],
    ["!Host(`a.example`)", /! is not known/],
    ["HostRegexp(`.+`)", /HostRegexp\(\) is not known/],
    ["Host(`a.example`) && Headers(`x`, `y`)", /Headers\(\) is not known/],
    ["constructor(`x`)", /constructor\(\) is not known/],
    ["Host(`*.example`)", /is not a host/],
    ["Path(`/{id:[0-9]+}`)", /has a pattern/],
    ["Path(`x`)", /does not start with/],
    [`${"(".repeat(50)}Path(\`/\`)${")".repeat(50)}`, /too deeply/],
    [
      Array.from({ length: 200 }, (_, at) => `Host(\`h${at}.example\`)`).join(" || "),
      /more than 100/,
    ],
    [
      `(${"Path(`/a`)||".repeat(90)}Path(\`/a\`))${`&&(${"Host(`a.b`)||".repeat(90)}Host(\`a.b\`))`.repeat(3)}`,
      /more than 100/,
    ],
  ] as const)
    it(`refuses ${text.slice(0, 60)}`, () => {
      expect(() => readRule(text)).to.throw(RuleError, why);
    });
});

describe("Traefik's tags", () => {
  const base = ["traefik.enable=true", "traefik.http.routers.web.rule=Host(`a.example`)"];
  const texts = (...tags: readonly string[]) =>
    readTraefikTags([...base, ...tags]).notes.map(({ tag, text }) => `${tag}: ${text}`);

  it("make a route of each alternative of a router's rule", () => {
    const { claims, notes } = readTraefikTags([
      "Traefik.HTTP.Routers.Web.Rule=Host(`a.example`) && (PathPrefix(`/x`) || Path(`/y`))",
      "traefik.http.routers.web.priority=7",
    ]);
    expect(notes).to.deep.equal([]);
    expect(
      claims.map(({ host, path, isExact, priority }) => [host, path, isExact, priority]),
    ).to.deep.equal([
      ["a.example", "/x", false, 7],
      ["a.example", "/y", true, 7],
    ]);
    expect(claims.every(({ isForTagged }) => !isForTagged)).to.equal(true);
  });

  it("make none where the service is switched off", () => {
    expect(readTraefikTags(["traefik.enable=false", ...base.slice(1)]).claims).to.deep.equal([]);
  });

  it("name by key what has no effect, and route all the same", () => {
    for (const [tag, why] of [
      ["traefik.http.routers.web.entrypoints=web,websecure", /has no effect: a route holds/],
      ["traefik.http.routers.web.tls=true", /has no effect: which listeners have TLS/],
      ["traefik.http.routers.web.tls.certresolver=le", /has no effect/],
      ["traefik.http.services.web.loadbalancer.server.port=8080", /port that is registered/],
      ["traefik.http.services.web.loadbalancer.sticky.cookie=true", /host document with sticky/],
      ["traefik.http.services.web.loadbalancer.healthcheck.path=/up", /Consul's checks/],
      ["traefik.http.services.web.loadbalancer.strategy=p2c", /write an upstream document/],
      ["traefik.http.middlewares.zip.compress=true", null],
      ["traefik.tcp.routers.db.rule=HostSNI(`*`)", /only HTTP/],
      ["traefik.docker.network=web", /no tag that is known/],
    ] as const) {
      expect(readTraefikTags([...base, tag]).claims, tag).to.have.lengthOf(1);
      const told = texts(tag);
      if (why === null) expect(told).to.deep.equal([]);
      else {
        expect(told, tag).to.have.lengthOf(1);
        expect(told[0]).to.satisfy((text: string) => text.startsWith(tag) && why.test(text));
      }
    }
  });

  it("do what middlewares say that they know", () => {
    const { claims, notes } = readTraefikTags([
      ...base,
      "traefik.http.routers.web.middlewares=cut,put@consulcatalog,inside,zip",
      "traefik.http.middlewares.cut.stripprefix.prefixes=/api",
      "traefik.http.middlewares.put.addprefix.prefix=/v1",
      "traefik.http.middlewares.inside.ipallowlist.sourcerange=10.0.0.0/8, 192.0.2.1",
      "traefik.http.middlewares.zip.compress=true",
    ]);
    expect(claims[0]?.plugins).to.deep.equal([
      { name: "path", options: { strip: "/api" } },
      { name: "path", options: { prepend: "/v1" } },
      { name: "ipAllow", options: { addresses: ["10.0.0.0/8", "192.0.2.1"] } },
    ]);
    expect(notes.map(({ text }) => text)).to.deep.equal([
      "has no effect: write a host document for compress",
    ]);
  });

  for (const tags of [
    ["traefik.http.routers.web.middlewares=auth@file"],
    [
      "traefik.http.routers.web.middlewares=auth",
      "traefik.http.middlewares.auth.basicauth.users=x:y",
    ],
    [
      "traefik.http.routers.web.middlewares=auth",
      "traefik.http.middlewares.auth.forwardauth.address=http://auth/",
    ],
    [
      "traefik.http.routers.web.middlewares=inside",
      "traefik.http.middlewares.inside.ipallowlist.sourcerange=10.0.0.0/8",
      "traefik.http.middlewares.inside.ipallowlist.ipstrategy.depth=2",
    ],
    ["traefik.http.routers.web.service=api@internal"],
    ["traefik.http.services.web.loadbalancer.server.scheme=ftp"],
    ["traefik.http.services.web.loadbalancer.server.scheme=constructor"],
  ])
    it(`make no route where ${tags.at(-1)} would be left out`, () => {
      const { claims, notes } = readTraefikTags([...base, ...tags]);
      expect(claims).to.deep.equal([]);
      expect(notes.at(-1)?.text).to.match(/^makes no route: /);
    });

  it("say by the scheme how the service is reached", () => {
    const transportOf = (scheme: string) =>
      readTraefikTags([...base, `traefik.http.services.web.loadbalancer.server.scheme=${scheme}`])
        .claims[0]?.transport;
    expect(transportOf("http")).to.equal(null);
    expect(transportOf("h2c")).to.deep.equal({ protocol: "h2c" });
    expect(transportOf("https")?.tls).to.include({ isInsecure: false, authorities: null });
  });

  it("say which of two values holds", () => {
    const second = "traefik.http.routers.web.rule=Host(`b.example`)";
    expect(texts(second)).to.deep.equal([
      `${second}: has no effect: ${JSON.stringify(base[1])} says otherwise`,
    ]);
  });

  it("say that a router has no rule", () => {
    expect(texts("traefik.http.routers.other.priority=5")[0]).to.match(/its router has no rule/);
  });
});
