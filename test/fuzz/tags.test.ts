/** Tags as somebody writes them who wants to do harm: from the catalog to the router of a worker. */
import { expect } from "chai";
import { TagRoutes } from "../../consul/routes/tag-routes.ts";
import { PeerBook } from "../../gateway/balancing/index.ts";
import {
  applyChange,
  emptyTables,
  type Observed,
  type Served,
  SiteNames,
} from "../../gateway/model/index.ts";
import { Router } from "../../gateway/sites/index.ts";
import { seeded } from "../support/random.ts";

const pieces = [
  ...["urlprefix-", "traefik.", "traefik.http.routers.", "x.rule=", ".priority=", "http.services."],
  ...["Host(`", "`)", "PathPrefix(`", "Path(`", "&&", "||", "!", "(", ")", "`", '"', ",", "="],
  ...["a.example", "*.example", "*", "/", "//", "/..", "/%2f", "/%00", "\\", "$path", "$" + "{DC}"],
  ...[" strip=", " prepend=", " weight=", " allow=ip:", " deny=", " host=dst", " redirect=301,"],
  ...["https://", "10.0.0.0/8", "::1", "NaN", "-1", "1e999", "0.5", "__proto__", "constructor"],
  ...["\u0000", "\r\n", "\u202e", "ä", "\ud800", "consul", ".service.consul", "localhost", ":80"],
];

describe("hostile tags", () => {
  for (const seed of [1, 2, 3, 4, 5])
    it(`make routes that are whole, or none (seed ${seed})`, () => {
      const random = seeded(seed);
      const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
      const tag = () => {
        const start = random() < 0.8 ? pick(["urlprefix-", "traefik.http.routers.x.rule="]) : "";
        return start + Array.from({ length: 1 + random() * 12 }, () => pick(pieces)).join("");
      };
      const tables = emptyTables();
      const routes = new TagRoutes();
      const book = new PeerBook({ onRetired: () => {} });
      const options = { random, now: () => 0 };
      let router = Router.build(tables, book, options, null);
      const sites = new SiteNames(null);
      let made = 0;
      for (let round = 0; round < 400; round += 1) {
        const key = pick(["a", "b", "shop", "consul", "Odd Name", "x@dc2", "__proto__", "a.b"]);
        const isGone = random() < 0.1;
        const value = isGone ? null : Array.from({ length: 1 + random() * 4 }, tag);
        const change: Observed = { kind: "catalog", key, value };
        const changes = [change, ...routes.apply([change])] as readonly Served[];
        for (const one of changes) applyChange(tables, one);
        const next = Router.build(tables, book, options, router, changes);
        router.dispose(next);
        router = next;
        for (const { host, prefix, shares } of tables.route.values()) {
          made += 1;
          expect(prefix).to.match(/^\/[\x21-\x7e]*$/);
          expect(prefix).not.to.match(/[?#]|%00/);
          expect(host === "*" || sites.find(host) === null, host).to.equal(true);
          for (const { service } of shares) expect(["a", "b", "shop"]).to.include(service);
          expect(
            router.site(host === "*" ? "w" : host.replace("*", "w"), "all").rules,
          ).not.to.equal(null);
        }
      }
      expect(made).to.be.above(0);
      for (const { key, warning } of routes.warnings())
        expect(`${key}: ${warning}`).to.match(/^[\x20-\x7e]*$/);
    });
});
