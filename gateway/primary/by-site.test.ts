import { expect } from "chai";
import type { Served } from "../model/index.ts";
import { bySite } from "./by-site.ts";

const script = (key: string): Served => ({
  kind: "script",
  key,
  value: { text: key, version: key, modifyIndex: 1 },
});
const own: Served = { kind: "datacenter", key: "dc1", value: { own: true, catalog: true } };

describe("an earlier state by sites", () => {
  it("has each rule under its site, that of the site's own name first, and none for a tag", () => {
    const names = bySite([
      own,
      script("cart.service.dc1.consul"),
      script("shop.service.consul"),
      script("shop"),
      script("v2.shop.service.consul"),
      script("*.shop.service.dc1.consul"),
      script("shop.example"),
    ]).flatMap(({ kind, key, value }) => (kind === "script" ? [`${key} ${value?.text}`] : []));
    expect(names).to.deep.equal([
      "cart cart.service.dc1.consul",
      "shop shop",
      "*.shop.service.consul *.shop.service.dc1.consul",
      "shop.example shop.example",
    ]);
  });
});
