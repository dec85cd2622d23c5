import { expect } from "chai";
import { parseHostDocument, parseUpstreamDocument } from "../documents/index.ts";
import { emptyTables, type Served, type TenantPolicy } from "../model/index.ts";
import { source } from "../sandbox/fixtures/test-sandbox.ts";
import { withoutForeign, withoutForeignImports } from "./tenancy.ts";

const none = { hosts: [], modules: [], settings: [], upstreams: [] };
const policy: TenantPolicy = {
  tenants: {
    shop: { ...none, hosts: ["shop.example"], modules: ["shop-*"], upstreams: ["shop-*"] },
  },
  shared: none,
};

describe("an earlier state under another policy", () => {
  it("loses the documents that name what is another tenant's", () => {
    const host = (key: string, upstream: string): Served => {
      const text = JSON.stringify({ paths: { "/": upstream } });
      return { kind: "host", key, value: parseHostDocument(key, text) };
    };
    const upstream = (key: string, service: string): Served => {
      const value = parseUpstreamDocument(key, JSON.stringify({ service }));
      return { kind: "upstream", key, value };
    };
    const changes = [
      host("shop.example", "shop-web"),
      host("other.example", "shop-web"),
      upstream("shop-web", "shop-a"),
      upstream("web", "shop-a.service.consul"),
    ];
    const keys = (found: readonly Served[]) => found.map(({ key }) => key);
    expect(keys(withoutForeign(changes, policy))).to.deep.equal(["shop.example", "shop-web"]);
    expect(withoutForeign(changes, null)).to.deep.equal(changes);
  });

  it("has scripts examined again that import what is another tenant's, directly or through a module", () => {
    const tables = emptyTables();
    tables.module.set("shop-a", source("export const a = 1;"));
    tables.module.set("b", source('export { a } from "modules/shop-a";'));
    const importing = (name: string) =>
      source(`import "modules/${name}"; export default () => {};`);
    tables.script.set("shop.example", importing("shop-a"));
    tables.script.set("other.example", importing("shop-a"));
    tables.script.set("another.example", importing("b"));
    tables.script.set("plain.example", source("export default () => {};"));
    const hosts = [...withoutForeignImports(tables, policy).script.keys()];
    expect(hosts).to.deep.equal(["shop.example", "plain.example"]);
    expect(withoutForeignImports(tables, null)).to.equal(tables);
  });
});
