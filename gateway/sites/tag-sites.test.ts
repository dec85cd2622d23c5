import { expect } from "chai";
import type { Served, TagRoute } from "../model/index.ts";
import { request, undecided } from "./fixtures/requests.ts";
import { catalog, host, name, RouterScene, service, upstream } from "./fixtures/router-scene.ts";
import type { Phase } from "./phase.ts";
import type { PhasesOf } from "./site-table.ts";

const instance = (address: string, ...tags: readonly string[]) => ({
  ...{ id: address, address, port: 80, weight: 1, tags },
});

function route(
  at: string,
  services: readonly (readonly [service: string, weight: number, subset?: string])[],
  more: Partial<TagRoute> = {},
): Served {
  const slash = at.indexOf("/");
  const value: TagRoute = {
    ...{ host: at.slice(0, slash), prefix: at.slice(slash), isExact: false, priority: null },
    shares: services.map(([service, weight, subset = null]) => ({
      ...{ service, weight, subset: subset ?? null, tag: "t" },
    })),
    ...{ plugins: [], sentHost: null },
    ...more,
  };
  return { kind: "route", key: `${at}${value.isExact ? " alone" : ""}`, value };
}

describe("routes by tags", () => {
  let scene: ReturnType<RouterScene["line"]>;
  let point: number;
  const begin = (phasesOf?: PhasesOf) => {
    const random = () => point;
    const routers = new RouterScene();
    return routers.line({ random, now: () => 0, ...(phasesOf === undefined ? {} : { phasesOf }) });
  };
  beforeEach(() => {
    point = 0;
    scene = begin();
    scene.change(service("a", instance("10.0.0.1")), service("b", instance("10.0.0.2")));
  });

  /** The name of the upstream for a listener that exposes so much. */
  const found = (
    host: string,
    path: string,
    exposes: "documents" | "tagged" | "all" = "tagged",
  ) => {
    const { router } = scene;
    const site = router.site(host, exposes);
    return router.resolve(site, request(host, path), exposes, undecided())?.name ?? null;
  };

  it("hold where a listener exposes tags, and nowhere else", () => {
    scene.change(route("h.test/", [["a", 1]]));
    expect([found("h.test", "/"), found("h.test", "/", "all")]).to.deep.equal(["a", "a"]);
    expect(found("h.test", "/", "documents")).to.equal(null);
  });

  it("leave a host to its document, a wildcard's, an upstream document of its name, and a service", () => {
    scene.change(
      ...["h.test/", "x.w.test/", "u.test/", "a/", "*/"].map((at) => route(at, [["a", 1]])),
      host("h.test", { prefix: "/x", shares: [{ upstream: "b", weight: 1 }] }),
      host("*.w.test", { prefix: "/x", shares: [{ upstream: "b", weight: 1 }] }),
      upstream("u.test", {
        ...{ levels: [], service: "b", maxFails: 1, failTimeoutMs: 1, tries: null },
      }),
      catalog("b"),
    );
    expect(found("h.test", "/x")).to.equal("b");
    expect(found("h.test", "/")).to.equal(null);
    expect(found("x.w.test", "/")).to.equal(null);
    expect(found("u.test", "/")).to.equal("u.test");
    // A bare name belongs to a service only when there is such a service.
    expect([found("b", "/"), found("nobody", "/")]).to.deep.equal([null, "a"]);
    expect(found("nobody.service.consul", "/")).to.equal(null);
    expect(found("b.service.consul", "/", "tagged")).to.equal(null);
    expect(found("b.service.consul", "/", "all")).to.equal("b");
    scene.change({ kind: "host", key: "h.test", value: null });
    expect(found("h.test", "/")).to.equal("a");
  });

  it("are asked for the host, then its longest wildcard, then for every host", () => {
    scene.change(
      route("h.test/own", [["a", 1]]),
      route("*.test/own/deeper", [["b", 1]]),
      route("*.test/wild", [["b", 1]]),
      route("*/wild/deeper", [["a", 1]]),
      route("*/all", [["a", 1]]),
    );
    const ask = (host: string) =>
      ["/own/deeper", "/wild/deeper", "/all", "/none"].map((path) => found(host, path));
    expect(ask("h.test")).to.deep.equal(["a", "b", "a", null]);
    expect(ask("x.test")).to.deep.equal(["b", "b", "a", null]);
    expect(ask("other.example")).to.deep.equal([null, "a", "a", null]);
    scene.change({ kind: "route", key: "*.test/wild", value: null });
    expect(ask("h.test")).to.deep.equal(["a", "a", "a", null]);
  });

  it("are asked by their priority, else the longest first, and a path alone before what is below", () => {
    scene.change(
      route("h.test/", [["a", 1]]),
      route("h.test/x", [["b", 1]]),
      route("h.test/x/y", [["a", 1]]),
      route("h.test/x", [["a", 1]], { isExact: true }),
    );
    const ask = () => ["/", "/x", "/x/z", "/x/y"].map((path) => found("h.test", path));
    expect(ask()).to.deep.equal(["a", "a", "b", "a"]);
    scene.change(route("h.test/x", [["b", 1]], { priority: 1_000 }));
    expect(ask()).to.deep.equal(["a", "b", "b", "b"]);
    scene.change(route("h.test/x", [["b", 1]], { priority: -1 }));
    expect(ask()).to.deep.equal(["a", "a", "a", "a"]);
  });

  it("go to the instances with the tag alone, and are shared by weight", () => {
    scene.change(
      service("c", instance("10.0.0.3", "Mine"), instance("10.0.0.4")),
      route("h.test/", [
        ["c", 3, "mine"],
        ["a", 1],
      ]),
    );
    const at = (share: number) => {
      point = share;
      const site = scene.router.site("h.test", "all");
      const upstream = scene.router.resolve(site, request("h.test", "/"), "all", undecided());
      return [upstream?.name, upstream?.size];
    };
    expect(at(0.1)).to.deep.equal(["mine.c", 1]);
    expect(at(0.9)).to.deep.equal(["a", 1]);
  });

  it("reach a service as its tag says, which a document for the service outvotes", () => {
    const tls = { serverName: null, authorities: null, certificate: null, isInsecure: true };
    const share = { service: "c", tag: "t", weight: 1, subset: null };
    scene.change(
      service("c", instance("10.0.0.3")),
      route("h.test/", [], { shares: [{ ...share, transport: { tls } }] }),
      route("h.test/grpc", [], { shares: [{ ...share, transport: { protocol: "h2c" } }] }),
    );
    const resolved = (path: string) => {
      const site = scene.router.site("h.test", "all");
      return scene.router.resolve(site, request("h.test", path), "all", undecided());
    };
    expect(resolved("/")).to.deep.include({ name: "https.c", limits: { tls } });
    expect(resolved("/grpc")).to.deep.include({ name: "h2c.c", limits: { protocol: "h2c" } });
    scene.change(service("c", instance("10.0.0.3"), instance("10.0.0.4")));
    expect(resolved("/")).to.deep.include({ size: 2, limits: { tls } });
    const own = { levels: [], service: "c", maxFails: 1, failTimeoutMs: 1, tries: 2 };
    scene.change(upstream("c.service.consul", { ...own, protocol: "h2c" }));
    const { protocol } = resolved("/grpc")?.limits ?? {};
    expect([protocol, resolved("/grpc")?.limits?.maxTries]).to.deep.equal(["h2c", 2]);
    expect(resolved("/")?.limits?.protocol).to.equal("h2c");
  });

  it("keep the phases and the decision of the rule that was found for the path as it came", () => {
    const phase: Phase = { name: "cut" };
    const phasesOf = () => ({
      ...{ beforeScript: [], behindScript: [], byPath: new Map() },
      byRoute: new Map([["/x", [phase]]]),
    });
    scene = begin(phasesOf);
    scene.change(
      service("a", instance("10.0.0.1")),
      route("*/x", [["a", 1]]),
      route("h.test/y", [["a", 1]]),
    );
    const site = scene.router.site("h.test", "all");
    expect(site.phases).to.have.lengthOf(1);
    const rule = site.rules?.find(request("h.test", "/x")) ?? null;
    expect(rule?.phases).to.deep.equal([phase]);
    const changed = { ...undecided(), rule };
    expect(scene.router.resolve(site, request("h.test", "/"), "all", changed)?.name).to.equal("a");
    expect(scene.router.missing.isRouted(site, request("h.test", "/"), rule)).to.equal(true);
  });

  it("share between versions what did not change", () => {
    scene.change(route("h.test/", [["a", 1]]), route("i.test/", [["a", 1]]));
    const [before, other] = ["h.test", "i.test"].map(
      (host) => scene.router.site(host, "all").rules,
    );
    scene.change(route("i.test/", [["b", 1]]));
    expect(scene.router.site("h.test", "all").rules).to.equal(before);
    expect(scene.router.site("i.test", "all").rules).not.to.equal(other);
    scene.change(service("a", instance("10.0.0.9")));
    const site = scene.router.site("h.test", "all");
    expect(scene.router.site("h.test", "all")).to.equal(site);
    expect(name(scene.router, "nobody.test")).to.equal(null);
  });
});
