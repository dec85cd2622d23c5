import { getHeapStatistics } from "node:v8";
import { expect } from "chai";
import { PeerBook, type Upstream } from "../balancing/index.ts";
import { normalisePath } from "../engine/message/path.ts";
import {
  applyChange,
  copyTables,
  emptyTables,
  type HostDocument,
  type Instance,
  type PathRule,
  type Served,
  type Tables,
  type UpstreamDocument,
} from "../model/index.ts";
import { Router } from "./router.ts";

const first = { tries: 0, tried: () => false };

function instance(address: string, tags: readonly string[] = []): Instance {
  return { id: address, address, port: 80, weight: 1, tags };
}

function document(options: Partial<UpstreamDocument> = {}): UpstreamDocument {
  return {
    levels: [],
    service: null,
    maxFails: 1,
    failTimeoutMs: 10_000,
    tries: null,
    ...options,
  };
}

function fixed(...hosts: readonly string[]): UpstreamDocument {
  const servers = hosts.map((host) => ({
    host,
    port: 80,
    weight: 1,
    maxFails: 1,
    failTimeoutMs: 10_000,
  }));
  return document({ levels: [{ servers }] });
}

function path(
  prefix: string,
  ...shares: readonly (string | readonly [string, number])[]
): PathRule {
  return {
    prefix,
    shares: shares.map((share) =>
      typeof share === "string"
        ? { upstream: share, weight: 1 }
        : { upstream: share[0], weight: share[1] },
    ),
  };
}

function rules(...paths: readonly PathRule[]) {
  return { enable: true, paths };
}

const noTables: Tables = emptyTables();

/** The tables after `changes`, as a replica makes them. */
function applied(tables: Tables, changes: readonly Served[]): Tables {
  const next = copyTables(tables);
  for (const change of changes) applyChange(next, change);
  return next;
}

