/** Two teams on one gateway, with the policy and the ACL rules of docs/tenants.md, on a real Consul. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  consulKinds,
  findRealConsul,
  startRealConsul,
  type TestConsul,
} from "../support/consul.ts";
import { type ConsulWrites, writesTo } from "../support/consul-writes.ts";
import { EchoOrigin } from "../support/echo-origin.ts";
import { runSluice, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { onTerminal } from "../support/terminal.ts";
import { Scene } from "./scene.ts";

const master = "6d2c2f4e-0000-4000-8000-00000000dddd";
const root = join(import.meta.dirname, "..", "..");
const page = readFileSync(join(root, "docs", "tenants.md"), "utf8");

/** The block of the page that begins so. */
function block(language: string, start: string): string {
  for (const [, kind, text = ""] of page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (kind === language && text.startsWith(start)) return text;
  }
  throw new Error(`docs/tenants.md has no ${language} that begins with ${start}`);
}

const says = (value: string, more = "") =>
  `${more}\nexport default () => respond({ body: String(${value}) });`;
const to = (field: string, value: string) =>
  `export default (request) => { request.${field} = "${value}"; };`;

if (findRealConsul() !== null)
  describe("two tenants under the ACLs of a real Consul", function () {
    this.timeout(600_000);
    const directory = mkdtempSync(join(tmpdir(), "sluice-tenants-"));
    const config = join(directory, "sluice.json");
    let consul: TestConsul;
    let gateway: TestGateway;
    let origin: EchoOrigin;
    let operator: ConsulWrites;
    let shop: ConsulWrites;
    let search: ConsulWrites;
    let shopToken = "";

    before(async () => {
      const acl = { enabled: true, default_policy: "deny", tokens: { master, agent: master } };
      consul = await startRealConsul({ config: { primary_datacenter: "dc1", acl }, token: master });
      operator = writesTo(consul.url, master);
      shopToken = await tokenFor("shop", block("hcl", "# team shop"));
      shop = writesTo(consul.url, shopToken);
      search = writesTo(consul.url, await tokenFor("search", block("hcl", "# team search")));
      const rules = readFileSync(join(root, "deploy", "consul", "gateway.hcl"), "utf8");
      const token = await tokenFor("gateway", rules);
      writeFileSync(config, block("json", "{"));
      origin = await EchoOrigin.start("origin");
      gateway = await TestGateway.start({
        consul: consul.url,
        env: { CONSUL_HTTP_TOKEN: token },
        flags: ["--config", config, "--script-timeout", "200ms"],
      });
    });
    after(async () => {
      await gateway?.stop();
      await origin?.close();
      await consul?.stop();
      rmSync(directory, { recursive: true });
    });

    async function send(method: string, path: string, token: string, body?: object) {
      const answer = await fetch(`${consul.url}/v1/${path}`, {
        method,
        headers: { "x-consul-token": token },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.status, text: await answer.text() };
    }

    async function tokenFor(name: string, rules: string): Promise<string> {
      const made = await send("PUT", "acl/policy", master, { Name: name, Rules: rules });
      expect(made.status, made.text).to.equal(200);
      const { text } = await send("PUT", "acl/token", master, { Policies: [{ Name: name }] });
      return String(Reflect.get(JSON.parse(text) as object, "SecretID"));
    }

    async function answers(host: string, status: number, body = ""): Promise<void> {
      await eventually(`${host} answers ${status} ${body}`, async () => {
        const answer = await gateway.request({ host });
        expect(answer.status).to.equal(status);
        expect(answer.body).to.contain(body);
      });
      // One of the workers has answered so.
      await gateway.caughtUp();
    }

    async function refusal(key: string): Promise<string> {
      const { refused } = await gateway.statusWhen(`${key} is refused`, (now) =>
        now.refused.some((one) => one.key === key),
      );
      return refused.find((one) => one.key === key)?.error ?? "";
    }

    /** On a busy machine the gateway may take longer than commands wait by themselves. */
    const patience = ["--timeout", "60s"];
    const sluice = (args: readonly string[], token: string) =>
      runSluice([...args, "--consul", consul.url, "--config", config], {
        CONSUL_HTTP_TOKEN: token,
        XDG_RUNTIME_DIR: gateway.runtimeDir,
      });

    it("each team writes what it has, and Consul refuses what the other one has", async () => {
      const keys = (team: string, host: string) => [
        ...[`hosts/${team}-a.example`, `scripts/${team}-a.example`, `hosts/${host}`],
        ...[`scripts/${host}`, `upstreams/${team}-x`, `modules/${team}-x`, `settings/${team}-x`],
        ...[`history/scripts/${host}`, `versions/modules/${team}-x/0`],
      ];
      for (const [one, own, other] of [
        [shop, keys("shop", "shop.example"), keys("search", "search.example")],
        [shop, ["hosts/*.shop.example", "scripts/*.shop.example"], ["modules/lib/a", "hosts/*"]],
        [search, keys("search", "search.example"), keys("shop", "shop.example")],
        [search, ["upstreams/solr"], ["scripts/*.shop.example", "upstreams/login", "live/a"]],
      ] as const) {
        for (const key of own) {
          await one.put(key, "{}");
          await operator.remove(key);
        }
        for (const key of other) {
          const error = await one.put(key, "{}").then(
            () => `${key} was written`,
            (found: unknown) => String(found),
          );
          expect(error, key).to.contain("403");
        }
      }
      await operator.put("settings/search-secret", { a: 1 });
      const { status, text } = await send("GET", "kv/sluice/settings/search-secret", shopToken);
      expect({ status, text: text.includes("Value") }).to.deep.equal({ status: 403, text: false });
    });

    it("scripts see their own tenant's settings and modules, and shared ones", async () => {
      await operator.put("modules/lib/greet", 'export const greet = (name) => "hello " + name;');
      await operator.put("settings/public-word", '"all"');
      await shop.put("settings/shop-word", '"shop"');
      await search.put("settings/search-word", '"search"');
      await shop.put(
        "modules/shop-words",
        "export const words = () => Object.keys(settings).join();",
      );
      await shop.put(
        "scripts/shop-a.example",
        says(
          "greet(words())",
          'import { greet } from "modules/lib/greet"; import { words } from "modules/shop-words";',
        ),
      );
      await answers("shop-a.example", 200, "hello public-word,shop-word");
      await search.put("scripts/search.example", says("Object.keys(settings).join()"));
      await answers("search.example", 200, "public-word,search-");
    });

    it("an import of another tenant's module is refused by key with its place; the version before stays", async () => {
      await shop.put("scripts/shop-b.example", says("1"));
      await answers("shop-b.example", 200, "1");
      await search.put("modules/search-secret", 'export const secret = "secret";');
      const text = says("secret", 'import { secret } from "modules/search-secret";');
      await shop.put("scripts/shop-b.example", text);
      await refusal("sluice/scripts/shop-b.example");
      const { refused } = await gateway.status();
      expect(refused.find(({ key }) => key === "sluice/scripts/shop-b.example")).to.include({
        line: 1,
        error:
          'import "modules/search-secret": the module "search-secret" belongs to the tenant search and is not shared with the tenant shop',
      });
      expect((await gateway.request({ host: "shop-b.example" })).body).to.equal("1");
    });

    it("another tenant's upstream or host is an error of the call, and a document that names one is refused", async () => {
      await search.put("upstreams/search-web", { servers: [origin.server] });
      await search.put("hosts/search-b.example", { paths: { "/": "search-web" } });
      await answers("search-b.example", 200);
      await shop.put("scripts/shop-c.example", to("upstream", "search-web"));
      await shop.put("scripts/shop-d.example", to("host", "search-b.example"));
      for (const host of ["shop-c.example", "shop-d.example"]) {
        await answers(host, 500, "script_error");
        const { scripts } = await gateway.statusWhen("it is counted", (now) =>
          now.scripts.some((one) => one.host === host && one.errors > 0),
        );
        const script = scripts.find((one) => one.host === host);
        expect(script?.tenant).to.equal("shop");
        expect(script?.lastError).to.contain("belongs to the tenant search");
      }
      await shop.put("upstreams/shop-web", { servers: [origin.server] });
      await shop.put("hosts/shop-e.example", { paths: { "/": "shop-web" } });
      await answers("shop-e.example", 200);
      await shop.put("hosts/shop-e.example", { paths: { "/": "search-web" } });
      expect(await refusal("sluice/hosts/shop-e.example")).to.equal(
        'sluice/hosts/shop-e.example: paths["/"]: the upstream "search-web" belongs to the tenant search and is not shared with the tenant shop',
      );
      await shop.put("upstreams/shop-solr", { service: "solr" });
      expect(await refusal("sluice/upstreams/shop-solr")).to.contain(
        'service: the upstream "solr"',
      );
      expect((await gateway.request({ host: "shop-e.example" })).status).to.equal(200);
    });

    it("a host that is shared goes by its own script, whoever sends requests there", async () => {
      await operator.put("upstreams/status", { servers: [origin.server] });
      await operator.put("hosts/status.example", { paths: { "/": "status" } });
      await operator.put(
        "scripts/status.example",
        'export const match = { paths: ["/secret"] }; export default () => deny(403, "guarded");',
      );
      await shop.put("scripts/shop.example", to("host", "status.example"));
      await answers("shop.example", 200);
      await eventually("the guard holds", async () => {
        const answer = await gateway.request({ host: "shop.example", path: "/secret" });
        expect(answer).to.include({ status: 403, body: "guarded" });
      });
    });

    it("sluice script tests, pushes and removes with a team's token, and finds the policy", async () => {
      const file = join(directory, "rule.js");
      const push = (host: string) =>
        sluice(["script", "push", file, "--host", host, ...patience], shopToken);
      writeFileSync(file, says('"pushed"'));
      const pushed = await push("shop-f.example");
      expect(pushed, JSON.stringify(pushed)).to.include({ status: 0 });
      await answers("shop-f.example", 200, "pushed");
      writeFileSync(
        file,
        `${to("host", "search-b.example")}
        export const tests = [{ name: "goes there", expect: { pass: true } }];`,
      );
      const tested = await sluice(["script", "test", file, "--host", "shop-f.example"], shopToken);
      expect(tested.status).to.equal(1);
      expect(tested.stdout).to.contain(
        'request.host: the host "search-b.example" belongs to the tenant search',
      );
      expect((await push("search-f.example")).status).to.not.equal(0);
      const removed = await sluice(["script", "remove", "shop-f.example", ...patience], shopToken);
      expect(removed, JSON.stringify(removed)).to.include({ status: 0 });
    });

    it("the policy is shown", async () => {
      const { tenants } = await gateway.status();
      expect(Object.keys(tenants?.tenants ?? {})).to.deep.equal(["shop", "search"]);
      const { shown } = await onTerminal(["status", "--admin", `127.0.0.1:${gateway.adminPort}`]);
      expect(shown).to.match(/search +search-\* search\.example/);
    });
  });

for (const kind of consulKinds())
  describe(`a policy that is new to a data directory, with ${kind.name}`, function () {
    this.timeout(600_000);
    const directory = mkdtempSync(join(tmpdir(), "sluice-tenants-"));
    let scene: Scene;
    before(async () => {
      scene = await Scene.open(kind);
    });
    after(async () => {
      await scene?.close();
      rmSync(directory, { recursive: true });
    });

    it("holds for what was let in before: documents go, scripts fail and are refused by key", async () => {
      const flags = ["--data-dir", directory, "--script-timeout", "200ms"];
      const one = await scene.start({ flags });
      const { writes } = scene;
      await writes.put("upstreams/search-web", { servers: [scene.home.server] });
      await writes.put("hosts/shop-a.example", { paths: { "/": "search-web" } });
      await writes.put("modules/search-a", 'export const a = "secret";');
      const steals = says("a", 'import { a } from "modules/search-a";');
      await writes.put("scripts/shop-b.example", steals);
      const asked = (host: string) => scene.gateway.request({ host });
      await eventually("both are served", async () => {
        expect((await asked("shop-a.example")).status).to.equal(200);
        expect((await asked("shop-b.example")).body).to.equal("secret");
      });
      await one.statusWhen("the state is written", ({ version, snapshotFile }) => {
        const file = readFileSync(snapshotFile?.path ?? "", "utf8");
        return version > 0 && file.includes("shop-b.example") && file.includes("shop-a.example");
      });
      const policy = { shop: { prefix: "shop-" }, search: { prefix: "search-" } };
      await scene.start({ flags: [...flags, "--tenants", JSON.stringify(policy)] });
      await eventually("neither is served", async () => {
        expect((await asked("shop-a.example")).status).to.equal(404);
        const { status, body } = await asked("shop-b.example");
        expect(status).to.equal(500);
        expect(body).to.not.contain("secret");
      });
      const { refused } = await scene.gateway.statusWhen("both are refused", (now) =>
        ["hosts/shop-a.example", "scripts/shop-b.example"].every((key) =>
          now.refused.some((found) => found.key === `sluice/${key}`),
        ),
      );
      for (const { error } of refused) expect(error).to.contain("belongs to the tenant search");
      await writes.put("scripts/shop-b.example", says('"good"'));
      await eventually("a source that keeps to the policy is", async () =>
        expect((await asked("shop-b.example")).body).to.equal("good"),
      );
    });
  });
