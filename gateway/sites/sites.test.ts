/**
 * Which names reach a service: what a listener exposes, and how every spelling of a service's name is the same site.
 */
import { expect } from "chai";
import { PeerBook, type Upstream } from "../balancing/index.ts";
import type { Exposure, Instance, Served, Server } from "../model/index.ts";
import { tablesFrom } from "../primary/state.ts";
import { request, undecided } from "./fixtures/requests.ts";
import { Router } from "./router.ts";

const first = { tries: 0, tried: () => false };
const dc1: Served = { kind: "datacenter", key: "dc1", value: { own: true, catalog: true } };
const dc2 = (catalog: boolean): Served => ({
  kind: "datacenter",
  key: "dc2",
  value: { own: false, catalog },
});

function instance(address: string, ...tags: readonly string[]): Instance {
  return { id: address, address, port: 80, weight: 1, tags };
}

const catalog = (key: string, ...value: readonly string[]): Served => ({
  kind: "catalog",
  key,
  value,
});

/** A service in the catalog, with the tags of its instances. */
function service(key: string, ...instances: readonly Instance[]): readonly Served[] {
  const tags = [...new Set(instances.flatMap((one) => one.tags))];
  return [catalog(key, ...tags), { kind: "service", key, value: instances }];
}

function host(key: string, upstream: string): Served {
  const paths = [{ prefix: "/", shares: [{ upstream, weight: 1 }] }];
  return { kind: "host", key, value: { enable: true, paths } };
}

function upstream(key: string, meant: { service: string } | { address: string }): Served {
  const policy = { maxFails: 1, failTimeoutMs: 10_000 };
  const servers: readonly Server[] =
    "address" in meant ? [{ host: meant.address, port: 80, weight: 1, ...policy }] : [];
  const named = "service" in meant ? meant.service : null;
  const levels = [{ servers }];
  return { kind: "upstream", key, value: { levels, service: named, ...policy, tries: null } };
}

function build(...changes: readonly (Served | readonly Served[])[]): Router {
  const book = new PeerBook({ onRetired: () => {} });
  return Router.build(tablesFrom(changes.flat()), book, { random: () => 0, now: () => 0 });
}

function addresses(found: Upstream | null): readonly string[] {
  const picks = Array.from(
    { length: found?.size ?? 0 },
    () => found?.pick(first, 0)?.peer.host ?? "-",
  );
  return [...new Set(picks)].sort();
}

const at = (router: Router, name: string, exposes: Exposure = "all") =>
  addresses(router.resolve(router.site(name), request(name, "/"), exposes, undecided()));