describe("Router", () => {
  let retired: string[];
  let book: PeerBook;
  let point: number;

  beforeEach(() => {
    retired = [];
    book = new PeerBook({ onRetired: (peer) => retired.push(peer.host) });
    point = 0;
  });

  const options = { random: () => point, now: () => 0 };

  /** The routers of a series of deltas, as a worker holds them one after the other. */
  class Line {
    tables = noTables;
    router = Router.build(noTables, book, options, null);

    change(...changes: readonly Served[]): Router {
      return this.#swap(applied(this.tables, changes), changes);
    }

    /** The same without saying what changed, as after a snapshot. */
    replace(...changes: readonly Served[]): Router {
      return this.#swap(applied(this.tables, changes), null);
    }

    #swap(tables: Tables, changes: readonly Served[] | null): Router {
      const next = Router.build(tables, book, options, this.router, changes);
      this.router.dispose(next);
      this.tables = tables;
      this.router = next;
      return next;
    }
  }

  const build = (...changes: readonly Served[]) => new Line().change(...changes);
  const host = (key: string, ...paths: readonly PathRule[]): Served => ({
    kind: "host",
    key,
    value: rules(...paths),
  });
  const upstream = (key: string, value: UpstreamDocument | null): Served => ({
    kind: "upstream",
    key,
    value,
  });
  const service = (key: string, ...value: readonly Instance[]): Served => ({
    kind: "service",
    key,
    value,
  });
  const catalog = (key: string, ...value: readonly string[]): Served => ({
    kind: "catalog",
    key,
    value,
  });

  const name = (router: Router, host: string, at = "/") =>
    router.resolve(router.site(host), host, at, "all")?.name ?? null;

  /** Every address that the upstream gives within a round. */
  function addresses(found: Upstream | null): string[] {
    const hosts = new Set<string>();
    for (let i = 0; i < (found?.size ?? 0); i += 1)
      hosts.add(found?.pick(first, 0)?.peer.host ?? "none");
    return [...hosts].sort();
  }

  describe("hosts", () => {
    it("prefers a host's own document to a wildcard, and a longer wildcard to a shorter", () => {
      const router = build(
        upstream("own", fixed("a")),
        upstream("near", fixed("b")),
        upstream("far", fixed("c")),
        host("shop.example.com", path("/", "own")),
        host("*.shop.example.com", path("/", "near")),
        host("*.example.com", path("/", "far")),
      );
      expect(name(router, "shop.example.com")).to.equal("own");
      expect(name(router, "x.shop.example.com")).to.equal("near");
      expect(name(router, "y.x.shop.example.com")).to.equal("near");
      expect(name(router, "other.example.com")).to.equal("far");
      expect(name(router, "a.b.example.com")).to.equal("far");
    });

    it("does not take a domain for one of its own sub-domains, nor an ending for a suffix", () => {
      const router = build(upstream("u", fixed("a")), host("*.example.com", path("/", "u")));
      for (const other of ["example.com", ".example.com", "badexample.com", "example.com.evil.org"])
        expect(name(router, other), other).to.equal(null);
      expect(name(router, `${"x.".repeat(200)}example.com`)).to.equal(null);
    });

    it("falls back to an upstream document of that name, then to a service", () => {
      const router = build(
        upstream("images.example.com", fixed("a")),
        upstream("cart", fixed("b")),
        catalog("cart"),
        service("cart", instance("c")),
        service("thumb", instance("d")),
      );
      expect(
        addresses(
          router.resolve(router.site("images.example.com"), "images.example.com", "/", "all"),
        ),
      ).to.deep.equal(["a"]);
      expect(addresses(router.resolve(router.site("cart"), "cart", "/", "all"))).to.deep.equal([
        "b",
      ]);
      expect(addresses(router.resolve(router.site("thumb"), "thumb", "/", "all"))).to.deep.equal([
        "d",
      ]);
    });

    it("lets a document decide alone, also when no path of it matches", () => {
      const router = build(service("thumb", instance("d")), host("thumb", path("/x", "thumb")));
      expect(name(router, "thumb", "/")).to.equal(null);
      expect(router.missing.explain(router.site("thumb"), "thumb", "/y", "all")).to.equal(
        "host thumb has no rule for path /y",
      );
    });

    it("serves nothing for a host that is switched off, not even by a wildcard", () => {
      const router = build(upstream("u", fixed("a")), host("*.example.com", path("/", "u")), {
        kind: "host",
        key: "shop.example.com",
        value: { enable: false, paths: [path("/", "u")] },
      });
      expect(name(router, "shop.example.com")).to.equal(null);
      expect(
        router.missing.unwatched(router.site("shop.example.com"), "shop.example.com", "/", "all"),
      ).to.equal(null);
      expect(
        router.missing.explain(router.site("shop.example.com"), "shop.example.com", "/", "all"),
      ).to.equal("host shop.example.com is switched off");
    });
  });

  describe("trailers", () => {
    it("are those of the host's document, or of the wildcard's; none where there is no document", () => {
      const host = new Map<string, HostDocument>([
        ["a.test", { ...rules(path("/", "web")), trailers: ["x-sum"] }],
        ["*.b.test", { ...rules(path("/", "web")), trailers: ["x-more"] }],
        ["c.b.test", rules(path("/", "web"))],
        ["off.test", { ...rules(path("/", "web")), enable: false, trailers: ["x-sum"] }],
      ]);
      const options = { random: () => 0, now: () => 0 };
      const book = new PeerBook({ onRetired: () => {} });
      const router = Router.build({ ...noTables, host }, book, options);
      expect([...(router.site("a.test").rules?.trailers ?? [])]).to.deep.equal(["x-sum"]);
      expect([...(router.site("x.b.test").rules?.trailers ?? [])]).to.deep.equal(["x-more"]);
      expect(router.site("a.test").rules?.trailers).to.equal(router.site("a.test").rules?.trailers);
      for (const none of ["c.b.test", "off.test", "web"]) {
        expect(router.site(none).rules?.trailers ?? null, none).to.equal(null);
      }
    });
  });

  describe("paths", () => {
    const router = () =>
      build(
        upstream("root", fixed("r")),
        upstream("api", fixed("a")),
        upstream("v2", fixed("v")),
        upstream("admin", fixed("x")),
        host(
          "h",
          path("/api", "api"),
          path("/", "root"),
          path("/api/v2/", "v2"),
          path("/admin", "admin"),
        ),
      );
    const cases: readonly (readonly [string, string])[] = [
      ["/", "root"],
      ["/apix", "root"],
      ["/api", "api"],
      ["/api/", "api"],
      ["/api/v1", "api"],
      ["/api/v2", "v2"],
      ["/api/v2/x", "v2"],
      ["/api/v20", "api"],
      ["//api//v2//x", "v2"],
      ["/api/../admin", "admin"],
      ["/api/%2e%2E/admin/x", "admin"],
      ["/x/../../admin", "admin"],
      ["/admin/..", "root"],
      ["*", "root"],
    ];
    for (const [at, expected] of cases) {
      it(`sends ${at} to ${expected}`, () =>
        expect(name(router(), "h", normalisePath(at))).to.equal(expected));
    }
  });

  describe("splits", () => {
    it("shares requests by weight and gives nothing to weight 0", () => {
      const router = build(
        upstream("a", fixed("a")),
        upstream("b", fixed("b")),
        upstream("c", fixed("c")),
        host("h", path("/", ["a", 3], ["b", 0], ["c", 1])),
      );
      const counts: Record<string, number> = {};
      for (let i = 0; i < 400; i += 1) {
        point = i / 400;
        const chosen = name(router, "h") ?? "none";
        counts[chosen] = (counts[chosen] ?? 0) + 1;
      }
      expect(counts).to.deep.equal({ a: 300, c: 100 });
      point = 1 - Number.EPSILON / 2;
      expect(name(router, "h")).to.equal("c");
    });

    it("serves nothing when every weight is 0, and says so", () => {
      const router = build(upstream("a", fixed("a")), host("h", path("/x", ["a", 0])));
      expect(name(router, "h", "/x")).to.equal(null);
      expect(router.missing.explain(router.site("h"), "h", "/x", "all")).to.equal(
        "every share of path /x of host h has weight 0",
      );
    });
  });

  describe("services", () => {
    const thumb = service("thumb", instance("a", ["v1", "eu"]), instance("b", ["V2", "eu"]));

    it("knows a service by every DNS form of its name", () => {
      const router = build(thumb);
      for (const form of ["thumb", "thumb.service.consul", "_thumb._tcp.service.consul"])
        expect(addresses(router.resolve(router.site(form), form, "/", "all")), form).to.deep.equal([
          "a",
          "b",
        ]);
      for (const form of ["v2.thumb.service.consul", "_thumb._v2.service.consul"])
        expect(addresses(router.resolve(router.site(form), form, "/", "all")), form).to.deep.equal([
          "b",
        ]);
      expect(addresses(router.upstream("eu.thumb.service.consul"))).to.deep.equal(["a", "b"]);
    });

    it("keeps the services of another datacenter apart", () => {
      const router = build(thumb, service("thumb@dc2", instance("z")));
      expect(
        addresses(
          router.resolve(
            router.site("thumb.service.dc2.consul"),
            "thumb.service.dc2.consul",
            "/",
            "all",
          ),
        ),
      ).to.deep.equal(["z"]);
      expect(name(router, "thumb@dc2")).to.equal(null);
    });

    it("has an upstream without peers for a service, or a tag of it, that has none healthy", () => {
      const router = build(thumb, service("down"), catalog("thumb", "v1", "V3"));
      expect(router.resolve(router.site("down"), "down", "/", "all")?.pick(first, 0)).to.equal(
        null,
      );
      expect(
        router
          .resolve(router.site("v3.thumb.service.consul"), "v3.thumb.service.consul", "/", "all")
          ?.pick(first, 0),
      ).to.equal(null);
    });

    it("does not know a tag that the service has not", () => {
      const router = build(thumb, catalog("thumb", "v1"));
      expect(name(router, "v9.thumb.service.consul")).to.equal(null);
      expect(
        router.missing.unwatched(
          router.site("v9.thumb.service.consul"),
          "v9.thumb.service.consul",
          "/",
          "all",
        ),
      ).to.equal(null);
      expect(
        router.missing.explain(
          router.site("v9.thumb.service.consul"),
          "v9.thumb.service.consul",
          "/",
          "all",
        ),
      ).to.equal("service thumb has no tag v9");
    });

    it("names the service to watch only when the catalog has it", () => {
      const router = build(catalog("thumb"), catalog("seen"), service("seen"));
      expect(router.missing.unwatched(router.site("thumb"), "thumb", "/", "all")).to.equal("thumb");
      expect(
        router.missing.unwatched(
          router.site("v1.thumb.service.consul"),
          "v1.thumb.service.consul",
          "/",
          "all",
        ),
      ).to.equal("thumb");
      expect(router.missing.unwatched(router.site("seen"), "seen", "/", "all")).to.equal(null);
      expect(router.missing.unwatched(router.site("nobody"), "nobody", "/", "all")).to.equal(null);
      expect(
        router.missing.unwatched(router.site("www.example.com"), "www.example.com", "/", "all"),
      ).to.equal(null);
      expect(router.missing.explain(router.site("nobody"), "nobody", "/", "all")).to.equal(
        "no such host: nobody",
      );
      expect(router.missing.explain(router.site("thumb"), "thumb", "/", "all")).to.equal(
        "service thumb is not watched yet",
      );
    });

    it("finds what to watch behind a host document and behind an upstream document", () => {
      const router = build(
        catalog("thumb"),
        upstream("pictures", document({ service: "v1.thumb.service.consul" })),
        upstream("a", fixed("a")),
        host("h", path("/t", "thumb"), path("/p", "pictures"), path("/s", ["a", 1], ["thumb", 1])),
      );
      for (const at of ["/t", "/p", "/s"])
        expect(router.missing.unwatched(router.site("h"), "h", at, "all"), at).to.equal("thumb");
      expect(router.missing.unwatched(router.site("h"), "h", "/none", "all")).to.equal(null);
      expect(name(router, "h", "/p")).to.equal(null);
      expect(router.missing.unwatchedUpstream("pictures")).to.equal("thumb");
    });
  });

  describe("upstream documents", () => {
    it("uses a service's instances with the document's tag and tries", () => {
      const line = new Line();
      line.change(upstream("pictures", document({ service: "v1.thumb.service.consul", tries: 1 })));
      const router = line.change(service("thumb", instance("a", ["v1"]), instance("b", ["v2"])));
      const found = router.resolve(router.site("pictures"), "pictures", "/", "all");
      expect(addresses(found)).to.deep.equal(["a"]);
      expect(found?.limits?.maxTries).to.equal(1);
    });

    it("follows its service through deltas that name the service alone", () => {
      const line = new Line();
      line.change(
        upstream("pictures", document({ service: "thumb" })),
        service("thumb", instance("a")),
      );
      const router = line.change(service("thumb", instance("a"), instance("b")));
      expect(addresses(router.upstream("pictures"))).to.deep.equal(["a", "b"]);
      const gone = line.change({ kind: "service", key: "thumb", value: null });
      expect(gone.upstream("pictures")).to.equal(null);
      expect(book.size).to.equal(0);
    });

    it("says which upstream of a host is unknown", () => {
      const router = build(host("a.example.com", path("/", "cart")));
      expect(name(router, "a.example.com")).to.equal(null);
      expect(
        router.missing.explain(router.site("a.example.com"), "a.example.com", "/", "all"),
      ).to.equal("upstream cart of host a.example.com is unknown");
    });

    it("says which service an upstream without peers lacks, when there is none", () => {
      const router = build(
        service("kart"),
        service("thumb"),
        catalog("thumb"),
        upstream("pictures", document({ service: "v2.kart.service.consul" })),
        upstream("fixed", fixed()),
      );
      const explain = (name: string) => {
        const found = router.upstream(name);
        return found === null ? "none" : router.missing.explainEmpty(found);
      };
      expect(explain("kart")).to.equal("there is no upstream document and no service kart");
      expect(explain("pictures")).to.equal("the service kart of upstream pictures does not exist");
      expect(explain("thumb")).to.equal(null);
      expect(explain("fixed")).to.equal(null);
    });

    it("tells an upstream that is missing from a route that is", () => {
      const router = build(
        host("a", path("/x", "cart")),
        upstream("pictures", document({ service: "thumb" })),
      );
      expect(router.missing.isRouted(router.site("a"), "a", "/x/y")).to.equal(true);
      expect(router.missing.isRouted(router.site("pictures"), "pictures", "/")).to.equal(true);
      expect(router.missing.isRouted(router.site("a"), "a", "/y")).to.equal(false);
      expect(router.missing.isRouted(router.site("nobody"), "nobody", "/")).to.equal(false);
    });
  });

  describe("versions", () => {
    it("shares what a delta did not change", () => {
      const line = new Line();
      const before = line.change(
        upstream("u", fixed("a")),
        upstream("w", fixed("b")),
        service("thumb", instance("c")),
        host("h", path("/", "u")),
      );
      const kept = [before.upstream("u"), before.upstream("thumb")];
      const after = line.change(upstream("w", fixed("b", "d")));
      expect([after.upstream("u"), after.upstream("thumb")]).to.deep.equal(kept);
      expect(after.upstream("u")).to.equal(kept[0]);
      expect(after.upstream("w")).not.to.equal(before.upstream("w"));
      expect(name(after, "h")).to.equal("u");
    });

    it("leaves the router before as it was", () => {
      const line = new Line();
      const before = line.change(upstream("u", fixed("a")), host("h", path("/", "u")));
      line.change(
        upstream("u", null),
        { kind: "host", key: "h", value: null },
        service("thumb", instance("c")),
      );
      expect(name(before, "h")).to.equal("u");
      expect(before.upstream("thumb")).to.equal(null);
      expect(name(line.router, "h")).to.equal(null);
    });

    it("retires a peer when the last upstream with it is gone, and no earlier", () => {
      const line = new Line();
      line.change(upstream("u", fixed("a", "b")), service("thumb", instance("b", ["v1"])));
      line.router.upstream("v1.thumb.service.consul");
      line.change(upstream("u", fixed("a")));
      expect(retired).to.deep.equal([]);
      line.change(service("thumb"));
      expect(retired).to.deep.equal(["b"]);
      line.change(upstream("u", null));
      expect(retired).to.deep.equal(["b", "a"]);
    });

    it("retires none that a new version of its service still has, asked for by tag or not", () => {
      const line = new Line();
      line.change(service("thumb", instance("a", ["v1"]), instance("b", ["v1"])));
      const before = line.router.upstream("v1.thumb.service.consul")?.pick(first, 0)?.peer;
      line.change(service("thumb", instance("a", ["v1"]), instance("c", ["v1"])));
      expect(retired).to.deep.equal(["b"]);
      const after = line.router.upstream("v1.thumb.service.consul");
      expect(addresses(after)).to.deep.equal(["a", "c"]);
      expect(before?.host).to.equal("a");
      expect(before?.retired).to.equal(false);
    });

    it("goes on with the round of a tag when its service changes", () => {
      const line = new Line();
      const tag = "v1.thumb.service.consul";
      const two = [instance("a", ["v1"]), instance("b", ["v1"])];
      line.change(service("thumb", ...two));
      const hosts: (string | undefined)[] = [];
      for (let i = 0; i < 4; i += 1) {
        hosts.push(line.router.upstream(tag)?.pick(first, 0)?.peer.host);
        line.change(service("thumb", ...two, instance(`other-${i}`, ["v2"])));
      }
      expect(hosts).to.deep.equal(["a", "b", "a", "b"]);
    });

    it("comes to the same by a whole replacement as by deltas", () => {
      const steps: readonly (readonly Served[])[] = [
        [upstream("u", fixed("a", "b")), host("h", path("/", "u")), catalog("thumb")],
        [service("thumb", instance("c")), upstream("p", document({ service: "thumb" }))],
        [service("thumb", instance("c"), instance("d")), host("*.h", path("/", "p"))],
        [upstream("u", null), upstream("p", document({ service: "other" }))],
        [service("thumb", instance("d")), service("other", instance("e"))],
      ];
      const all = { upstreams: ["u", "p"], services: ["thumb", "other"] };
      const byDelta = new Line();
      const byTable = new Line();
      for (const step of steps) {
        byDelta.change(...step);
        byTable.replace(...step);
        expect(byTable.router.describe(all)).to.have.deep.members([
          ...byDelta.router.describe(all),
        ]);
        for (const asked of ["h", "x.h", "thumb", "p", "other", "u"])
          expect(name(byTable.router, asked), asked).to.equal(name(byDelta.router, asked));
      }
      byDelta.router.dispose(null);
      byTable.router.dispose(null);
      expect(book.size).to.equal(0);
    });

    it("gives everything up when it is disposed of for none, or for one that is no successor", () => {
      const one = build(upstream("u", fixed("a")), service("thumb", instance("b")));
      const other = build(upstream("u", fixed("a")));
      one.dispose(other);
      expect(retired).to.deep.equal(["b"]);
      other.dispose(null);
      expect(book.size).to.equal(0);
    });
  });

  it("allocates nothing for a request whose route is known", () => {
    const router = build(
      upstream("two", fixed("a", "b")),
      service("thumb", instance("c", ["v1"]), instance("d", ["v1"])),
      host("h.example.com", path("/api", "thumb"), path("/", "two")),
      host("*.wild.example.com", path("/", "two")),
    );
    const hosts = [
      "h.example.com",
      "x.wild.example.com",
      "thumb",
      "v1.thumb.service.consul",
      "none.example.org",
    ];
    const serve = (count: number) => {
      for (let i = 0; i < count; i += 1) {
        const host = hosts[i % hosts.length] ?? "";
        router.resolve(router.site(host), host, "/api/v1/items", "all")?.pick(first, i);
      }
    };
    const batch = 100_000;
    const perRequest = Array.from({ length: 10 }, () => {
      const before = getHeapStatistics().total_allocated_bytes;
      serve(batch);
      return (getHeapStatistics().total_allocated_bytes - before) / batch;
    });
    // The first batches run before the compiler is done. The smallest object has 16 bytes.
    expect(Math.min(...perRequest)).to.be.below(3);
  });
});
