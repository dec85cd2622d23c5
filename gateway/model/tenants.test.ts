import { expect } from "chai";
import { loadSettings } from "../settings.ts";
import { Tenants } from "./tenants.ts";

/** Takes a policy as an operator writes it. */
async function tenantsOf(written: object): Promise<Tenants> {
  const { tenants } = await loadSettings({ tenants: JSON.stringify(written) }, {});
  if (tenants === null) throw new Error("there are no tenants");
  return new Tenants(tenants);
}

describe("tenants", () => {
  let tenants: Tenants;
  before(async () => {
    tenants = await tenantsOf({
      shop: {
        prefix: "shop-",
        hosts: ["shop.example", "*.shop.example", "cart.service.consul", "müller.example"],
        upstreams: ["cart"],
      },
      search: { prefix: "search-", hosts: ["deep.shop.example", "*.deep.shop.example"] },
      shared: { modules: ["lib/*"], settings: ["public-*"], upstreams: ["auth", "search-open"] },
    });
  });

  const ownersOf = (kind: "hosts" | "upstreams", names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, tenants.ownerOf(kind, name)]));

  it("have hosts by name, by beginning and by wildcard; the rest is the default tenant's", () => {
    expect(
      ownersOf("hosts", [
        ...["shop.example", "a.shop.example", "*.shop.example", "*.a.shop.example"],
        ...["shop-a.example", "xn--mller-kva.example"],
        ...["deep.shop.example", "a.deep.shop.example", "search-a.example"],
        ...["example", "other.example", "*.example", "shop.example.org"],
      ]),
    ).to.deep.equal({
      ...{ "shop.example": "shop", "a.shop.example": "shop", "*.shop.example": "shop" },
      ...{ "*.a.shop.example": "shop", "shop-a.example": "shop", "xn--mller-kva.example": "shop" },
      ...{ "deep.shop.example": "search", "a.deep.shop.example": "search" },
      ...{ "search-a.example": "search", example: "default", "other.example": "default" },
      ...{ "*.example": "default", "shop.example.org": "default" },
    });
  });

  it("have a service by whatever name it is asked for", () => {
    const spellings = (name: string) => [
      ...[name, `${name}.service.consul`, `${name}.service.dc1.consul`],
      ...[`v2.${name}.service.consul`, `_${name}._tcp.service.dc2.consul`],
    ];
    for (const [name, tenant] of [
      ...[["cart", "shop"] as const, ["shop-web", "shop"] as const],
      ...[["search-db", "search"] as const, ["web", "default"] as const],
    ])
      for (const kind of ["hosts", "upstreams"] as const)
        for (const spelling of spellings(name))
          expect([spelling, tenants.ownerOf(kind, spelling)]).to.deep.equal([spelling, tenant]);
  });

  it("may use their own and what is shared, and are told whose the rest is", () => {
    expect(tenants.refusal("shop", "upstreams", "cart")).to.equal(null);
    expect(tenants.refusal("shop", "upstreams", "v2.cart.service.consul")).to.equal(null);
    expect(tenants.refusal("shop", "upstreams", "auth")).to.equal(null);
    expect(tenants.refusal("shop", "upstreams", "search-open")).to.equal(null);
    expect(tenants.refusal("default", "modules", "lib/users")).to.equal(null);
    expect(tenants.refusal("shop", "upstreams", "search-db.service.consul")).to.equal(
      'the upstream "search-db.service.consul" belongs to the tenant search and is not shared with the tenant shop',
    );
    expect(tenants.refusal("shop", "upstreams", "web")).to.contain("belongs to the tenant default");
    expect(tenants.refusal("default", "hosts", "shop.example")).to.contain("the tenant shop");
    expect(tenants.refusal("search", "modules", "shop-users")).to.contain("the tenant shop");
  });

  it("do not reach a document of another one that is named as their own service is", () => {
    const name = "search-x.shop-web.service.consul";
    expect(tenants.ownerOf("upstreams", name)).to.equal("shop");
    expect(tenants.refusal("shop", "upstreams", name)).to.contain("the tenant search");
  });

  it("have sources by their keys; a module is examined in a script of its own", () => {
    expect(tenants.ofSource("scripts/shop.example")).to.equal("shop");
    expect(tenants.ofSource("modules/search-users")).to.equal("search");
    expect(tenants.ofSource("scripts/modules/search-users")).to.equal("search");
    expect(tenants.ofSource("modules/lib/users")).to.equal("default");
  });

  it("see their own settings and the shared ones", () => {
    const settings = new Map([
      ...(["shop-a", "search-b", "public-c", "d"] as const).map((name) => [name, 1] as const),
    ]);
    const seen = (tenant: string) => [...tenants.settingsOf(tenant, settings).keys()];
    expect(seen("shop")).to.deep.equal(["shop-a", "public-c"]);
    expect(seen("search")).to.deep.equal(["search-b", "public-c"]);
    expect(seen("default")).to.deep.equal(["public-c", "d"]);
  });

  it("are refused when two have one name, when a name is none, and when a field is unknown", async () => {
    const errorOf = (written: unknown) =>
      loadSettings({ tenants: written }, {}).then(
        () => "",
        (error: unknown) => (error instanceof Error ? error.message : ""),
      );
    for (const [written, error] of [
      [{ a: { prefix: "x-" }, b: { prefix: "x-y-" } }, /b\.hosts: "x-y-\*" is part of "x-\*"/],
      [{ a: { hosts: ["a.example"] }, b: { hosts: ["A.example"] } }, /"a\.example" is part of/],
      [{ a: { upstreams: ["s.service.consul"] }, b: { upstreams: ["s"] } }, /which the tenant a/],
      [{ a: { modules: ["x*"] }, b: { modules: ["xy"] } }, /b\.modules: "xy" is part of "x\*"/],
      [{ a: { modules: ["x", "x*"] }, b: { modules: ["xy*"] } }, /"xy\*" is part of "x\*"/],
      [{ a: { hosts: ["*"] } }, /a\.hosts\[0\]: "" is not what hosts begin with/],
      [{ a: { hosts: ["http://x"] } }, /a\.hosts\[0\]: "http:\/\/x" is not a host/],
      [{ a: { prefix: "Shop" } }, /a\.prefix: "Shop" is not what hosts begin with/],
      [{ a: { settings: ["a b"] } }, /a\.settings\[0\]: "a b" is not a name/],
      [{ default: { hosts: ["a.example"] } }, /"default" has what no other tenant has/],
      [{ "a b": {} }, /"a b" is not a tenant's name/],
      [{ a: { host: ["a.example"] } }, /a: unknown field "host"/],
      [{ a: { hosts: "a.example" } }, /a\.hosts: "a\.example" is not a list/],
      [[], /is not an object/],
      ["{", /is not JSON at line 1, column 2/],
    ] as const)
      expect(await errorOf(written))
        .to.match(error)
        .and.to.match(/^--tenants: /);
    expect(await errorOf({ a: { prefix: "x-" }, b: { hosts: ["*.x-a.example"] } })).to.equal("");
  });
});
