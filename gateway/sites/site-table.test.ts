import { expect } from "chai";
import { PeerTokens } from "../balancing/index.ts";
import { type HostDocument, SiteNames } from "../model/index.ts";
import type { HostScripts } from "../sandbox/index.ts";
import { noPhases } from "./phase.ts";
import { unknownSite } from "./site.ts";
import { SiteTable } from "./site-table.ts";

const document = (upstream: string): HostDocument => ({
  enable: true,
  paths: [{ prefix: "/", shares: [{ upstream, weight: 1 }] }],
});
const script = (isForAll = true): HostScripts => ({
  host: "any.test",
  isForAll,
  script: null,
  choose: () => null,
});

/** A series of versions, each built from the one before. */
class Versions {
  names = new SiteNames("dc1");
  readonly documents = new Map<string, HostDocument>();
  readonly scripts = new Map<string, HostScripts>();
  readonly tokens = new PeerTokens("key");
  table = SiteTable.empty(this.names);

  change(
    documents: Readonly<Record<string, HostDocument | null>>,
    scripts: Readonly<Record<string, HostScripts | null>> = {},
  ): SiteTable {
    apply(this.documents, documents);
    apply(this.scripts, scripts);
    this.table = this.table.next(this.#parts(), new Set(Object.keys(documents)));
    return this.table;
  }

  /** The same version, built from nothing. */
  whole(): SiteTable {
    return SiteTable.empty(this.names).next(this.#parts(), null);
  }

  #parts() {
    const { names, documents } = this;
    const { tokens } = this;
    return { names, documents, scripts: new Map(this.scripts), phasesOf: () => noPhases, tokens };
  }
}

function apply<V>(map: Map<string, V>, changes: Readonly<Record<string, V | null>>): void {
  for (const [key, value] of Object.entries(changes))
    if (value === null) map.delete(key);
    else map.set(key, value);
}

describe("SiteTable", () => {
  let versions: Versions;
  beforeEach(() => {
    versions = new Versions();
  });

  /** What applies to a host: the upstream of its rules, and whose scripts. */
  const held = (table: SiteTable, host: string) => {
    const { rules, scripts, phases, service } = table.find(host);
    const [first] = rules?.document.paths ?? [];
    const names = scripts.map(
      (one) => [...versions.scripts].find(([, other]) => other === one)?.[0] ?? "gone",
    );
    expect(phases).to.have.lengthOf(scripts.length === 0 ? 0 : 1);
    return [first?.shares[0]?.upstream ?? null, names.join(" "), service?.tag ?? null];
  };

  it("has the rules and the script of the host, each from the longest wildcard where it has none", () => {
    const table = versions.change(
      { "a.b.test": document("own"), "*.b.test": document("near"), "*.test": document("far") },
      { "*.test": script(), "*.c.test": script(), "only.test": script() },
    );
    expect(held(table, "a.b.test")).to.deep.equal(["own", "*.test", null]);
    expect(held(table, "x.b.test")).to.deep.equal(["near", "*.test", null]);
    expect(held(table, "x.c.test")).to.deep.equal(["far", "*.c.test", null]);
    expect(held(table, "only.test")).to.deep.equal(["far", "only.test", null]);
    expect(held(table, "other.test")).to.deep.equal(["far", "*.test", null]);
    expect(table.find("other.example")).to.equal(unknownSite);
    expect(held(table, "test")).to.deep.equal([null, "", null]);
  });

  it("leaves the rest to a wildcard's script where a host has a version on trial alone", () => {
    const table = versions.change(
      {},
      { "*.test": script(), "*.a.test": script(false), "x.a.test": script(false) },
    );
    expect(held(table, "x.a.test")).to.deep.equal([null, "x.a.test *.a.test *.test", null]);
  });

  it("is one site for all spellings of a service, with the tag that one of them has", () => {
    const table = versions.change({ shop: document("x") }, { "*.service.consul": script() });
    for (const name of ["shop", "shop.service.consul", "shop.service.dc1.consul"])
      expect(held(table, name), name).to.deep.equal(["x", "*.service.consul", null]);
    expect(held(table, "v2.shop.service.consul")).to.deep.equal(["x", "*.service.consul", "v2"]);
    expect(held(table, "cart.service.consul")).to.deep.equal([null, "*.service.consul", null]);
    expect(table.find("v2.shop.service.consul")).to.equal(table.find("v2.shop.service.consul"));
  });

  it("knows no host that is longer than a name can be", () => {
    const table = versions.change({ "*.test": document("x") });
    expect(table.find(`${"a".repeat(248)}.test`).rules).not.to.equal(null);
    expect(table.find(`${"a".repeat(249)}.test`)).to.equal(unknownSite);
    expect(table.find("a".repeat(100_000))).to.equal(unknownSite);
  });

  it("shares every site that a change does not concern", () => {
    const scripts = { "s.test": script() };
    const before = versions.change({ "a.test": document("1"), "b.test": document("2") }, scripts);
    const kept = [before.find("a.test"), before.find("s.test")];
    const after = versions.change({ "b.test": document("3") });
    expect([after.find("a.test"), after.find("s.test")]).to.deep.equal(kept);
    expect(after.find("a.test")).to.equal(kept[0]);
    expect(held(before, "b.test")[0]).to.equal("2");
    expect(held(after, "b.test")[0]).to.equal("3");
    expect(versions.change({})).to.equal(after);
  });

  it("comes to the same by changes as made of nothing", () => {
    const steps: readonly Parameters<Versions["change"]>[] = [
      [{ "a.b.test": document("1"), shop: document("2") }],
      [{ "*.test": document("3") }, { "*.b.test": script(false) }],
      [
        { "*.service.consul": document("4"), shop: null },
        { "*.test": script(), shop: script() },
      ],
      [{ "*.b.test": document("5"), "a.b.test": null }, { "*.b.test": null }],
      [{ "*.test": null }, { "a.b.test": script(), "*.test": null }],
      [{ shop: document("6"), "*.service.consul": null }, { shop: null }],
    ];
    const hosts = ["a.b.test", "x.b.test", "y.test", "shop", "v1.shop.service.consul", "cart"];
    for (const [at, step] of steps.entries()) {
      const byChange = versions.change(...step);
      const whole = versions.whole();
      for (const host of hosts)
        expect(held(byChange, host), `${host} after ${at}`).to.deep.equal(held(whole, host));
    }
    versions.names = new SiteNames("dc2");
    expect(held(versions.change({}), "shop.service.dc2.consul")[0]).to.equal("6");
  });
});