describe("what a listener exposes", () => {
  const everything = () =>
    build(
      dc1,
      service("plain", instance("p")),
      service("asked", instance("a", "sluice")),
      service("enabled", instance("e", "sluice.enable=true")),
      service("fabio", instance("f", "urlprefix-shop.example/cart")),
      service("off", instance("o", "sluice", "sluice.enable=false")),
      service("consul", instance("c", "sluice")),
      host("shop.example", "plain"),
      host("consul.example", "consul"),
      host("off.example", "off"),
      upstream("own", { service: "plain" }),
    );
  const reached: Readonly<Record<Exposure, readonly string[]>> = {
    documents: [],
    tagged: ["asked", "enabled", "fabio"],
    all: ["plain", "asked", "enabled", "fabio"],
  };

  for (const exposes of ["documents", "tagged", "all"] as const) {
    it(`${exposes}: services by name, in every spelling, and what documents name`, () => {
      const router = everything();
      for (const name of ["plain", "asked", "enabled", "fabio", "off", "consul"]) {
        const spellings = [name, `${name}.service.consul`, `${name}.service.dc1.consul`];
        for (const spelling of [...spellings, `_${name}._tcp.service.consul`]) {
          const isReached = reached[exposes].includes(name);
          expect(at(router, spelling, exposes).length, spelling).to.equal(isReached ? 1 : 0);
        }
      }
      expect(at(router, "shop.example", exposes)).to.deep.equal(["p"]);
      expect(at(router, "off.example", exposes)).to.deep.equal(["o"]);
      expect(at(router, "consul.example", exposes)).to.deep.equal(["c"]);
      expect(at(router, "own", exposes)).to.deep.equal(["p"]);
    });

    it(`${exposes}: what is not exposed is what does not exist`, () => {
      const router = build(dc1, catalog("hidden", "sluice.enable=false"), catalog("consul"));
      for (const name of ["hidden", "consul", "nobody"])
        for (const spelling of [name, `${name}.service.consul`, `v1.${name}.service.dc1.consul`]) {
          expect(
            router.resolve(router.site(spelling), request(spelling, "/"), exposes, undecided()),
          ).to.equal(null);
          expect(
            router.missing.unwatched(router.site(spelling), request(spelling, "/"), exposes),
            spelling,
          ).to.equal(null);
          expect(
            router.missing.explain(router.site(spelling), request(spelling, "/"), exposes),
          ).to.equal(`no such host: ${spelling}`);
        }
      expect(router.missing.hidden(router.site("hidden"), exposes)).to.equal("hidden");
      expect(router.missing.hidden(router.site("nobody"), exposes)).to.equal(null);
    });
  }

  it("says the same of a tag that only a service has which is not exposed", () => {
    const router = build(dc1, service("plain", instance("p", "v1")));
    const asked = "v9.plain.service.consul";
    expect(router.missing.explain(router.site(asked), request(asked, "/"), "tagged")).to.equal(
      `no such host: ${asked}`,
    );
    expect(router.missing.explain(router.site(asked), request(asked, "/"), "all")).to.equal(
      "service plain has no tag v9",
    );
  });

  it("follows the tags that the catalog has now", () => {
    const book = new PeerBook({ onRetired: () => {} });
    const options = { random: () => 0, now: () => 0 };
    const begin = [dc1, ...service("shop", instance("a"))];
    let router = Router.build(tablesFrom(begin), book, options);
    expect(at(router, "shop", "tagged")).to.deep.equal([]);
    for (const [tags, reached] of [
      [["sluice"], ["a"]],
      [["sluice", "sluice.enable=false"], []],
    ] as const) {
      const change = catalog("shop", ...tags);
      router = Router.build(tablesFrom([...begin, change]), book, options, router, [change]);
      expect(at(router, "shop", "tagged")).to.deep.equal(reached);
    }
  });

  it("lets a script steer to any service but Consul's own, unless a document names that", () => {
    const plain = [service("plain", instance("p")), service("consul", instance("c"))] as const;
    const router = build(dc1, ...plain, service("off", instance("o", "sluice.enable=false")));
    expect(addresses(router.upstream("plain"))).to.deep.equal(["p"]);
    expect(addresses(router.upstream("off.service.consul"))).to.deep.equal(["o"]);
    for (const name of ["consul", "consul.service.consul", "consul.service.dc1.consul"]) {
      expect(router.upstream(name), name).to.equal(null);
      expect(router.missing.unwatchedUpstream(name)).to.equal(null);
    }
    const named = build(dc1, ...plain, upstream("consul", { service: "consul" }));
    expect(addresses(named.upstream("consul"))).to.deep.equal(["c"]);
  });
});

describe("services of another datacenter by name", () => {
  const name = "shop.service.dc2.consul";

  it("of one that Consul does not know cost nothing", () => {
    const router = build(dc1);
    expect(router.missing.unwatched(router.site(name), request(name, "/"), "all")).to.equal(null);
    expect(router.missing.explain(router.site(name), request(name, "/"), "all")).to.equal(
      `no such host: ${name}`,
    );
  });

  it("wait for the catalog there, and then for a service that it has and that is exposed", () => {
    const unread = build(dc1, dc2(false));
    expect(unread.missing.unwatched(unread.site(name), request(name, "/"), "all")).to.equal("@dc2");
    expect(unread.missing.unwatched(unread.site(name), request(name, "/"), "tagged")).to.equal(
      "@dc2",
    );
    expect(unread.missing.unwatched(unread.site(name), request(name, "/"), "documents")).to.equal(
      null,
    );
    expect(unread.missing.unwatchedUpstream(name)).to.equal("@dc2");
    const read = build(dc1, dc2(true), catalog("shop@dc2", "v1"), catalog("cart@dc2", "sluice"));
    expect(read.missing.unwatched(read.site(name), request(name, "/"), "all")).to.equal("shop@dc2");
    expect(
      read.missing.unwatched(read.site(`v1.${name}`), request(`v1.${name}`, "/"), "all"),
    ).to.equal("shop@dc2");
    expect(read.missing.unwatched(read.site(name), request(name, "/"), "tagged")).to.equal(null);
    expect(
      read.missing.unwatched(
        read.site("cart.service.dc2.consul"),
        request("cart.service.dc2.consul", "/"),
        "tagged",
      ),
    ).to.equal("cart@dc2");
    expect(
      read.missing.unwatched(
        read.site("nobody.service.dc2.consul"),
        request("nobody.service.dc2.consul", "/"),
        "all",
      ),
    ).to.equal(null);
    expect(read.missing.explain(read.site(name), request(name, "/"), "tagged")).to.equal(
      `no such host: ${name}`,
    );
  });

  it("are sites of their own", () => {
    const router = build(
      ...[dc1, dc2(true), host("shop", "elsewhere"), upstream("elsewhere", { address: "x" })],
      service("shop@dc2", instance("z", "v1")),
    );
    expect(at(router, name)).to.deep.equal(["z"]);
    expect(at(router, `v1.${name}`)).to.deep.equal(["z"]);
    expect(at(router, "shop.service.dc1.consul")).to.deep.equal(["x"]);
  });

  it("are no names at all while it is not known which datacenter is the own one", () => {
    const router = build(service("shop", instance("a")), catalog("shop"));
    expect(at(router, "shop.service.consul")).to.deep.equal(["a"]);
    expect(
      router.missing.unwatched(
        router.site("shop.service.dc1.consul"),
        request("shop.service.dc1.consul", "/"),
        "all",
      ),
    ).to.equal(null);
  });
});

