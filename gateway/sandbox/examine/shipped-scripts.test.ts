import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { seedOf } from "../../../test/support/effort.ts";
import { HostileRequests } from "../../../test/support/hostile-requests.ts";
import type { Json } from "../../model/index.ts";
import { Bench, tables } from "../fixtures/test-sandbox.ts";
import { examineScript } from "../index.ts";

const folder = fileURLToPath(new URL("../../../scripts/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".js"));
const text = (name: string) => readFileSync(`${folder}${name}`, "utf8");

describe("a script that ships with Sluice", () => {
  for (const name of names) {
    it(`${name} passes its own tests`, async () => {
      const { fault, passed } = await examineScript("a.example.com", tables(text(name)));
      expect(fault).to.equal(null);
      expect(passed, "cases").to.be.at.least(2);
    });
  }

  const site = "*.example.com";
  const settings: Readonly<Record<string, Json>> = {
    signing: { key: "only for these tests" },
    canary: { upstream: "shop-canary", percent: 50 },
    old_paths: { "/a": "/somewhere/else/that/is/longer" },
    parameters: { "/thumb": { w: "^[0-9]{1,4}$" } },
  };
  for (const name of names) {
    it(`${name} fails for none of many hostile requests`, async () => {
      const bench = new Bench(tables({ [site]: text(name) }, {}, settings));
      const requests = new HostileRequests(seedOf());
      try {
        let calls = 0;
        for (let count = 0; count < 2_000; count += 1) {
          const request = requests.next();
          const { exchange } = bench.request(request);
          exchange.respond(200, requests.headers());
          bench.find(exchange.host)?.onResponse(exchange);
          const shown = JSON.stringify(request).slice(0, 2_000);
          expect(bench.report(site).lastError, shown).to.equal(null);
          calls = bench.report(site).calls;
        }
        expect(calls).to.be.above(0);
      } finally {
        bench.sandbox.dispose();
      }
    });
  }

  it("agrees with the types that scripts are written against", () => {
    const tsc = fileURLToPath(new URL("../../../node_modules/.bin/tsc", import.meta.url));
    const { stdout, status } = spawnSync(tsc, ["-p", folder], { encoding: "utf8" });
    expect(stdout).to.equal("");
    expect(status).to.equal(0);
  });
});
