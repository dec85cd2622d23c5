/** Rewrite scripts from Consul KV to every worker of a gateway, and what a bad one leaves alone. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import type { GatewayAnswer } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import type { WorkerConnections } from "../support/worker-connections.ts";
import { Scene } from "./scene.ts";

const body = (text: string) => (answer: GatewayAnswer) =>
  expect(answer).to.include({ status: 200, body: text });
const status = (code: number) => (answer: GatewayAnswer) => expect(answer.status).to.equal(code);
const failed = (answer: GatewayAnswer) => {
  expect(answer.status).to.equal(500);
  expect(answer.body).to.contain("script_error");
};

for (const kind of consulKinds())
  describe(`scripts of a gateway with ${kind.name}`, function () {
    this.timeout(600_000);
    let scene: Scene;
    let workers: WorkerConnections;
    let hosts = 0;

    before(async () => {
      scene = await Scene.open(kind);
      // Longer than by default: other processes have the cores too.
      await scene.start({ flags: ["--script-timeout", "50ms"] });
    });
    beforeEach(async () => {
      workers = await scene.workers();
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    /** A host of its own, with a route to the origin `home` and this script. */
    async function hostWith(script: string): Promise<string> {
      hosts += 1;
      const host = `script${hosts}.example`;
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      await scene.writes.put(`scripts/${host}`, script);
      return host;
    }

    it("a script that is put is live on every worker, and one that is deleted on none", async () => {
      const begunMs = Date.now();
      const host = await hostWith('export default () => respond({ body: "first" })');
      await workers.all("the script is live", { host }, body("first"));
      await scene.writes.put(
        `scripts/${host}`,
        'export default () => respond({ body: "second", headers: { "x-a": "b" } })',
      );
      await workers.all("the next version is live", { host }, (answer) => {
        body("second")(answer);
        expect(answer.headers["x-a"]).to.equal("b");
      });
      const { scripts } = await scene.gateway.statusWhen("its calls are counted", (now) =>
        now.scripts.some((script) => script.host === host && script.calls >= 2),
      );
      const script = scripts.find((one) => one.host === host);
      expect(script).to.include({ errors: 0, lastError: null });
      expect(script?.version).to.match(/^[0-9a-f]{64}$/);
      expect(Date.parse(script?.loadedAt ?? "")).to.be.within(begunMs, Date.now());
      await scene.writes.remove(`scripts/${host}`);
      await workers.all("the origin answers again", { host }, (answer) => {
        expect(echoOf(answer).origin).to.equal("home");
      });
    });

    it("verdicts deny, respond and redirect; only requests that match get there", async () => {
      const host = await hostWith(`export const match = { methods: ["DELETE", "PUT", "PATCH"] };
        export default function (request) {
          if (request.method === "DELETE") return deny(403, "switched off");
          if (request.method === "PUT") return redirect("https://other.example" + request.path, 307);
          return respond({ status: 202, headers: { "x-by": "script" }, body: "taken" });
        }`);
      await workers.all("DELETE is denied", { host, method: "DELETE" }, (answer) => {
        expect(answer.status).to.equal(403);
        expect(answer.body).to.contain("switched off");
      });
      for (const prefix of workers.prefixes) {
        const put = await workers.ask(prefix, { host, path: "/a", method: "PUT" });
        expect(put.status).to.equal(307);
        expect(put.headers.location).to.equal("https://other.example/a");
        const patch = await workers.ask(prefix, { host, method: "PATCH" });
        expect([patch.status, patch.headers["x-by"], patch.body]).to.deep.equal([
          202,
          "script",
          "taken",
        ]);
        expect(echoOf(await workers.ask(prefix, { host })).method).to.equal("GET");
      }
    });

    it("path, query, headers and host are changed for the origin, and headers for the client", async () => {
      const host = await hostWith(`export default function (request) {
          request.path = "/new" + request.path;
          request.query = "q=1";
          request.host = "inner.example";
          request.headers.set("x-added", "by " + request.host);
          request.headers.delete("x-secret");
        }
        export function onResponse(response, request) {
          response.headers.set("x-seen", response.status + " " + request.method);
          response.headers.delete("x-origin");
        }`);
      // The host that a script sets is the one that is routed.
      await scene.writes.put("hosts/inner.example", { paths: { "/new": "home" } });
      const asked = { host, path: "/old?z=0", headers: { "x-secret": "1" } };
      await workers.all("all of it is changed", asked, (answer) => {
        expect(answer.headers["x-seen"]).to.equal("200 GET");
        expect(answer.headers).to.not.have.property("x-origin");
        const echo = JSON.parse(answer.body);
        expect(echo.url).to.equal("/new/old?q=1");
        expect(echo.headers).to.include({ host: "inner.example", "x-added": "by inner.example" });
        expect(echo.headers).to.not.have.property("x-secret");
      });
    });

    it("a script sends requests to another upstream, a service included", async () => {
      const other = await scene.origin("other");
      await scene.writes.register({ name: "steered", port: other.port });
      scene.later(() => scene.writes.deregister("steered"));
      const host = await hostWith(`export default function (request) {
          if (request.headers.get("x-canary") !== null) request.upstream = "steered";
        }`);
      await workers.all("canaries go to the service", { host, headers: { "x-canary": "1" } }, (a) =>
        expect(echoOf(a).origin).to.equal("other"),
      );
      await workers.all("others do not", { host }, (a) =>
        expect(echoOf(a).origin).to.equal("home"),
      );
    });

    it("modules and settings change live under a script that uses them", async () => {
      await scene.writes.put("settings/greeting", { word: "hello" });
      await scene.writes.put("modules/greet", "export const greet = (word) => word + ', world';");
      const host = await hostWith(`import { greet } from "modules/greet";
        export default () => respond({ body: greet(settings.greeting.word) });`);
      await workers.all("it is live", { host }, body("hello, world"));
      await scene.writes.put("settings/greeting", { word: "good day" });
      await workers.all("the setting is changed", { host }, body("good day, world"));
      await scene.writes.put("modules/greet", "export const greet = (word) => word + '!';");
      await workers.all("the module is changed", { host }, body("good day!"));
    });

    it("a script that throws answers 500 and is counted; other hosts notice nothing", async () => {
      const other = await hostWith('export default () => respond({ body: "other" })');
      const host = await hostWith(`export default function (request) {
          if (request.path === "/throw") throw new Error("out of cheese");
          if (request.path === "/loop") for (;;);
          return respond({ body: "fine" });
        }`);
      await workers.all("the other one is live", { host: other }, body("other"));
      await workers.all("it is live", { host }, body("fine"));
      for (const prefix of workers.prefixes) {
        failed(await workers.ask(prefix, { host, path: "/throw" }));
        failed(await workers.ask(prefix, { host, path: "/loop" }));
        body("other")(await workers.ask(prefix, { host: other }));
      }
      // The loop may have owed more than its script may owe, which then has a rest.
      await workers.all("it answers again", { host }, body("fine"));
      const found = await scene.gateway.statusWhen("its errors are counted", ({ scripts }) =>
        scripts.some((one) => one.host === host && one.errors >= 2 * workers.prefixes.length),
      );
      const script = found.scripts.find((one) => one.host === host);
      expect(script?.lastError).to.be.a("string").and.not.equal("");
      await eventually("the log says so", async () => {
        const told = scene.gateway.records.filter((record) => record.script === host);
        expect(told.map(({ msg }) => msg).join("\n")).to.contain("out of cheese");
      });
    });

    it("a script with a syntax error is refused with its place, and the last good version stays", async () => {
      const host = await hostWith('export default () => respond({ body: "good" })');
      await workers.all("the good one is live", { host }, body("good"));
      const { scripts } = await scene.gateway.caughtUp();
      await scene.writes.put(`scripts/${host}`, "export default () => {\n  return respond(;\n}");
      const key = `sluice/scripts/${host}`;
      const now = await scene.gateway.statusWhen("the bad one is refused", ({ refused }) =>
        refused.some((one) => one.key === key),
      );
      expect(now.refused.find((one) => one.key === key)).to.include({ line: 2 });
      const goodIn = (all: typeof scripts) => {
        const { version, loadedAt } = all.find((one) => one.host === host) ?? {};
        return { version, loadedAt };
      };
      expect(goodIn(now.scripts)).to.deep.equal(goodIn(scripts));
      for (const prefix of workers.prefixes) body("good")(await workers.ask(prefix, { host }));
      const told = () => scene.gateway.records.filter((record) => record.key === key);
      await eventually("it is said once", async () => expect(told()).to.have.lengthOf(1));
      await scene.writes.put(`scripts/${host}`, 'export default () => respond({ body: "better" })');
      await workers.all("a good one after it is live", { host }, body("better"));
      await scene.gateway.statusWhen("nothing of it is refused any more", (now) =>
        now.refused.every((one) => one.key !== key),
      );
    });

    it("a module that would break a live script is refused, and the script goes on", async () => {
      await scene.writes.put("modules/base", "export const base = () => 'base';");
      const host = await hostWith(`import { base } from "modules/base";
        export default () => respond({ body: base() });`);
      await workers.all("it is live", { host }, body("base"));
      await scene.writes.put("modules/base", "export const renamed = () => 'base';");
      const { refused } = await scene.gateway.statusWhen("the module is refused", (now) =>
        now.refused.some((one) => one.key === "sluice/modules/base"),
      );
      expect(refused.map((one) => one.error).join()).to.contain(`scripts/${host}`);
      for (const prefix of workers.prefixes) body("base")(await workers.ask(prefix, { host }));
      await scene.writes.put("modules/base", "export const base = () => 'repaired';");
      await workers.all("a repaired module is live", { host }, body("repaired"));
    });

    it("the script of a wildcard serves the hosts below it that have none of their own", async () => {
      await scene.writes.put("hosts/*.wild.example", { paths: { "/": "home" } });
      await scene.writes.put(
        "scripts/*.wild.example",
        "export default (request) => respond({ body: 'wild ' + request.host })",
      );
      await scene.writes.put("scripts/own.wild.example", "export default () => deny(418)");
      await workers.all("it serves", { host: "a.b.wild.example" }, body("wild a.b.wild.example"));
      await workers.all("the host's own one wins", { host: "own.wild.example" }, status(418));
    });
  });