describe("the site of a service", () => {
  const shop = service("shop", instance("a", "v1"), instance("b", "V2"));
  const spellings = [
    "shop",
    "shop.service.consul",
    "shop.service.dc1.consul",
    "_shop._tcp.service.consul",
    "_shop._tcp.service.dc1.consul",
  ];
  const tagged = ["v2.shop.service.consul", "v2.shop.service.dc1.consul"];
  const all = [...spellings, ...tagged, "_shop._v2.service.consul"];

  it("has one host document for all of its names", () => {
    const router = build(dc1, shop, upstream("other", { address: "x" }), host("shop", "other"));
    for (const name of all) expect(at(router, name, "documents"), name).to.deep.equal(["x"]);
  });

  it("is switched off under all of them", () => {
    const router = build(dc1, shop, {
      kind: "host",
      key: "shop",
      value: { enable: false, paths: [] },
    });
    for (const name of all) {
      expect(router.resolve(router.site(name), request(name, "/"), "all", undecided())).to.equal(
        null,
      );
      expect(router.missing.explain(router.site(name), request(name, "/"), "all")).to.contain(
        "switched off",
      );
    }
  });

  it("has the document of a wildcard that covers one of them", () => {
    const router = build(dc1, shop, upstream("w", { address: "x" }), host("*.service.consul", "w"));
    for (const name of all) expect(at(router, name), name).to.deep.equal(["x"]);
  });

  it("has the upstream document that is named by one of them", () => {
    for (const name of ["shop", "shop.service.consul", "shop.service.dc1.consul"]) {
      const router = build(dc1, shop, upstream(name, { address: "x" }));
      for (const asked of all) expect(at(router, asked, "documents"), asked).to.deep.equal(["x"]);
    }
  });

  it("is narrowed by a tag where an upstream is this very service", () => {
    const ways: readonly (readonly Served[])[] = [
      [],
      [host("shop", "shop.service.dc1.consul")],
      [upstream("shop", { service: "shop.service.consul" })],
      [host("shop", "doc"), upstream("doc", { service: "shop" })],
    ];
    for (const way of ways) {
      const router = build(dc1, shop, way);
      for (const name of spellings) expect(at(router, name), name).to.deep.equal(["a", "b"]);
      for (const name of tagged) expect(at(router, name), name).to.deep.equal(["b"]);
      expect(
        router.resolve(
          router.site("v9.shop.service.consul"),
          request("v9.shop.service.consul", "/"),
          "all",
          undecided(),
        ),
      ).to.equal(null);
      expect(
        router.missing.explain(
          router.site("v9.shop.service.consul"),
          request("v9.shop.service.consul", "/"),
          "all",
        ),
      ).to.contain("service shop has no tag v9");
    }
  });

  it("is not narrowed where an upstream is another service, or has a tag of its own", () => {
    const cart = service("cart", instance("c", "v2"), instance("d"));
    const other = build(dc1, shop, cart, host("shop", "cart"));
    for (const name of all) expect(at(other, name), name).to.deep.equal(["c", "d"]);
    const fixed = build(dc1, shop, upstream("shop", { service: "v1.shop.service.consul" }));
    for (const name of all) expect(at(fixed, name), name).to.deep.equal(["a"]);
  });

  it("goes on under the names with the own datacenter once that is known", () => {
    const book = new PeerBook({ onRetired: () => {} });
    const options = { random: () => 0, now: () => 0 };
    const before = [...shop, upstream("u", { service: "shop.service.dc1.consul" })];
    const without = Router.build(tablesFrom(before), book, options);
    expect(at(without, "shop.service.dc1.consul")).to.deep.equal([]);
    const router = Router.build(tablesFrom([...before, dc1]), book, options, without, [dc1]);
    without.dispose(router);
    expect(at(router, "shop.service.dc1.consul")).to.deep.equal(["a", "b"]);
    expect(at(router, "u")).to.deep.equal(["a", "b"]);
  });
});
