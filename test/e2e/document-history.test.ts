/** Host and upstream documents with a history, a rollback and tests of their own, on two gateways with one Consul. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "chai";
import type { History } from "../../gateway/releases/index.ts";
import { consulKinds } from "../support/consul.ts";
import type { EchoOrigin } from "../support/echo-origin.ts";
import { runSluice, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

for (const kind of consulKinds())
  describe(`the versions of documents with ${kind.name}`, function () {
    this.timeout(240_000);
    let scene: Scene;
    let gateways: readonly TestGateway[];
    let origins: readonly EchoOrigin[];
    let folder: string;
    let hosts = 0;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), "sluice-documents-"));
      scene = await Scene.open(kind);
      await scene.writes.put("upstreams/web", { servers: [scene.home.server] });
      // A machine that is busy is no reason for a script to fail.
      const options = { workers: 1, flags: ["--script-timeout", "1s"] };
      const start = () => TestGateway.start({ consul: scene.consul.url, ...options });
      gateways = [await start()];
      gateways = [...gateways, await start()];
      await eventually("both are registered in Consul", async () => {
        const { stdout } = await sluice("script", "status", "--json");
        expect(JSON.parse(stdout).gateways).to.have.lengthOf(gateways.length);
      });
    });
    beforeEach(async () => {
      origins = await Promise.all([scene.origin("one"), scene.origin("two")]);
      const [one, two] = origins.map(({ server }) => server);
      await scene.writes.put("upstreams/one", { servers: [one] });
      await scene.writes.put("upstreams/two", { servers: [two] });
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
      await scene?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const newHost = () => {
      hosts += 1;
      return `doc${hosts}.example`;
    };
    const sluice = (...args: readonly string[]) =>
      runSluice([...args, "--consul", scene.consul.url]);
    function file(value: object): string {
      const path = join(folder, "document.json");
      writeFileSync(path, JSON.stringify(value));
      return path;
    }
    const hour = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
    const to = (upstream: string, more: object = {}) => ({ paths: { "/": upstream }, ...more });
    const answeredBy = (host: string, name: string) =>
      eventually(`${name} answers for ${host}`, async () => {
        for (const gateway of gateways) {
          const { headers } = await gateway.request({ host });
          expect(headers["x-origin"]).to.equal(name);
        }
      });
    async function historyOf(subject: string): Promise<History> {
      const answer = await fetch(`${scene.consul.url}/v1/kv/sluice/history/${subject}?raw`);
      if (answer.status === 404) return [];
      return ((await answer.json()) as { versions: History }).versions;
    }
    const comesTo = (subject: string, outcomes: readonly string[]) =>
      eventually(`the history of ${subject} is ${outcomes}`, async () => {
        const history = await historyOf(subject);
        expect(history.map(({ outcome }) => outcome)).to.deep.equal(outcomes);
        return history;
      });

    it("push, history and rollback are those of scripts", async () => {
      const host = newHost();
      const pushed = await sluice("host", "push", host, file(to("one")), "--by", "ada");
      expect(pushed.stderr).to.equal("");
      expect(pushed.stdout).to.match(/^hosts\/doc\d+\.example is written as version \w{12}$/m);
      await answeredBy(host, "one");
      await sluice("host", "push", host, file(to("two")), "--by", "bob");
      await answeredBy(host, "two");
      const history = await comesTo(`hosts/${host}`, ["live", "replaced"]);
      expect(history.map(({ by }) => by)).to.deep.equal(["bob", "ada"]);
      const back = await sluice("host", "rollback", host, "--by", "eve");
      expect(back.status).to.equal(0);
      await answeredBy(host, "one");
      await comesTo(`hosts/${host}`, ["live", "replaced", "replaced"]);
      const { stdout } = await sluice("host", "history", host);
      expect(stdout).to.match(/\beve\b.*\blive\b/);
      await sluice("host", "rollback", host, history[0]?.version.slice(0, 6) ?? "");
      await answeredBy(host, "two");
      expect((await sluice("host", "remove", host)).status).to.equal(0);
      await comesTo(`hosts/${host}`, ["removed", "replaced", "replaced", "replaced"]);
      expect((await sluice("host", "rollback", host)).status).to.equal(0);
      await answeredBy(host, "two");
    });

    it("push says what leads nowhere yet, and which ramp is over, and writes the document all the same", async () => {
      const host = newHost();
      const over = { upstream: "one", share: 1, ramp: { from: 0, start: hour(-2), end: hour(-1) } };
      const open = { upstream: "two", share: 1, ramp: { from: 0, start: hour(-1), end: hour(1) } };
      const paths = {
        "/": { split: [over, open] },
        "/a": "nobody",
        "/b": "v2.nobody.service.consul",
      };
      const { status, stdout, stderr } = await sluice("host", "push", host, file({ paths }));
      expect([status, stderr]).to.deep.equal([0, ""]);
      const lines = stdout.trim().split("\n");
      expect(lines[0]).to.match(/is written as version/);
      expect(lines.slice(1, 3).join("\n")).to.match(
        /^warning: hosts\/.*: paths\["\/a"\]: there is no upstream document "nobody", and the catalog has no service nobody\nwarning: .*paths\["\/b"\]: /,
      );
      expect(lines[3]).to.match(
        /^note: hosts\/.*: the ramp of one ended at .*Z, so its share is 1 /,
      );
      expect(lines).to.have.length(4);
      const asJson = await runSluice([
        "host",
        "push",
        host,
        file({ paths }),
        "--json",
        "--consul",
        scene.consul.url,
      ]);
      expect(JSON.parse(asJson.stdout)).to.include({ name: host, isNew: false });
      expect(asJson.stderr).to.match(/there is no upstream document "nobody"/);
      const fine = await sluice("host", "push", newHost(), file(to("one")));
      expect(fine.stdout.trim().split("\n")).to.have.length(1);
    });

    /** What a command answers a program. */
    interface Answer {
      readonly version?: string;
      readonly hosts?: readonly { readonly name: string }[];
      readonly gateways?: readonly object[];
    }
    async function json(...args: readonly string[]) {
      const { status, stdout } = await sluice(...args, "--json");
      return { status, answer: JSON.parse(stdout) as Answer };
    }

    it("every command on documents gives a program one JSON object", async () => {
      const host = newHost();
      const tests = [{ request: "GET /x", expect: { upstream: "one" } }];
      const pushed = await json("host", "push", host, file(to("one", { tests })), "--by", "ada");
      expect(pushed).to.deep.include({ status: 0 });
      expect(pushed.answer).to.include({ name: host, isNew: true, tests: 1 });
      const refused = await json("host", "push", host, file(to("two", { tests })));
      expect(refused.status).to.equal(1);
      expect(refused.answer).to.have.nested.include({ "refused.key": `hosts/${host}` });
      expect((await json("host", "test", host)).answer).to.deep.equal({ name: host, tests: 1 });
      const { version } = pushed.answer;
      expect((await json("host", "show", host)).answer).to.include({ name: host, version });
      await comesTo(`hosts/${host}`, ["live"]);
      const { answer } = await json("host", "history", host);
      expect(answer).to.have.nested.include({ "versions[0].version": version });
      expect(answer).to.have.nested.include({ "versions[0].by": "ada" });
      const listed = (await json("host", "list")).answer.hosts;
      expect(listed?.map(({ name }) => name)).to.include(host);
      expect((await json("host", "remove", host)).answer).to.deep.equal({
        name: host,
        removed: true,
      });
      expect((await json("host", "rollback", host)).answer).to.include({ name: host, version });
    });

    it("every command on scripts gives a program one JSON object", async () => {
      const host = newHost();
      const script = join(folder, "rule.js");
      writeFileSync(script, "export default () => {};\n");
      const named = ["--host", host];
      const ruled = await json("script", "push", script, ...named, "--timeout", "60s");
      expect(ruled.status).to.equal(0);
      expect(ruled.answer.gateways).to.have.lengthOf(gateways.length);
      expect((await json("script", "list")).answer).to.have.property("scripts");
      expect((await json("script", "list", "--modules")).answer).to.have.property("modules");
      expect((await json("script", "test", script)).answer).to.include({ tests: 0 });
      expect((await json("script", "status")).answer.gateways).to.have.lengthOf(gateways.length);
      expect((await json("script", "remove", host, "--timeout", "60s")).answer).to.include({
        removed: true,
      });
      expect((await json("script", "history", host)).answer).to.include({ name: host });
    });

    it("every command heeds the flags that follow it", async () => {
      const missing = join(folder, "missing.json");
      for (const command of ["host", "upstream", "script"]) {
        const { status, stderr } = await sluice(command, "list", "--config", missing);
        expect(status, command).to.equal(2);
        expect(stderr, command).to.contain(missing);
      }
    });

    it("what is written straight into KV has a history by nobody's name, and can be taken back", async () => {
      const name = `pool${hosts}`;
      const host = newHost();
      const [one, two] = origins.map(({ server }) => server);
      await scene.writes.put(`hosts/${host}`, to(name));
      await scene.writes.put(`upstreams/${name}`, { servers: [one] });
      await answeredBy(host, "one");
      const subject = `upstreams/${name}`;
      await comesTo(subject, ["live"]);
      await scene.writes.put(subject, { servers: [two] });
      await answeredBy(host, "two");
      const history = await comesTo(subject, ["live", "replaced"]);
      expect(new Set(history.map(({ by }) => by))).to.deep.equal(new Set(["Consul KV"]));
      expect((await sluice("upstream", "rollback", name)).status).to.equal(0);
      await answeredBy(host, "one");
      await scene.writes.remove(subject);
      await comesTo(subject, ["removed", "replaced", "replaced"]);
    });

    it("what was there before the gateways came can be gone back to", async () => {
      // Written by the scene, before the gateways started.
      const { server } = await scene.origin("other");
      await scene.writes.put("upstreams/web", { servers: [server] });
      const history = await comesTo("upstreams/web", ["live", "replaced"]);
      expect(history[1]?.detail).to.equal("it was there before");
      expect((await sluice("upstream", "rollback", "web")).status).to.equal(0);
      const shown = await sluice("upstream", "show", "web");
      expect(JSON.parse(shown.stdout)).to.deep.equal({ servers: [scene.home.server] });
    });

    it("a document whose tests fail is refused by key, and the last good version stays", async () => {
      const host = newHost();
      const tests = [{ request: "GET /x", expect: { upstream: "one" } }];
      const pushed = await sluice("host", "push", host, file(to("one", { tests })));
      expect(pushed.stdout).to.contain("1 test passes");
      await answeredBy(host, "one");
      const refused = await sluice("host", "push", host, file(to("two", { tests })));
      expect(refused.status).to.equal(1);
      expect(refused.stdout).to.contain(`refused: hosts/${host}: tests[0] (GET /x): expected`);
      expect(refused.stdout).to.match(/^ {2}actual +\{"upstream":"two"\}$/m);
      await scene.writes.put(`hosts/${host}`, to("two", { tests }));
      for (const gateway of gateways) {
        await gateway.statusWhen("it is refused by key", ({ refused: all }) =>
          all.some(
            ({ key, error }) =>
              key === `sluice/hosts/${host}` && error.includes("tests[0] (GET /x)"),
          ),
        );
      }
      await answeredBy(host, "one");
      await comesTo(`hosts/${host}`, ["refused", "live"]);
      const { status, stdout } = await sluice("host", "test", host);
      expect([status, stdout.includes("tests[0] (GET /x)")]).to.deep.equal([1, true]);
      expect((await sluice("host", "rollback", host)).status).to.equal(0);
      for (const gateway of gateways) {
        await gateway.statusWhen("nothing is refused any more", ({ refused: all }) =>
          all.every(({ key }) => key !== `sluice/hosts/${host}`),
        );
      }
      expect((await sluice("host", "test", host)).stdout).to.contain("1 test passes");
    });

    it("a document that names a missing upstream is live, with a warning, and its 503 says what is missing", async () => {
      const host = newHost();
      await scene.writes.put(`hosts/${host}`, to("nowhere"));
      for (const gateway of gateways) {
        await gateway.statusWhen("there is a warning by key", ({ warnings }) =>
          warnings.some(
            ({ key, warning }) => key === `sluice/hosts/${host}` && warning.includes('"nowhere"'),
          ),
        );
        await gateway.caughtUp();
        const { status, body } = await gateway.request({ host });
        expect(status).to.equal(503);
        expect(body).to.contain("nowhere");
      }
    });

    it("the admin API has the same, and the schemas", async () => {
      const host = newHost();
      const [gateway] = gateways;
      if (gateway === undefined) throw new Error("there is no gateway");
      const url = `http://127.0.0.1:${gateway.adminPort}`;
      const headers = { ...(await gateway.credentials()), "sluice-by": "program" };
      const put = (document: object) =>
        fetch(`${url}/hosts/${host}`, { method: "PUT", headers, body: JSON.stringify(document) });
      const tests = [{ request: "GET /", expect: { upstream: "one" } }];
      expect((await put(to("one", { tests }))).status).to.equal(200);
      await answeredBy(host, "one");
      const bad = await put(to("two", { tests }));
      expect(bad.status).to.equal(422);
      expect(await bad.json()).to.deep.include({
        error: "document_refused",
        key: `hosts/${host}`,
        test: {
          name: "tests[0] (GET /)",
          expected: '{"upstream":"one"}',
          actual: '{"upstream":"two"}',
        },
      });
      expect((await put({ paths: {} })).status).to.equal(422);
      expect((await put(to("two"))).status).to.equal(200);
      await answeredBy(host, "two");
      const post = (action: string, body = "") =>
        fetch(`${url}/hosts/${host}/${action}`, { method: "POST", headers, body });
      expect(await (await post("test", JSON.stringify(to("one", { tests })))).json()).to.include({
        tests: 1,
      });
      await comesTo(`hosts/${host}`, ["live", "replaced"]);
      expect((await post("rollback")).status).to.equal(200);
      await answeredBy(host, "one");
      await eventually("the history says who it was", async () => {
        const { body: history } = await gateway.admin(`/hosts/${host}/history`);
        expect(JSON.parse(history).versions[0]).to.include({ by: "program" });
      });
      const { body: shown } = await gateway.admin(`/hosts/${host}`);
      expect(JSON.parse(JSON.parse(shown).source)).to.deep.equal(to("one", { tests }));

      const answer = await gateway.admin("/schemas/host");
      expect(answer.headers["content-type"]).to.contain("application/schema+json");
      const schema = JSON.parse(answer.body);
      const isHost = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schema);
      expect(isHost(to("one", { tests }))).to.equal(true);
      expect(isHost(to("one", { tests: [{ request: 1 }] }))).to.equal(false);
      const { stdout } = await runSluice(["schema", "host"]);
      expect(JSON.parse(stdout)).to.deep.equal(schema);
      expect((await gateway.admin("/schemas/none")).status).to.equal(404);
    });
  });
