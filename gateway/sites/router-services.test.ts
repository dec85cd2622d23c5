import { expect } from "chai";
import { request, undecided } from "./fixtures/requests.ts";
import {
  addresses,
  catalog,
  document,
  first,
  fixed,
  host,
  instance,
  name,
  path,
  RouterScene,
  service,
  upstream,
} from "./fixtures/router-scene.ts";

describe("Router", () => {
  let scene: RouterScene;
  beforeEach(() => {
    scene = new RouterScene();
  });

  describe("services", () => {
    const thumb = service("thumb", instance("a", ["v1", "eu"]), instance("b", ["V2", "eu"]));

    it("knows a service by every DNS form of its name", () => {
      const router = scene.build(thumb);
      for (const form of ["thumb", "thumb.service.consul", "_thumb._tcp.service.consul"])
        expect(
          addresses(router.resolve(router.site(form), request(form, "/"), "all", undecided())),
          form,
        ).to.deep.equal(["a", "b"]);
      for (const form of ["v2.thumb.service.consul", "_thumb._v2.service.consul"])
        expect(
          addresses(router.resolve(router.site(form), request(form, "/"), "all", undecided())),
          form,
        ).to.deep.equal(["b"]);
      expect(addresses(router.upstream("eu.thumb.service.consul"))).to.deep.equal(["a", "b"]);
    });

    it("keeps the services of another datacenter apart", () => {
      const router = scene.build(thumb, service("thumb@dc2", instance("z")));
      expect(
        addresses(
          router.resolve(
            router.site("thumb.service.dc2.consul"),
            request("thumb.service.dc2.consul", "/"),
            "all",
            undecided(),
          ),
        ),
      ).to.deep.equal(["z"]);
      expect(name(router, "thumb@dc2")).to.equal(null);
    });

    it("has an upstream without peers for a service, or a tag of it, that has none healthy", () => {
      const router = scene.build(thumb, service("down"), catalog("thumb", "v1", "V3"));
      expect(
        router
          .resolve(router.site("down"), request("down", "/"), "all", undecided())
          ?.pick(first, 0),
      ).to.equal(null);
      expect(
        router
          .resolve(
            router.site("v3.thumb.service.consul"),
            request("v3.thumb.service.consul", "/"),
            "all",
            undecided(),
          )
          ?.pick(first, 0),
      ).to.equal(null);
    });

    it("does not know a tag that the service has not", () => {
      const router = scene.build(thumb, catalog("thumb", "v1"));
      expect(name(router, "v9.thumb.service.consul")).to.equal(null);
      expect(
        router.missing.unwatched(
          router.site("v9.thumb.service.consul"),
          request("v9.thumb.service.consul", "/"),
          "all",
        ),
      ).to.equal(null);
      expect(
        router.missing.explain(
          router.site("v9.thumb.service.consul"),
          request("v9.thumb.service.consul", "/"),
          "all",
        ),
      ).to.equal("service thumb has no tag v9");
    });

    it("names the service to watch only when the catalog has it", () => {
      const router = scene.build(catalog("thumb"), catalog("seen"), service("seen"));
      expect(router.missing.unwatched(router.site("thumb"), request("thumb", "/"), "all")).to.equal(
        "thumb",
      );
      expect(
        router.missing.unwatched(
          router.site("v1.thumb.service.consul"),
          request("v1.thumb.service.consul", "/"),
          "all",
        ),
      ).to.equal("thumb");
      expect(router.missing.unwatched(router.site("seen"), request("seen", "/"), "all")).to.equal(
        null,
      );
      expect(
        router.missing.unwatched(router.site("nobody"), request("nobody", "/"), "all"),
      ).to.equal(null);
      expect(
        router.missing.unwatched(
          router.site("www.example.com"),
          request("www.example.com", "/"),
          "all",
        ),
      ).to.equal(null);
      expect(router.missing.explain(router.site("nobody"), request("nobody", "/"), "all")).to.equal(
        "no such host: nobody",
      );
      expect(router.missing.explain(router.site("thumb"), request("thumb", "/"), "all")).to.equal(
        "service thumb is not watched yet",
      );
    });

    it("finds what to watch behind a host document and behind an upstream document", () => {
      const router = scene.build(
        catalog("thumb"),
        upstream("pictures", document({ service: "v1.thumb.service.consul" })),
        upstream("a", fixed("a")),
        host("h", path("/t", "thumb"), path("/p", "pictures"), path("/s", ["a", 1], ["thumb", 1])),
      );
      for (const at of ["/t", "/p", "/s"])
        expect(router.missing.unwatched(router.site("h"), request("h", at), "all"), at).to.equal(
          "thumb",
        );
      expect(router.missing.unwatched(router.site("h"), request("h", "/none"), "all")).to.equal(
        null,
      );
      expect(name(router, "h", "/p")).to.equal(null);
      expect(router.missing.unwatchedUpstream("pictures")).to.equal("thumb");
    });
  });

  describe("upstream documents", () => {
    it("uses a service's instances with the document's tag and tries", () => {
      const line = scene.line();
      line.change(upstream("pictures", document({ service: "v1.thumb.service.consul", tries: 1 })));
      const router = line.change(service("thumb", instance("a", ["v1"]), instance("b", ["v2"])));
      const found = router.resolve(
        router.site("pictures"),
        request("pictures", "/"),
        "all",
        undecided(),
      );
      expect(addresses(found)).to.deep.equal(["a"]);
      expect(found?.limits?.maxTries).to.equal(1);
    });

    it("follows its service through deltas that name the service alone", () => {
      const line = scene.line();
      line.change(
        upstream("pictures", document({ service: "thumb" })),
        service("thumb", instance("a")),
      );
      const router = line.change(service("thumb", instance("a"), instance("b")));
      expect(addresses(router.upstream("pictures"))).to.deep.equal(["a", "b"]);
      const gone = line.change({ kind: "service", key: "thumb", value: null });
      expect(gone.upstream("pictures")).to.equal(null);
      expect(scene.book.size).to.equal(0);
    });

    it("says which upstream of a host is unknown", () => {
      const router = scene.build(host("a.example.com", path("/", "cart")));
      expect(name(router, "a.example.com")).to.equal(null);
      expect(
        router.missing.explain(router.site("a.example.com"), request("a.example.com", "/"), "all"),
      ).to.equal("upstream cart of host a.example.com is unknown");
    });

    it("says which service an upstream without peers lacks, when there is none", () => {
      const router = scene.build(
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
      const router = scene.build(
        host("a", path("/x", "cart")),
        upstream("pictures", document({ service: "thumb" })),
      );
      expect(router.missing.isRouted(router.site("a"), request("a", "/x/y"))).to.equal(true);
      expect(router.missing.isRouted(router.site("pictures"), request("pictures", "/"))).to.equal(
        true,
      );
      expect(router.missing.isRouted(router.site("a"), request("a", "/y"))).to.equal(false);
      expect(router.missing.isRouted(router.site("nobody"), request("nobody", "/"))).to.equal(
        false,
      );
    });
  });
});
