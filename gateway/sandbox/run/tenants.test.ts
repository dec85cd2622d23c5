/** What an examination holds a source to when hosts are grouped into tenants. */
import { expect } from "chai";
import type { TenantNames, TenantPolicy } from "../../model/index.ts";
import { Examiner } from "../examine/examiner.ts";
import { tables } from "../fixtures/test-sandbox.ts";
import { defaultSandboxLimits } from "../limits.ts";

const none: TenantNames = { hosts: [], modules: [], settings: [], upstreams: [] };
const all = (prefix: string): TenantNames => ({
  hosts: [`${prefix}*`],
  modules: [`${prefix}*`],
  settings: [`${prefix}*`],
  upstreams: [`${prefix}*`],
});
const policy: TenantPolicy = {
  tenants: { shop: all("shop-"), search: all("search-") },
  shared: { ...none, modules: ["lib/*"] },
};
const modules = {
  "shop-a": "export const a = 1;",
  "search-a": "export const a = 2;",
  "search-b": '\nimport { a } from "modules/shop-a";\nexport const b = a;',
  "lib/a": "export const a = 3;",
};
const settings = { "shop-limit": 1, "search-limit": 2 };
const host = "shop-x.example";

describe("an examination with tenants", () => {
  let examiner: Examiner;
  before(() => {
    const limits = { ...defaultSandboxLimits, callTimeoutMs: 100 };
    examiner = new Examiner(limits, { tenants: policy });
  });
  after(() => examiner.close());

  const faultOf = async (text: string, name = host) =>
    (await examiner.examine(name, tables({ [name]: text }, modules, settings))).fault;

  it("lets through what keeps to its tenant's and to shared things", async () => {
    const text = `import { a } from "modules/shop-a";
      import { a as other } from "modules/lib/a";
      export default (request) => { request.upstream = "shop-web"; request.host = "shop-y.example"; };
      export const tests = [{ expect: { pass: true, upstream: "shop-web", host: "shop-y.example" } }];`;
    expect(await faultOf(text)).to.equal(null);
  });

  it("refuses an import of another tenant's module by key, line and column, there or not", async () => {
    for (const name of ["search-a", "search-none"]) {
      const fault = await faultOf(
        `\nimport { a } from "modules/${name}";\nexport default () => a;`,
      );
      expect(fault).to.include({ key: `scripts/${host}`, line: 2 });
      expect(fault?.column).to.be.above(1);
      expect(fault?.message).to.equal(
        `import "modules/${name}": the module "${name}" belongs to the tenant search and is not shared with the tenant shop`,
      );
    }
  });

  it("refuses a module that imports another tenant's, when it is looked at by itself", async () => {
    const probe = 'import * as module from "modules/search-b"; export default () => void module;';
    const fault = await faultOf(probe, "modules/search-b");
    expect(fault).to.include({ key: "modules/search-b", line: 2 });
    expect(fault?.message).to.contain("belongs to the tenant shop");
    const good = 'import * as module from "modules/search-a"; export default () => void module;';
    expect(await faultOf(good, "modules/search-a")).to.equal(null);
  });

  it("fails a case that sets another tenant's host or upstream, with what a request would meet", async () => {
    for (const [field, value] of [
      ["host", "search-x.example"],
      ["upstream", "search-web"],
    ]) {
      const fault = await faultOf(`export default (request) => { request.${field} = "${value}"; };
        export const tests = [{ name: "goes there", expect: { pass: true } }];`);
      expect(fault?.message).to.match(/^test "goes there": /);
      expect(fault?.message).to.contain(
        `request.${field}: the ${field} "${value}" belongs to the tenant search and is not shared with the tenant shop`,
      );
    }
  });

  it("tries requests that failed within the same border", async () => {
    const request = `GET\nhttp\n${host}\n/\n\n\n192.0.2.1\nid\nHost: ${host}`;
    const replay = (upstream: string) => {
      const text = `export default (request) => { request.upstream = "${upstream}"; };`;
      const failed = { error: 1, request, response: null };
      return examiner.replay(host, tables({ [host]: text }), [failed]);
    };
    expect(await replay("search-web")).to.deep.equal(["failed"]);
    expect(await replay("shop-web")).to.deep.equal(["passed"]);
  });

  it("shows the settings of its tenant alone", async () => {
    const text = `export default () => respond({ body: Object.keys(settings).join() });
      export const tests = [{ expect: { respond: { body: "shop-limit" } } }];`;
    expect(await faultOf(text)).to.equal(null);
  });
});
