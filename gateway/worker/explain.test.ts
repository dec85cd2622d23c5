import { expect } from "chai";
import { PeerBook } from "../balancing/index.ts";
import { parseHostDocument, parseUpstreamDocument } from "../documents/index.ts";
import { Peer } from "../engine/engine.ts";
import {
  type Datacenter,
  type ExplainedOutcome,
  type Explanation,
  emptyTables,
  type ImaginedRequest,
  type Instance,
  stickyKeyName,
} from "../model/index.ts";
import { source } from "../sandbox/fixtures/test-sandbox.ts";
import { createSandbox, type Sandbox } from "../sandbox/index.ts";
import { noPhases, type Phase, Router } from "../sites/index.ts";
import { explain } from "./explain.ts";

const untried = { tries: 0, tried: () => false };
const instance = (address: string): Instance => ({
  id: address,
  address,
  port: 80,
  weight: 1,
  tags: ["v1"],
});

describe("explain", () => {
  const sandboxes: Sandbox[] = [];
  afterEach(() => {
    for (const sandbox of sandboxes.splice(0)) sandbox.dispose();
  });

  let nowMs = 1_000;
  let phase: Phase | null = null;
  beforeEach(() => {
    nowMs = 1_000;
    phase = null;
  });

  function scene(given: {
    readonly hosts?: Readonly<Record<string, object>>;
    readonly upstreams?: Readonly<Record<string, object>>;
    readonly scripts?: Readonly<Record<string, string>>;
    readonly services?: Readonly<Record<string, readonly Instance[] | null>>;
  }) {
    const tables = emptyTables();
    const dc1: Datacenter = { own: true, catalog: true };
    tables.datacenter.set("dc1", dc1);
    tables.key.set(stickyKeyName, "a secret");
    for (const [key, value] of Object.entries(given.hosts ?? {}))
      tables.host.set(key, parseHostDocument(key, JSON.stringify(value)));
    for (const [key, value] of Object.entries(given.upstreams ?? {}))
      tables.upstream.set(key, parseUpstreamDocument(key, JSON.stringify(value)));
    for (const [key, text] of Object.entries(given.scripts ?? {}))
      tables.script.set(key, source(text));
    for (const [key, value] of Object.entries(given.services ?? {})) {
      tables.catalog.set(key, ["v1"]);
      if (value !== null) tables.service.set(key, value);
    }
    const sandbox = createSandbox({
      limits: { memoryMb: 16, callTimeoutMs: 1_000 },
      log: () => {
        throw new Error("a rehearsal is not logged");
      },
    });
    sandboxes.push(sandbox);
    sandbox.apply(tables);
    const now = () => nowMs;
    const book = new PeerBook({ onRetired: () => {} });
    const router = Router.build(tables, book, {
      ...{ random: () => 0, now, scripts: sandbox.hosts },
      phasesOf: () => ({ ...noPhases, behindScript: phase === null ? [] : [phase] }),
    });
    const ask = (authority: string, more: Partial<ImaginedRequest> = {}): Explanation => {
      const request: ImaginedRequest = {
        ...{ method: "GET", scheme: "http", authority, target: "/", headers: [] },
        ...{ clientAddress: "192.0.2.1", listener: 0 },
        ...more,
      };
      const options = { version: 7, exposes: ["tagged", "all"], limits: { maxTries: 3 } } as const;
      return explain(request, { ...options, router, now });
    };
    return { ask, router, sandbox };
  }

  const forward = (outcome: ExplainedOutcome) => {
    if (outcome.kind !== "forward") throw new Error(JSON.stringify(outcome));
    return outcome;
  };
  const server = (host: string) => ({ host, port: 80 });
  const two = { servers: [server("10.0.0.1"), server("10.0.0.2")] };

  it("names the document and the rule, and each upstream of a split with its share", () => {
    const { ask } = scene({
      hosts: {
        "*.shop.test": { paths: { "/api": { split: { a: 3, b: 1, gone: 1 } }, "/": "a" } },
      },
      upstreams: { a: two, b: two },
    });
    const { version, request, sites, outcome } = ask("x.shop.test:80", {
      target: "//api/./v1?q=1",
    });
    expect(version).to.equal(7);
    expect(request).to.deep.equal({
      ...request,
      host: "x.shop.test",
      path: "/api/v1",
      query: "q=1",
    });
    expect(sites).to.deep.equal([
      { host: "x.shop.test", document: "hosts/*.shop.test", service: null, phases: [] },
    ]);
    const { by, rule, shares } = forward(outcome);
    expect([by, rule]).to.deep.equal(["hosts/*.shop.test", "/api"]);
    expect(shares.map(({ upstream, percent }) => [upstream, percent])).to.deep.equal([
      ["a", 60],
      ["b", 20],
      ["gone", 20],
    ]);
    expect(shares[2]?.why).to.equal("upstream gone of host x.shop.test is unknown");
  });

  it("says which routes do not match and why, which side a request belongs to, and what its client stays with", () => {
    const { ask } = scene({
      hosts: {
        "a.test": {
          routes: [
            { name: "beta", match: { headers: { "x-beta": "1" } }, to: "b" },
            { match: { path: "/other", method: "POST" }, to: "b", priority: 1 },
            { match: { client_address: "10.0.0.0/8" }, to: "b" },
            {
              match: { path: "/", query: { v: "2" } },
              service: "shop",
              split: [
                { tag: "v1", share: 3, force: { cookies: { old: true } } },
                { tag: "v2", share: 1 },
              ],
              sticky: { cookie: "side", to: "side" },
              host: "peer",
            },
            { match: {}, to: "a" },
          ],
        },
      },
      upstreams: { a: two, b: two },
      services: { shop: [instance("10.0.0.7")] },
    });
    const headers = [
      ["x-beta", "2"],
      ["cookie", "old=1"],
    ] as const;
    const route = forward(ask("a.test", { target: "/?v=2", headers }).outcome);
    expect([route.by, route.rule]).to.deep.equal(["hosts/a.test", "routes[3]"]);
    expect(route.passedOver).to.deep.equal([
      { route: "routes[1]", why: "its path is /other" },
      { route: "routes[0] (beta)", why: 'the header x-beta is not "1"' },
      { route: "routes[2]", why: "the client 192.0.2.1 is not in 10.0.0.0/8" },
    ]);
    expect(route.side).to.deep.equal({ name: "v1", by: "forced" });
    expect(route.sticky).to.deep.equal({
      ...{ by: "cookie side", to: "side" },
      says: "the request has none of this gateway: one is set",
    });
    const [v1, v2] = route.shares;
    expect([v1?.upstream, v1?.percent, v1?.next, v1?.host]).to.deep.equal([
      ...["v1", 100, "10.0.0.7:80", "10.0.0.7"],
    ]);
    expect([v2?.upstream, v2?.percent, v2?.next]).to.deep.equal(["v2", 0, null]);
    expect(v2?.why).to.match(/^no instance of v2\.shop/);
    expect(forward(ask("a.test").outcome).passedOver.at(-1)).to.deep.equal({
      ...{ route: "routes[3]", why: "there is no query parameter v" },
    });
  });

  it("says for each peer whether it is up and why, and which is next, and changes nothing by that", () => {
    const { ask, router } = scene({
      hosts: { "a.test": { paths: { "/": "u" } } },
      upstreams: {
        u: {
          servers: [server("10.0.0.1"), server("10.0.0.2"), { ...server("10.0.0.3"), down: true }],
          try: 5,
          read_timeout: 2,
        },
      },
    });
    const upstream = router.upstream("u");
    const next = () => forward(ask("a.test").outcome).shares[0]?.next;
    for (const expected of ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80"]) {
      expect([next(), next()]).to.deep.equal([expected, expected]);
      expect(upstream?.pick(untried, nowMs)?.peer.key).to.equal(expected);
    }
    const peer = upstream?.pick(untried, nowMs)?.peer ?? new Peer("none", 1);
    upstream?.failed(peer, nowMs);
    nowMs += 2_500;
    const [share] = forward(ask("a.test").outcome).shares;
    expect(
      share?.peers.map(({ address, state, reason }) => [address, state, reason]),
    ).to.deep.equal([
      ["10.0.0.1:80", "ok", "no failure"],
      ["10.0.0.2:80", "err", "1 failure in a row; one request may try it in 7.5 s"],
      ["10.0.0.3:80", "err", "down in its document"],
    ]);
    expect(share?.next).to.equal("10.0.0.1:80");
    expect(share?.limits).to.deep.include({
      maxTries: { value: 5, by: "upstream" },
      readTimeoutMs: { value: 2_000, by: "upstream" },
      connectTimeoutMs: { value: 3_000, by: "gateway" },
    });
    nowMs += 20_000;
    // A server lets one probing request through. Explaining that request must not use up its turn.
    expect([next(), next()]).to.deep.equal([next(), next()]);
    expect(upstream?.describe(nowMs).peers[1]?.state).to.equal("ok");
  });

  it("says what the script would do, without doing it to the script", () => {
    const text = `let calls = 0;
      export const match = { paths: ["/old"] };
      export default (request) => {
        calls += 1;
        log.info("called");
        request.path = "/new/" + calls;
        request.headers.set("x-added", "1");
        request.headers.delete("x-gone");
        request.upstream = "b";
      };`;
    const { ask, sandbox } = scene({
      hosts: { "a.test": { paths: { "/": "a" } } },
      upstreams: { a: two, b: two },
      scripts: { "a.test": text },
    });
    for (let i = 0; i < 2; i += 1) {
      const { sites, outcome } = ask("a.test", {
        target: "/old/1",
        headers: [["X-Gone", "y"]],
      });
      const [script] = sites[0]?.phases ?? [];
      expect(script?.name).to.equal("script");
      expect(script?.says[0]).to.match(/^version [0-9a-f]{12} of scripts\/a\.test runs$/);
      expect(script?.changes).to.have.members([
        "path: /old/1 -> /new/1",
        "upstream: none -> b",
        "header x-added: none -> 1",
        "header x-gone: y -> none",
      ]);
      expect(forward(outcome)).to.include({ by: "scripts/a.test", rule: null });
      expect(forward(outcome).shares[0]?.upstream).to.equal("b");
    }
    expect(ask("a.test").sites[0]?.phases[0]?.says[0]).to.contain(
      "does not run: its match leaves this request out",
    );
    expect(sandbox.reports()[0]).to.include({ calls: 0, errors: 0 });
  });

  it("says why a script fails, or what it answers", () => {
    const { ask, sandbox } = scene({
      scripts: {
        "bad.test": `export default () => { throw new Error("no luck"); };`,
        "deny.test": `export default () => redirect("https://other.test/");`,
      },
    });
    const bad = ask("bad.test");
    expect(bad.sites[0]?.phases[0]?.says[0]).to.contain("no luck");
    expect(bad.outcome).to.include({ kind: "answer", status: 500, code: "script_error" });
    const { outcome } = ask("deny.test");
    expect(outcome).to.include({ kind: "answer", status: 302, code: null });
    expect(outcome.kind === "answer" && outcome.headers).to.have.property("location");
    for (const { calls, errors } of sandbox.reports())
      expect([calls, errors]).to.deep.equal([0, 0]);
  });

  it("follows the host that a script gives the request", () => {
    const { ask } = scene({
      hosts: { "b.test": { paths: { "/": "u" } } },
      upstreams: { u: two },
      scripts: {
        "a.test": `export default (request) => { request.host = "b.test"; };`,
        "b.test": `export default () => {};`,
      },
    });
    const { sites, outcome } = ask("a.test");
    expect(sites.map(({ host, document }) => [host, document])).to.deep.equal([
      ["a.test", null],
      ["b.test", "hosts/b.test"],
    ]);
    expect(sites[0]?.phases[0]?.changes).to.deep.equal(["host: a.test -> b.test"]);
    expect(forward(outcome).by).to.equal("hosts/b.test");
  });

  it("goes by what the listener exposes, and says what a request would wait for", () => {
    const { ask } = scene({ services: { shop: [instance("10.0.0.9")], cart: null } });
    expect(ask("shop").outcome).to.include({ kind: "answer", status: 404, code: "no_route" });
    const { by, shares } = forward(ask("v1.shop.service.consul", { listener: 1 }).outcome);
    expect([by, shares[0]?.next]).to.deep.equal(["service", "10.0.0.9:80"]);
    expect(ask("cart", { listener: 1 }).outcome).to.deep.equal({
      kind: "held",
      by: "until cart is watched",
    });
  });

  it("answers as the gateway does what has no route, no upstream, or cannot be read", () => {
    const { ask } = scene({
      hosts: {
        "a.test": { paths: { "/x": "gone" } },
        "off.test": { enable: false, paths: { "/": "u" } },
      },
    });
    const answers = [
      [ask("a.test"), 404, "no_route"],
      [ask("a.test", { target: "/x/y" }), 503, "no_upstream"],
      [ask("a.test", { target: "/a%2fb" }), 400, "encoded_slash"],
      [ask("a.test", { target: "/%zz" }), 400, "bad_path"],
      [ask("off.test"), 404, "no_route"],
      [ask("nobody.test"), 404, "no_route"],
      [ask("a.test", { headers: [["X", "a\u0001"]] }), 400, "bad_header"],
      [ask("not a host"), 400, "bad_host"],
    ] as const;
    for (const [{ outcome }, status, code] of answers)
      expect(outcome).to.include({ kind: "answer", status, code });
  });

  it("shows the fields with which a phase refuses a request", () => {
    phase = {
      name: "refuses",
      onRequest: (exchange) => {
        exchange.fail(429, "too_many", "too many", { "Retry-After": "7" });
        return false;
      },
    };
    const { ask } = scene({
      hosts: { "a.test": { paths: { "/": "u" } } },
      upstreams: { u: two },
    });
    const { outcome } = ask("a.test");
    expect(outcome).to.include({ kind: "answer", status: 429, code: "too_many" });
    expect(outcome.kind === "answer" && outcome.headers).to.deep.equal({ "Retry-After": "7" });
  });

  it("asks a phase to rehearse where it can, and names the one that would hold the request", () => {
    let real = 0;
    phase = {
      name: "counts",
      onRequest: () => {
        real += 1;
        return true;
      },
      rehearse: (exchange, _context, say) => {
        say("would count");
        exchange.hold();
        return false;
      },
    };
    const { ask } = scene({ hosts: { "a.test": { paths: { "/": "u" } } }, upstreams: { u: two } });
    const { sites, outcome } = ask("a.test");
    expect(sites[0]?.phases).to.deep.equal([
      { name: "counts", says: ["would count"], changes: [] },
    ]);
    expect(outcome).to.deep.equal({ kind: "held", by: "by the phase counts" });
    expect(real).to.equal(0);
  });
});
