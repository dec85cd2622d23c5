import { getHeapStatistics } from "node:v8";
import { expect } from "chai";
import { PeerBook } from "../balancing/index.ts";
import { normalisePath } from "../engine/message/path.ts";
import type { HostDocument } from "../model/index.ts";
import { request, undecided } from "./fixtures/requests.ts";
import {
  addresses,
  catalog,
  first,
  fixed,
  host,
  instance,
  name,
  noTables,
  path,
  RouterScene,
  rules,
  service,
  upstream,
} from "./fixtures/router-scene.ts";
import { Router } from "./router.ts";

describe("Router", () => {
  let scene: RouterScene;
  beforeEach(() => {
    scene = new RouterScene();
  });

  describe("hosts", () => {
    it("prefers a host's own document to a wildcard, and a longer wildcard to a shorter", () => {
      const router = scene.build(
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
      const router = scene.build(upstream("u", fixed("a")), host("*.example.com", path("/", "u")));
      for (const other of ["example.com", ".example.com", "badexample.com", "example.com.evil.org"])
        expect(name(router, other), other).to.equal(null);
      expect(name(router, `${"x.".repeat(200)}example.com`)).to.equal(null);
    });

    it("falls back to an upstream document of that name, then to a service", () => {
      const router = scene.build(
        upstream("images.example.com", fixed("a")),
        upstream("cart", fixed("b")),
        catalog("cart"),
        service("cart", instance("c")),
        service("thumb", instance("d")),
      );
      expect(
        addresses(
          router.resolve(
            router.site("images.example.com"),
            request("images.example.com", "/"),
            "all",
            undecided(),
          ),
        ),
      ).to.deep.equal(["a"]);
      expect(
        addresses(router.resolve(router.site("cart"), request("cart", "/"), "all", undecided())),
      ).to.deep.equal(["b"]);
      expect(
        addresses(router.resolve(router.site("thumb"), request("thumb", "/"), "all", undecided())),
      ).to.deep.equal(["d"]);
    });

    it("lets a document decide alone, also when no path of it matches", () => {
      const router = scene.build(
        service("thumb", instance("d")),
        host("thumb", path("/x", "thumb")),
      );
      expect(name(router, "thumb", "/")).to.equal(null);
      expect(router.missing.explain(router.site("thumb"), request("thumb", "/y"), "all")).to.equal(
        "host thumb has no rule for path /y",
      );
    });

    it("serves nothing for a host that is switched off, not even by a wildcard", () => {
      const router = scene.build(upstream("u", fixed("a")), host("*.example.com", path("/", "u")), {
        kind: "host",
        key: "shop.example.com",
        value: { enable: false, paths: [path("/", "u")] },
      });
      expect(name(router, "shop.example.com")).to.equal(null);
      expect(
        router.missing.unwatched(
          router.site("shop.example.com"),
          request("shop.example.com", "/"),
          "all",
        ),
      ).to.equal(null);
      expect(
        router.missing.explain(
          router.site("shop.example.com"),
          request("shop.example.com", "/"),
          "all",
        ),
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
      scene.build(
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
      const router = scene.build(
        upstream("a", fixed("a")),
        upstream("b", fixed("b")),
        upstream("c", fixed("c")),
        host("h", path("/", ["a", 3], ["b", 0], ["c", 1])),
      );
      const counts: Record<string, number> = {};
      for (let i = 0; i < 400; i += 1) {
        scene.point = i / 400;
        const chosen = name(router, "h") ?? "none";
        counts[chosen] = (counts[chosen] ?? 0) + 1;
      }
      expect(counts).to.deep.equal({ a: 300, c: 100 });
      scene.point = 1 - Number.EPSILON / 2;
      expect(name(router, "h")).to.equal("c");
    });

    it("serves nothing when every weight is 0, and says so", () => {
      const router = scene.build(upstream("a", fixed("a")), host("h", path("/x", ["a", 0])));
      expect(name(router, "h", "/x")).to.equal(null);
      expect(router.missing.explain(router.site("h"), request("h", "/x"), "all")).to.equal(
        "every share of path /x of host h has weight 0",
      );
    });
  });

  it("allocates nothing for a request whose route is known", () => {
    const router = scene.build(
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
    const requests = hosts.map((name) => request(name, "/api/v1/items"));
    const choice = undecided();
    const serve = (count: number) => {
      for (let i = 0; i < count; i += 1) {
        const asked = requests[i % requests.length];
        if (asked !== undefined)
          router.resolve(router.site(asked.host), asked, "all", choice)?.pick(first, i);
      }
    };
    const batch = 100_000;
    const perRequest = Array.from({ length: 10 }, () => {
      const before = getHeapStatistics().total_allocated_bytes;
      serve(batch);
      return (getHeapStatistics().total_allocated_bytes - before) / batch;
    });
    // The first batches run before V8 has compiled the code. The smallest object has 16 bytes.
    expect(Math.min(...perRequest)).to.be.below(3);
  });
});
