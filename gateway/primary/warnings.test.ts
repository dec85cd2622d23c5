import { expect } from "chai";
import { parseHostDocument, parseUpstreamDocument } from "../documents/index.ts";
import type { Served } from "../model/index.ts";
import { emptyTables } from "../model/index.ts";
import { ManualClock } from "./fixtures/clock.ts";
import { Warnings } from "./warnings.ts";

function scene(settings: readonly { key: string; warning: string }[] = []) {
  const clock = new ManualClock();
  const tables = emptyTables();
  const lines: string[] = [];
  const say = (level: string) => (_: object, text: string) => lines.push(`${level} ${text}`);
  const log = {
    trace: say("trace"),
    debug: say("debug"),
    info: say("info"),
    warn: say("warn"),
    error: say("error"),
    fatal: say("fatal"),
  };
  const leftOut = () => [];
  const parts = { tables: () => tables, prefix: "p/", settings, leftOut, clock, log };
  const warnings = new Warnings(parts);
  const texts = () => warnings.list().map(({ key, warning }) => `${key}: ${warning}`);
  return {
    clock,
    lines,
    warnings,
    texts,
    upstream(name: string, document: object): void {
      const value = parseUpstreamDocument(name, JSON.stringify(document));
      tables.upstream.set(name, value);
      warnings.changed([{ kind: "upstream", key: name, value }]);
    },
    host(name: string, paths: object, enable = true): void {
      const value = parseHostDocument(name, JSON.stringify({ enable, paths }));
      tables.host.set(name, value);
      warnings.changed([{ kind: "host", key: name, value }]);
    },
    catalog(name: string, tags: readonly string[] | null): void {
      if (tags === null) tables.catalog.delete(name);
      else tables.catalog.set(name, tags);
      const change: Served = { kind: "catalog", key: name, value: tags };
      warnings.changed([change]);
    },
  };
}

const servers = [{ host: "10.0.0.1", port: 80 }];

describe("warnings", () => {
  it("name every field without effect by key, once each, with since when", () => {
    const { upstream, texts, warnings, clock } = scene();
    upstream("api", { servers, keepalive: 10, heartbeat: true });
    expect(texts()).to.deep.equal([
      "p/upstreams/api: heartbeat: is a function in Lua: check, or typ, says how servers are checked",
      "p/upstreams/api: keepalive: is --max-idle-per-peer and --peer-idle-timeout here, for all upstreams alike",
    ]);
    const [first] = warnings.list();
    clock.advance(5_000);
    upstream("api", { servers, heartbeat: true });
    expect(warnings.list()).to.deep.equal([first]);
  });

  it("have those of settings, which hold whatever the documents say", () => {
    const { warnings, texts, upstream } = scene([{ key: "--x", warning: "has no effect" }]);
    warnings.update();
    upstream("api", { servers });
    expect(texts()).to.deep.equal(["--x: has no effect"]);
  });

  it("follow what a host names as documents and services come and go", () => {
    const { host, upstream, catalog, texts } = scene();
    host("shop", {
      "/": "web",
      "/a": { split: { cart: 1, web: 1 } },
      "/b": "v2.web.service.consul",
    });
    expect(texts()).to.deep.equal([
      'p/hosts/shop: paths["/a"]: there is no upstream document "cart", and the catalog has no service cart',
      'p/hosts/shop: paths["/a"]: there is no upstream document "web", and the catalog has no service web',
      'p/hosts/shop: paths["/b"]: there is no upstream document "v2.web.service.consul", and the catalog has no service web',
    ]);
    catalog("web", ["v1"]);
    upstream("cart", { servers });
    expect(texts()).to.deep.equal([
      'p/hosts/shop: paths["/b"]: there is no upstream document "v2.web.service.consul", and service web has no tag v2',
    ]);
    catalog("web", ["V2"]);
    expect(texts()).to.deep.equal([]);
    catalog("web", null);
    expect(texts()).to.have.length(2);
  });

  it("say nothing of other datacenters, and of hosts that are switched off", () => {
    const { host, upstream, texts } = scene();
    host("off", { "/": "nobody" }, false);
    host("far", { "/": "web.service.dc9.consul" });
    upstream("far", { service: "web.service.dc9.consul" });
    expect(texts()).to.deep.equal([]);
    upstream("near", { service: "web" });
    expect(texts()).to.deep.equal(["p/upstreams/near: service: the catalog has no service web"]);
  });

  it("are logged in bounded number, however many come and go at once", () => {
    const { host, catalog, texts, lines } = scene();
    for (let n = 0; n < 1_000; n += 1) host(`h${n}`, { "/": "web" });
    expect(texts()).to.have.length(1_000);
    expect(lines).to.have.length(51);
    expect(lines.at(-1)).to.equal("warn 950 more warnings in /status");
    catalog("web", []);
    expect(texts()).to.have.length(0);
    expect(lines).to.have.length(102);
  });

  it("are logged once when they come and once when they go, soon, without anybody asking", () => {
    const { host, catalog, upstream, lines, clock } = scene();
    host("shop", { "/": "web" });
    upstream("api", { servers, heartbeat: "http" });
    expect(lines).to.deep.equal([]);
    clock.advance(1_000);
    expect(lines.map((line) => line.split(":")[0])).to.deep.equal([
      "warn p/upstreams/api",
      "warn p/hosts/shop",
    ]);
    catalog("web", []);
    clock.advance(1_000);
    expect(lines.at(-1)).to.match(/^info p\/hosts\/shop: no longer: /);
    host("shop", { "/": "web", "/x": "api" });
    clock.advance(1_000);
    expect(lines).to.have.length(3);
  });
});
