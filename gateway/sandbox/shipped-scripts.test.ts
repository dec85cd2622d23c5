import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { checkScript } from "./index.ts";
import type { TestRequest } from "./test-exchange.ts";
import { Bench, tables } from "./test-sandbox.ts";

const folder = fileURLToPath(new URL("../../scripts/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".js"));
const text = (name: string) => readFileSync(`${folder}${name}`, "utf8");

describe("a script that ships with Sluice", () => {
  const benches: Bench[] = [];
  const bench = (...given: Parameters<typeof tables>): Bench => {
    const made = new Bench(tables(...given));
    benches.push(made);
    return made;
  };
  afterEach(() => {
    for (const made of benches.splice(0)) {
      for (const report of made.sandbox.reports()) expect(report.lastError).to.equal(null);
      made.sandbox.dispose();
    }
  });

  for (const name of names) {
    it(`${name} loads`, async () => {
      expect(await checkScript("a.example.com", tables(text(name)))).to.equal(null);
    });
  }

  it("agrees with the types that scripts are written against", () => {
    const tsc = fileURLToPath(new URL("../../node_modules/.bin/tsc", import.meta.url));
    const { stdout, status } = spawnSync(tsc, ["-p", folder], { encoding: "utf8" });
    expect(stdout).to.equal("");
    expect(status).to.equal(0);
  });

  it("deny-methods.js refuses what changes something", () => {
    const one = bench(text("deny-methods.js"));
    const { exchange } = one.request({ method: "DELETE" });
    expect(exchange.answered).to.include({ status: 403, body: "DELETE is switched off here\n" });
    expect(one.request({ method: "GET" }).exchange.answered).to.equal(null);
    expect(one.report().calls, "GET does not enter the sandbox").to.equal(1);
  });

  it("security-headers.js adds what the origin left out and takes its name away", () => {
    const one = bench(text("security-headers.js"));
    const { exchange } = one.request();
    exchange.respond(200, [
      ["Server", "nginx"],
      ["X-Frame-Options", "SAMEORIGIN"],
    ]);
    one.sandbox.find("a.example.com")?.onResponse(exchange);
    expect(exchange.responseHeader("server")).to.equal(undefined);
    expect(exchange.responseHeader("x-frame-options")).to.equal("SAMEORIGIN");
    expect(exchange.responseHeader("x-content-type-options")).to.equal("nosniff");
  });

  it("rewrite-old-paths.js rewrites for clients, redirects browsers and reads more from settings", () => {
    const one = bench(text("rewrite-old-paths.js"), {}, { old_paths: { "/legacy": "/v2" } });
    const path = (request: TestRequest) => one.request(request).exchange.path;
    expect(path({ path: "/api/v1/users" })).to.equal("/api/v2/users");
    expect(path({ path: "/api/v10" })).to.equal("/api/v10");
    expect(path({ path: "/legacy" })).to.equal("/v2");
    expect(path({ path: "/api/v1", method: "POST" })).to.equal("/api/v1");
    const headers = [["Accept", "text/html"] as const];
    const { exchange } = one.request({ path: "/help/a", query: "b=c", headers });
    expect(exchange.answered).to.deep.include({
      status: 308,
      headers: { location: ["/docs/a?b=c"] },
    });
  });
});
