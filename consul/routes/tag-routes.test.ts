import { expect } from "chai";
import {
  applyChange,
  emptyTables,
  type Instance,
  type Observed,
  type Served,
  type TagRoute,
} from "../../gateway/model/index.ts";
import { TagRoutes } from "./tag-routes.ts";

const catalog = (key: string, ...tags: readonly string[]): Observed => ({
  kind: "catalog",
  key,
  value: tags,
});
const gone = (key: string): Observed => ({ kind: "catalog", key, value: null });
const instances = (key: string, ...tags: readonly (readonly string[])[]): Observed => ({
  kind: "service",
  key,
  value: tags.map(
    (own, at): Instance => ({
      ...{ id: `${key}-${at}`, address: "10.0.0.1", port: 80, weight: 1, tags: own },
    }),
  ),
});

/** What was emitted, by key. */
function emitted(changes: readonly Observed[]): Record<string, TagRoute | null> {
  return Object.fromEntries(
    changes.flatMap((change) => (change.kind === "route" ? [[change.key, change.value]] : [])),
  );
}

const sharesOf = (route: TagRoute | null | undefined) =>
  route?.shares.map(({ service, weight }) => [service, weight]);

describe("TagRoutes", () => {
  it("make a route of a tag, and take it back with the service", () => {
    const routes = new TagRoutes();
    const made = emitted(routes.apply([catalog("shop", "v1", "urlprefix-shop.example/a")]));
    expect(Object.keys(made)).to.deep.equal(["shop.example/a"]);
    expect(made["shop.example/a"]).to.deep.equal({
      ...{ host: "shop.example", prefix: "/a", isExact: false, priority: null },
      ...{ plugins: [], sentHost: null },
      shares: [
        {
          service: "shop",
          tag: "urlprefix-shop.example/a",
          weight: 1,
          subset: "urlprefix-shop.example/a",
        },
      ],
    });
    expect([...routes.services()]).to.deep.equal(["shop"]);
    expect(routes.apply([catalog("shop", "v2", "urlprefix-shop.example/a")])).to.deep.equal([]);
    expect(emitted(routes.apply([gone("shop")]))).to.deep.equal({ "shop.example/a": null });
    expect([...routes.services()]).to.deep.equal([]);
  });

  it("change only the routes of the service whose tags changed", () => {
    const routes = new TagRoutes();
    const all = Array.from({ length: 2_500 }, (_, at) =>
      catalog(`service-${at}`, `urlprefix-h${at}.example/`),
    );
    expect(routes.apply(all)).to.have.lengthOf(2_500);
    const changed = routes.apply([catalog("service-7", "urlprefix-h7.example/x")]);
    expect(Object.keys(emitted(changed)).sort()).to.deep.equal(["h7.example/", "h7.example/x"]);
    expect(routes.apply([instances("service-7", ["urlprefix-h7.example/x"])])).to.deep.equal([]);
  });

  it("share a route by instances, as fabio does", () => {
    const routes = new TagRoutes();
    const tag = "urlprefix-a.example/";
    routes.apply([catalog("one", tag), catalog("two", tag)]);
    const even = emitted(
      routes.apply([instances("one", [tag], [tag], [tag]), instances("two", [tag])]),
    );
    expect(sharesOf(even["a.example/"])).to.deep.equal([
      ["one", 750_000],
      ["two", 250_000],
    ]);
    // An instance that does not carry the tag has no part.
    const fewer = emitted(routes.apply([instances("one", [tag], ["other"], ["other"])]));
    expect(sharesOf(fewer["a.example/"])).to.deep.equal([
      ["one", 500_000],
      ["two", 500_000],
    ]);
    const none = emitted(routes.apply([instances("one")]));
    expect(sharesOf(none["a.example/"])).to.deep.equal([
      ["one", 0],
      ["two", 1_000_000],
    ]);
  });

  it("give each instance the weight that its tag has, and the others what is left", () => {
    const routes = new TagRoutes();
    const [one, other] = ["urlprefix-a.example/ weight=0.05", "urlprefix-a.example/"];
    routes.apply([catalog("canary", one), catalog("usual", other)]);
    const serving = [instances("canary", [one], [one]), instances("usual", [other], [other])];
    const route = emitted(routes.apply(serving));
    expect(sharesOf(route["a.example/"])).to.deep.equal([
      ["canary", 100_000],
      ["usual", 900_000],
    ]);
  });

  it("follow the first service where others contradict it, and name those", () => {
    const routes = new TagRoutes();
    const made = emitted(
      routes.apply([
        catalog("b", "urlprefix-a.example/x strip=/x"),
        catalog("a", "urlprefix-a.example/x allow=ip:10.0.0.0/8"),
      ]),
    );
    expect(sharesOf(made["a.example/x"])).to.deep.equal([["a", 1]]);
    expect([...routes.warnings()]).to.deep.equal([
      {
        key: "services/b",
        warning:
          'tag "urlprefix-a.example/x strip=/x": makes no route: a says otherwise for the same host and path',
      },
    ]);
    routes.apply([gone("a")]);
    expect([...routes.warnings()]).to.deep.equal([]);
  });

  it("tell of no route for hosts that are names of services, services never exposed, names that are no host's", () => {
    const routes = new TagRoutes({
      foreign: (host) => (host === "foreign.example" ? "it is another tenant's" : null),
    });
    const changes = routes.apply([
      catalog("a", "urlprefix-b/"),
      catalog("c", "urlprefix-b.service.consul/"),
      catalog("d", "urlprefix-d.example/", "sluice.enable=false"),
      catalog("consul", "urlprefix-consul.example/"),
      catalog("Big Name", "urlprefix-big.example/"),
      catalog("e", "urlprefix-foreign.example/"),
      catalog("f@dc2", "urlprefix-f.example/"),
      catalog("g", `urlprefix-${"g".repeat(5_000)}/`),
    ]);
    expect(changes).to.deep.equal([]);
    const keys = Array.from(routes.warnings(), ({ key }) => key);
    expect(keys).to.deep.equal(
      ["a", "c", "d", "consul", "Big Name", "e", "g"].map((name) => `services/${name}`),
    );
  });

  it("bound what one service may ask for", () => {
    const routes = new TagRoutes();
    const many = Array.from({ length: 10_000 }, (_, at) => `urlprefix-h${at}.example/`);
    expect(routes.apply([catalog("greedy", ...many)])).to.have.lengthOf(200);
    expect([...routes.warnings()]).to.have.lengthOf(51);
    const wrong = Array.from({ length: 10_000 }, (_, at) => `urlprefix-${at} x`);
    routes.apply([catalog("greedy", ...wrong)]);
    expect([...routes.warnings()]).to.have.lengthOf(51);
  });

  it("begin from the state before, and say only what is other now", () => {
    const tables = emptyTables();
    const before = new TagRoutes();
    const known = [catalog("a", "urlprefix-a.example/"), catalog("b", "urlprefix-b.example/")];
    for (const change of [...known, ...before.apply(known)]) applyChange(tables, change as Served);
    expect(new TagRoutes({ previous: tables }).begin()).to.deep.equal([]);
    // As when another version of the program reads the same tags otherwise.
    tables.route.delete("a.example/");
    const stray = tables.route.get("b.example/");
    if (stray !== undefined) tables.route.set("stray.example/", stray);
    const again = emitted(new TagRoutes({ previous: tables }).begin());
    expect(Object.keys(again).sort()).to.deep.equal(["a.example/", "stray.example/"]);
    expect(again["stray.example/"]).to.equal(null);
  });
});
