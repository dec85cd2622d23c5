import { expect } from "chai";
import { parseUpstreamDocument } from "../documents/index.ts";
import { emptyTables, type Instance } from "../model/index.ts";
import { KnownPeers } from "./known-peers.ts";

function instance(address: string, ...tags: readonly string[]): Instance {
  return { id: address, address, port: 80, weight: 1, tags };
}

describe("the peers that something can be set for", () => {
  const tables = emptyTables();
  tables.datacenter.set("dc1", { own: true, catalog: true });
  tables.datacenter.set("dc2", { own: false, catalog: true });
  tables.service.set("shop", [instance("10.0.0.1", "v1"), instance("10.0.0.2", "v2")]);
  tables.service.set("shop@dc2", [instance("10.2.0.1", "v1")]);
  const document = (value: object) => parseUpstreamDocument("k", JSON.stringify(value));
  tables.upstream.set("Fixed", document({ servers: [{ host: "::1", port: 1, down: true }] }));
  tables.upstream.set("tagged", document({ service: "v1.shop.service.consul" }));
  tables.upstream.set("spared", document({ service: "shop", failover: ["dc2"] }));
  const peers = new KnownPeers(() => tables);
  const found = (name: string) => {
    const one = peers.find(name);
    return one === null ? null : [one.name, ...one.addresses];
  };

  it("are those of documents and services, however these are spelt, and of what takes their place", () => {
    expect(found("Fixed")).to.deep.equal(["Fixed", "[::1]:1"]);
    expect(found("tagged")).to.deep.equal(["tagged", "10.0.0.1:80"]);
    expect(found("spared")).to.deep.equal([
      ...["spared", "10.0.0.1:80", "10.0.0.2:80"],
      "10.2.0.1:80",
    ]);
    for (const name of ["shop", "SHOP", "shop.service.consul", "shop.service.dc1.consul"])
      expect(found(name)).to.deep.equal(["shop", "10.0.0.1:80", "10.0.0.2:80"]);
    expect(found("shop.service.dc2.consul")).to.deep.equal([
      ...["shop.service.dc2.consul", "10.2.0.1:80"],
    ]);
    for (const name of ["fixed", "nothing", "", "a b", "x.example", "__proto__"])
      expect(found(name), name).to.equal(null);
  });

  it("are listed with what is set", () => {
    const setting = { isDrained: true, weight: 3, by: "ada", since: "" };
    tables.peer.set("spared", { "10.2.0.1:80": setting });
    expect(peers.setting("spared", "10.2.0.1:80")).to.equal(setting);
    expect(peers.setting("spared", "10.0.0.1:80")).to.equal(null);
    expect(peers.byHand()).to.deep.equal([
      {
        ...{ upstream: "spared", peer: "10.2.0.1:80" },
        ...{ drained: true, weight: 3, by: "ada", since: "" },
      },
    ]);
  });
});
