/** The admin API of scripts and modules, on two gateways with one Consul. */
import { request } from "node:http";
import { text as readText } from "node:stream/consumers";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { eventually } from "../support/registered.ts";
import { ScriptScene, says200 } from "./script-scene.ts";

const says = (text: string) => `export default () => respond({ body: "${text}" });\n`;
const tested = (text: string, expected: string) =>
  `${says(text)}export const tests = [{ name: "says it", expect: { respond: { body: "${expected}" } } }];\n`;

for (const kind of consulKinds())
  describe(`the admin API of scripts with ${kind.name}`, function () {
    this.timeout(600_000);
    const desk = new ScriptScene(kind);

    async function ask(method: string, path: string, body?: string | Uint8Array, headers = {}) {
      const [gateway] = desk.gateways;
      const { promise, resolve, reject } =
        Promise.withResolvers<import("node:http").IncomingMessage>();
      const port = gateway?.adminPort;
      const all = { ...(await gateway?.credentials()), ...headers };
      const options = {
        ...{ host: "127.0.0.1", port, method, path, headers: all },
        agent: false as const,
      };
      request(options, resolve).once("error", reject).end(body);
      const answer = await promise;
      const json: unknown = JSON.parse(await readText(answer));
      return { status: answer.statusCode, body: json as Readonly<Record<string, unknown>> };
    }

    it("puts, shows, lists, tests, rolls back and deletes a script", async () => {
      const host = desk.newHost();
      const at = `/scripts/${host}`;
      const put = await ask("PUT", at, tested("one", "one"), { "sluice-by": "ada" });
      expect(put.status).to.equal(200);
      expect(put.body).to.deep.include({ name: host, isNew: true, tests: 1 });
      await desk.everywhere("it is live", host, says200("one"));
      expect((await ask("GET", at)).body).to.include({
        name: host,
        source: tested("one", "one"),
        version: put.body.version,
      });
      expect(JSON.stringify((await ask("GET", "/scripts")).body)).to.contain(host);
      expect((await ask("POST", `${at}/test`, says("x"))).body).to.deep.equal({
        name: host,
        tests: 0,
      });
      expect((await ask("PUT", at, says("two"))).status).to.equal(200);
      await desk.everywhere("the second is live", host, says200("two"));
      await desk.comesTo(host, "live", "replaced");
      expect((await ask("POST", `${at}/rollback`)).body.version).to.equal(put.body.version);
      await desk.everywhere("the first is back", host, says200("one"));
      const history = (await ask("GET", `${at}/history`)).body.versions as { by: string }[];
      expect(history.at(-1)?.by).to.equal("ada");
      expect((await ask("DELETE", at)).body).to.deep.equal({ name: host, removed: true });
      expect((await ask("GET", at)).status).to.equal(404);
    });

    it("answers errors as JSON with line and column, and writes nothing", async () => {
      const host = desk.newHost();
      const bad = await ask(
        "PUT",
        `/scripts/${host}`,
        "export default () => {\n  return deny(;\n}",
      );
      expect(bad.status).to.equal(422);
      expect(bad.body).to.include({ error: "script_refused", key: `scripts/${host}`, line: 2 });
      const failing = await ask("POST", `/scripts/${host}/test`, tested("one", "two"));
      expect(failing.body.test).to.include({ name: "says it" });
      const types = { "content-type": "text/typescript" };
      const typed = await ask("PUT", `/scripts/${host}`, "const a: = 1;", types);
      expect(typed.body).to.include({ line: 1, column: 10 });
      expect((await ask("PUT", "/scripts/no_host..x", says("x"))).status).to.equal(400);
      expect((await ask("PUT", `/scripts/${host}`)).status).to.equal(422);
      expect((await ask("POST", `/scripts/${host}/rollback`)).status).to.equal(404);
      expect((await ask("GET", `/scripts/${host}`)).status).to.equal(404);
      const stale = await ask("PUT", `/scripts/${host}`, says("x"), { "if-match": '"abc"' });
      expect(stale.status).to.equal(409);
      expect((await ask("PATCH", `/scripts/${host}`, "x")).status).to.equal(404);
    });

    it("says what is wrong with a body or a name, and guesses nothing", async () => {
      const host = desk.newHost();
      const at = `/scripts/${host}`;
      const bytes = Buffer.concat([Buffer.from(says("x")), Buffer.from([0xff])]);
      const notText = await ask("PUT", at, bytes);
      expect(notText.status).to.equal(422);
      expect(notText.body).to.include({ error: "script_refused", key: `scripts/${host}` });
      expect(notText.body.message).to.contain("it is not UTF-8");
      const large = await ask("PUT", at, `${says("x")}//${"x".repeat(512 * 1024)}`);
      expect([large.status, large.body.error]).to.deep.equal([413, "too_large"]);
      const whole = `${says("x")}//`;
      const largest = whole + "x".repeat(512 * 1024 - whole.length);
      expect((await ask("PUT", at, largest)).status).to.equal(200);
      await desk.everywhere("as large as Consul takes", host, says200("x"));
      const upper = await ask("PUT", `/scripts/${host.toUpperCase()}`, says("y"));
      expect(upper.body).to.include({ name: host });
      await desk.everywhere("it is the same host", host, says200("y"));
      for (const wrong of ["%3A8080", "%2Fa", "..x", "%ff"]) {
        const answer = await ask("PUT", at + wrong, says("x"));
        expect([answer.status, answer.body.error], wrong).to.deep.equal([400, "bad_request"]);
      }
      for (const wrong of ["{", '{"version": 7}', '{"versoin": "x"}', '"abc"']) {
        const answer = await ask("POST", `${at}/rollback`, wrong);
        expect([answer.status, answer.body.error], wrong).to.deep.equal([400, "bad_request"]);
      }
      const none = await ask("POST", `${at}/rollback`, '{"version": ""}');
      expect(none.status).to.equal(404);
      await desk.answers(host, "y");
    });

    it("does the same for modules, whose importers must go on working", async () => {
      const name = "lib/words";
      const host = desk.newHost();
      const module = (word: string) => `export const word = "${word}";`;
      expect((await ask("PUT", `/modules/${name}`, module("a"))).status).to.equal(200);
      const rule = `import { word } from "modules/${name}"; export default () => respond({ body: word });`;
      expect((await ask("PUT", `/scripts/${host}`, rule)).status).to.equal(200);
      await desk.everywhere("it is live", host, says200("a"));
      expect(JSON.stringify((await ask("GET", "/modules")).body)).to.contain(name);
      expect((await ask("GET", `/modules/${name}`)).body).to.include({
        name,
        source: module("a"),
      });
      const tried = await ask("POST", `/modules/${name}/test`, "export const other = 1;");
      expect(tried.status).to.equal(422);
      const broken = await ask("PUT", `/modules/${name}`, "export const other = 1;");
      expect(broken.status).to.equal(422);
      expect(broken.body.message).to.contain(`it would break scripts/${host}`);
      expect((await ask("DELETE", `/modules/${name}`)).body.message).to.contain(
        `scripts/${host} imports it`,
      );
      expect((await ask("PUT", `/modules/${name}`, module("b"))).status).to.equal(200);
      await desk.everywhere("the next one is live", host, says200("b"));
      await eventually("its history says so", async () => {
        const { versions } = (await ask("GET", `/modules/${name}/history`)).body;
        const outcomes = (versions as { outcome: string }[]).map(({ outcome }) => outcome);
        expect(outcomes).to.deep.equal(["live", "replaced"]);
      });
      expect((await ask("POST", `/modules/${name}/rollback`)).status).to.equal(200);
      await desk.everywhere("the first one is back", host, says200("a"));
    });
  });
