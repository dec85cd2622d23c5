/**
 * What a script may reach when hosts are grouped into tenants: what belongs to its own tenant, and what is shared.
 */
import { expect } from "chai";
import { engineKinds } from "../../test/support/engines.ts";
import { Rooms, type RoomsOptions } from "../../test/support/rooms.ts";
import type { TenantNames, TenantPolicy } from "../model/index.ts";

const names = (prefix: string, more: Partial<TenantNames> = {}): TenantNames => ({
  hosts: [`${prefix}*`, ...(more.hosts ?? [])],
  modules: [`${prefix}*`],
  settings: [`${prefix}*`],
  upstreams: [`${prefix}*`],
});
const tenants: TenantPolicy = {
  tenants: { shop: names("shop-", { hosts: ["*.shop.example"] }), search: names("search-") },
  shared: {
    hosts: ["status.example"],
    modules: ["lib/*", "search-open"],
    settings: ["public-*"],
    upstreams: ["auth"],
  },
};

const set = (field: "upstream" | "host", value: string, more = "") =>
  `${more} export default (request) => {
    request.headers.set("x-ran", "yes"); request.path = "/changed"; request.${field} = "${value}"; };`;
const answer = (value: string, more = "") =>
  `${more} export default () => respond({ body: ${value} });`;
const skip = 'export const onError = "skip";';

const options: Omit<RoomsOptions, "engine"> = {
  upstreams: ["shop-web", "search-web", "auth", "web"],
  hosts: {
    "shop-own.example": "web",
    "shop-skips.example": "shop-web",
    "shop-target.example": "shop-web",
    "search-target.example": "search-web",
    "status.example": "web",
    "plain.example": "web",
    "a.shop.example": "shop-web",
  },
  scripts: {
    "shop-own.example": set("upstream", "shop-web"),
    "shop-auth.example": set("upstream", "auth"),
    "shop-foreign.example": set("upstream", "search-web"),
    "shop-default.example": set("upstream", "web"),
    "shop-service.example": set("upstream", "v2.search-db.service.consul"),
    "shop-skips.example": set("upstream", "search-web", skip),
    "shop-host.example": set("host", "shop-target.example"),
    "shop-status.example": set("host", "STATUS.example:81"),
    "shop-away.example": set("host", "SEARCH-target.example.:80"),
    "shop-plain.example": set("host", "plain.example"),
    "shop-service-host.example": set("host", "search-db.service.dc1.consul"),
    "search-settings.example": answer("Object.keys(settings).sort().join()"),
    "other.example": answer("Object.keys(settings).sort().join()"),
    "other-away.example": set("host", "a.shop.example"),
    "shop-imports.example": answer(
      "value()",
      'import { value } from "modules/shop-a"; import { open } from "modules/search-open"; open();',
    ),
    "shop-steals.example": answer("value()", 'import { value } from "modules/search-a";'),
    "*.example": `export default (request) => { request.host = request.host + ":81"; };`,
  },
  modules: {
    "shop-a": 'import { lib } from "modules/lib/a"; export const value = () => lib();',
    "search-a": 'export const value = () => "secret";',
    "search-open": 'import { value } from "modules/search-a"; export const open = value;',
    "lib/a": 'import { all } from "modules/internal"; export const lib = () => all;',
    internal: 'export const all = "fine";',
  },
  settings: { "shop-a": 1, "search-b": 2, "public-c": 3, d: 4 },
};

for (const engine of engineKinds())
  describe(`tenants, engine ${engine}`, () => {
    let rooms: Rooms;
    before(async () => {
      rooms = await Rooms.open({ ...options, engine, tenants });
    });
    after(() => rooms.close());

    async function refused(host: string, error: string): Promise<void> {
      const { errors } = rooms.report(host);
      const { status, body } = await rooms.ask(host);
      expect({ host, status }).to.deep.equal({ host, status: 500 });
      expect(body).to.contain("script_error").and.to.not.contain("search");
      const report = rooms.report(host);
      expect(report.errors).to.equal(errors + 1);
      expect(report.lastError).to.contain(error);
    }

    it("a script chooses an upstream of its own tenant, or a shared one", async () => {
      expect(await rooms.ask("shop-own.example")).to.include({ status: 200, body: "shop-web" });
      expect(await rooms.ask("shop-auth.example")).to.include({ status: 200, body: "auth" });
    });

    it("an upstream, a document or a service, of another tenant is an error that names it", async () => {
      await refused(
        "shop-foreign.example",
        'scripts/shop-foreign.example: request.upstream: the upstream "search-web" belongs to the tenant search',
      );
      await refused("shop-default.example", '"web" belongs to the tenant default');
      await refused("shop-service.example", '"v2.search-db.service.consul" belongs to the tenant');
    });

    it("with onError skip the request goes on as it came", async () => {
      expect(await rooms.ask("shop-skips.example", "/x")).to.include({ status: 200 });
      const last = rooms.requests("shop-web").at(-1);
      expect(last?.target).to.equal("/x");
      expect(last?.headers.some(([name]) => name.toLowerCase() === "x-ran")).to.equal(false);
      expect(rooms.report("shop-skips.example").errors).to.be.above(0);
    });

    it("a host of its own or a shared one may be set, another tenant's may not", async () => {
      const own = await rooms.ask("shop-host.example");
      expect(own).to.include({ status: 200, body: "shop-web" });
      expect((await rooms.ask("shop-status.example")).body).to.equal("web");
      await refused(
        "shop-away.example",
        'request.host: the host "search-target.example" belongs to the tenant search',
      );
      await refused("shop-plain.example", '"plain.example" belongs to the tenant default');
      await refused("shop-service-host.example", "belongs to the tenant search");
      await refused("other-away.example", '"a.shop.example" belongs to the tenant shop');
    });

    it("the host that was asked for may be kept, also under another tenant's wildcard", async () => {
      expect((await rooms.ask("a.shop.example")).body).to.equal("shop-web");
    });

    it("settings are those of its tenant and the shared ones", async () => {
      expect((await rooms.ask("search-settings.example")).body).to.equal("public-c,search-b");
      expect((await rooms.ask("other.example")).body).to.equal("d,public-c");
    });

    it("modules are its tenant's and shared ones, which may use their own tenant's", async () => {
      expect((await rooms.ask("shop-imports.example")).body).to.equal("fine");
    });

    it("a script that was let in before and imports another tenant's module does not run", async () => {
      await refused(
        "shop-steals.example",
        'scripts/shop-steals.example:1:23: import "modules/search-a": the module "search-a" belongs to the tenant search',
      );
    });

    it("without tenants everything is everybody's", async () => {
      const one = await Rooms.open({ ...options, engine });
      try {
        expect((await one.ask("shop-foreign.example")).body).to.equal("search-web");
        expect((await one.ask("shop-away.example")).body).to.equal("search-web");
        expect((await one.ask("shop-steals.example")).body).to.equal("secret");
        expect((await one.ask("other.example")).body).to.equal("d,public-c,search-b,shop-a");
      } finally {
        await one.close();
      }
    });
  });
