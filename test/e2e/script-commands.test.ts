/** The script commands and the admin API of scripts, on two gateways with one Consul. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as readText } from "node:stream/consumers";
import { expect } from "chai";
import type { Status } from "../../gateway/primary/index.ts";
import { consulKinds } from "../support/consul.ts";
import { runSluice, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const says = (text: string) => `export default () => respond({ body: "${text}" });\n`;
const tested = (text: string, expected: string) =>
  `${says(text)}export const tests = [{ name: "says it", expect: { respond: { body: "${expected}" } } }];\n`;

for (const kind of consulKinds())
  describe(`script commands with ${kind.name}`, function () {
    this.timeout(60_000);
    let scene: Scene;
    let gateways: TestGateway[];
    let folder: string;
    let hosts = 0;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), "sluice-scripts-"));
      scene = await Scene.open(kind);
      const start = () => TestGateway.start({ consul: scene.consul.url });
      gateways = await Promise.all([start(), start()]);
      await eventually("both are registered", async () => {
        const { stdout } = await script("status");
        expect(stdout.match(/^gateway /gm)).to.have.lengthOf(2);
      });
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
      await scene?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const script = (...args: readonly string[]) =>
      runSluice(["script", ...args, "--consul", scene.consul.url]);
    const newHost = () => {
      hosts += 1;
      return `cmd${hosts}.example`;
    };
    function file(name: string, text: string | Uint8Array): string {
      const path = join(folder, name);
      writeFileSync(path, text);
      return path;
    }
    const push = (host: string, text: string, name = "rule.js") =>
      script("push", file(name, text), "--host", host, "--by", "ada");
    async function answers(host: string, body: string): Promise<void> {
      for (const gateway of gateways) {
        for (let each = 0; each < 4; each += 1) {
          expect((await gateway.request({ host })).body).to.equal(body);
        }
      }
    }

    it("push tests a script, writes it, and returns when every worker has it", async () => {
      const host = newHost();
      const { status, stdout, stderr } = await push(host, tested("one", "one"));
      expect(stderr).to.equal("");
      expect(status).to.equal(0);
      expect(stdout).to.match(
        /^scripts\/cmd\d+\.example is written as version \w{12}, 1 test passes$/m,
      );
      expect(stdout.match(/^ok .* live in 2 workers$/gm)).to.have.lengthOf(2);
      await answers(host, "one");
      const again = await push(host, tested("one", "one"));
      expect(again.stdout).to.contain("is already at version");
      expect(again.status).to.equal(0);
    });

    it("take a service by any of its names: the script is one, wherever its key is", async () => {
      const site = "cmdsite";
      const long = `${site}.service.consul`;
      const own = `${site}.service.dc1.consul`;
      const pushed = await push(own, says("one"));
      expect(pushed.stdout).to.contain(`scripts/${site} is written as version`);
      expect(pushed.status).to.equal(0);
      for (const host of [site, long, own]) await answers(host, "one");
      for (const name of [site, long, own, `_${site}._tcp.service.consul`])
        expect((await script("show", name)).stdout).to.contain("one");
      const tagged = await push(`v1.${long}`, says("two"));
      expect(tagged.stderr).to.contain("has a tag of a service");
      expect((await script("remove", long)).status).to.equal(0);
      // An operator who wrote the key himself spelt it otherwise.
      await scene.writes.put(`scripts/${long}`, says("curl"));
      const again = await push(site, says("two"));
      expect(again.status).to.equal(0);
      for (const host of [site, long, own]) await answers(host, "two");
      const { stdout } = await script("list");
      expect(stdout.split("\n").filter((line) => line.includes(site))).to.have.lengthOf(1);
      const removed = await script("remove", own);
      expect(removed.status).to.equal(0);
      for (const gateway of gateways)
        expect((await gateway.request({ host: site })).status).to.equal(404);
    });

    it("push refuses a script whose tests fail, and writes nothing", async () => {
      const host = newHost();
      const { status, stdout } = await push(host, tested("one", "two"));
      expect(status).to.equal(1);
      expect(stdout).to.contain(`refused: scripts/${host}:2:`);
      expect(stdout).to.contain('expected  {"respond":{"body":"two"}}');
      expect(stdout).to.contain('actual    {"respond":{"status":200,"body":"one","headers":{}}}');
      const { stdout: list } = await script("list");
      expect(list).to.not.contain(host);
      const shown = await script("show", host);
      expect(shown.status).to.equal(1);
      expect(shown.stderr).to.equal(`sluice: there is no scripts/${host}\n`);
    });

    it("push says which gateway has not got it", async () => {
      const host = newHost();
      await scene.writes.hold("gateways/lost", { name: "lost", admin: "127.0.0.1:1" });
      scene.later(() => scene.writes.remove("gateways/lost"));
      const path = file("rule.js", says("one"));
      const { status, stdout } = await script("push", path, "--host", host, "--timeout", "1s");
      expect(status).to.equal(1);
      expect(stdout).to.match(/^NOT {2}lost +127\.0\.0\.1:1 +no gateway answers/m);
      expect(stdout.match(/^ok /gm)).to.have.lengthOf(2);
    });

    it("push says which worker has not got it", async () => {
      const host = newHost();
      const pid = (await gateways[0]?.status())?.workers[1]?.pid ?? 0;
      process.kill(pid, "SIGSTOP");
      scene.later(() => process.kill(pid, "SIGCONT"));
      const path = file("rule.js", says("one"));
      const { status, stdout } = await script("push", path, "--host", host, "--timeout", "1s");
      expect(status).to.equal(1);
      expect(stdout).to.match(new RegExp(`^NOT .* but not yet in the workers ${pid}$`, "m"));
      expect(stdout.match(/^ok .* live in 2 workers$/gm)).to.have.lengthOf(1);
      process.kill(pid, "SIGCONT");
      await gateways[0]?.caughtUp();
    });

    it("every command does the same for modules", async () => {
      const name = `words/of${hosts}`;
      const pushed = [];
      for (const word of ["one", "two"]) {
        const path = file("words.js", `export const word = "${word}";\n`);
        pushed.push(await script("push", path, "--module", name, "--by", "ada"));
      }
      for (const { status, stdout } of pushed) {
        expect(status, stdout).to.equal(0);
        expect(stdout.match(/^ok .* live in 2 workers$/gm)).to.have.lengthOf(2);
      }
      expect((await script("list", "--modules")).stdout).to.contain(name);
      const shown = async () => (await script("show", name, "--module")).stdout;
      expect(await shown()).to.equal('export const word = "two";\n');
      expect((await script("rollback", name, "--module")).status).to.equal(0);
      expect(await shown()).to.equal('export const word = "one";\n');
      await eventually("its history says so", async () => {
        const { stdout } = await script("history", name, "--module");
        const outcomes = [...stdout.matchAll(/ (live|replaced) /g)].map(([, outcome]) => outcome);
        expect(outcomes).to.deep.equal(["live", "replaced", "replaced"]);
      });
      const removed = await script("remove", name, "--module");
      expect(removed.stdout.match(/^ok .* gone in 2 workers$/gm)).to.have.lengthOf(2);
      expect((await script("list", "--modules")).stdout).to.not.contain(name);
    });

    it("TypeScript is pushed without its types, and its faults have their place", async () => {
      const host = newHost();
      const rule = `interface Named { readonly name: string }
        const who: Named = { name: "typed" };
        export default (request: SluiceRequest) => respond({ body: who.name });`;
      const pushed = await push(host, rule, "rule.ts");
      expect(pushed.stderr).to.equal("");
      expect(pushed.status, pushed.stdout).to.equal(0);
      await answers(host, "typed");
      const broken = await push(host, "\n  enum A { B }\nexport default () => {};", "rule.ts");
      expect(broken.status).to.equal(1);
      expect(broken.stdout).to.contain(`scripts/${host}:2:3: not TypeScript`);
    });

    it("test runs a file's tests against the modules and settings in Consul", async () => {
      await scene.writes.put("modules/words", "export const word = () => settings.word;");
      await scene.writes.put("settings/word", JSON.stringify("hello"));
      const rule = `import { word } from "modules/words";
        export default () => respond({ body: word() });
        export const tests = [
          { expect: { respond: { body: "hello" } } },
          { settings: { word: "bye" }, expect: { respond: { body: "bye" } } },
        ];`;
      const good = await script("test", file("rule.js", rule));
      expect(good.stdout).to.equal("it loads; 2 tests pass\n");
      const bad = await script("test", file("rule.js", "export default () => {"));
      expect(bad.status).to.equal(1);
      expect(bad.stdout).to.match(/^refused: scripts\/test\.example:1:\d+: SyntaxError/);
    });

    it("test does without a Consul where none answers, and says so", async () => {
      const path = file("rule.js", tested("one", "one"));
      const { status, stdout } = await runSluice([
        "script",
        "test",
        path,
        "--consul",
        "127.0.0.1:1",
      ]);
      expect(stdout).to.match(/^without modules and settings, .*ECONNREFUSED/);
      expect(stdout).to.contain("\nit loads; 1 test passes\n");
      expect(status).to.equal(0);
    });

    it("a script that never ends, or takes its process with it, is refused by test and push", async () => {
      const endless = {
        "an endless top level": "for (;;); export default () => {};",
        "an endless test": `${says("x")} export const tests = [{ get request() { for (;;); } }];`,
        "what no time limit ends": "throw { get message() { for (;;); } };",
        "memory without end": "const all = []; for (;;) all.push(new Array(1e5).fill(1));",
      };
      for (const [what, text] of Object.entries(endless)) {
        const path = file("endless.js", text);
        const tried = await script("test", path, "--script-timeout", "5ms");
        expect(tried.status, what).to.equal(1);
        expect(tried.stdout, what).to.match(/^refused: scripts\/test\.example:/);
      }
      const host = newHost();
      const pushed = await push(host, endless["what no time limit ends"]);
      expect(pushed.status).to.equal(1);
      expect(pushed.stdout).to.match(/^refused: scripts\//);
      expect((await script("show", host)).stderr).to.contain("there is no scripts/");
    });

    it("a source is held to the limits of the gateway's settings", async () => {
      // Loading may take ten times as long as a call.
      const slow = file(
        "slow.js",
        `const end = Date.now() + 400; while (Date.now() < end); ${says("x")}`,
      );
      const byDefault = await script("test", slow);
      expect(byDefault.status).to.equal(1);
      expect(byDefault.stdout).to.contain("100 ms");
      const byFlag = await script("test", slow, "--script-timeout", "200ms");
      expect(byFlag.stdout).to.equal("it loads; it has no tests\n");
      const args = ["script", "test", slow, "--consul", scene.consul.url];
      const byVariable = await runSluice(args, { SLUICE_SCRIPT_TIMEOUT: "200ms" });
      expect(byVariable.stdout).to.equal("it loads; it has no tests\n");
      const config = file("sluice.json", JSON.stringify({ scriptTimeout: "200ms" }));
      const byFile = await script("test", slow, "--config", config);
      expect(byFile.stdout).to.equal("it loads; it has no tests\n");
      const heap =
        "const all = []; for (let at = 0; at < 500; at += 1) all.push(new Array(1e4).fill(at + 0.5));";
      const large = file("large.js", `${heap} ${says("x")}`);
      expect((await script("test", large)).stdout).to.match(/^refused: .*memory/);
      const more = await script("test", large, "--script-memory", "128", "--script-timeout", "1s");
      expect(more.stdout).to.equal("it loads; it has no tests\n");
      const wrong = await script("test", slow, "--script-timeout", "soon");
      expect(wrong.stderr).to.match(/^sluice: --script-timeout: /);
      expect(wrong.status).to.equal(1);
    });

    describe("what is wrong is said in one line", () => {
      const wrong = async (...args: readonly string[]) => {
        const { status, stdout, stderr } = await script(...args);
        expect(status).to.equal(1);
        return stdout + stderr;
      };
      const rule = () => file("rule.js", says("x"));

      it("of the file", async () => {
        const to = ["--host", "wrong.example"];
        const at = "refused: scripts/wrong.example";
        expect(await wrong("push", join(folder, "none.js"), ...to)).to.match(
          /^sluice: .*none\.js cannot be read: there is no such file or directory \(ENOENT\)\n$/,
        );
        expect(await wrong("push", file("empty.js", "\n"), ...to)).to.equal(`${at}: it is empty\n`);
        const bytes = Buffer.concat([Buffer.from(says("x")), Buffer.from([0xff])]);
        expect(await wrong("push", file("bytes.js", bytes), ...to)).to.equal(
          `${at}: it is not UTF-8\n`,
        );
        const large = file("large.js", `${says("x")}//${"x".repeat(512 * 1024)}`);
        expect(await wrong("push", large, ...to)).to.match(/: 52\d{4} bytes are above 524288\n$/);
        const bad = "interface A {}\n\nexport default (r: A) => {\n  const x: string = ;\n};";
        expect(await wrong("push", file("bad.ts", bad), ...to)).to.contain(`${at}:4:21: `);
        const js = "export default () => {\n  const x = ;\n};";
        expect(await wrong("push", file("bad.js", js), ...to)).to.contain(
          `${at}:2:13: SyntaxError`,
        );
        const throws = `${"\n".repeat(3)}const y: number = 3;
          export default (r: SluiceRequest) => { (null as unknown as { x: 1 }).x; };
          export const tests = [{ expect: { pass: true } }];`;
        expect(await wrong("push", file("throws.ts", throws), ...to)).to.contain(`${at}:5:80: `);
        expect((await script("list")).stdout).to.not.contain("wrong.example");
      });

      it("of the host", async () => {
        expect(await wrong("push", rule())).to.equal(
          "sluice: say what it is for: --host HOST, or --module NAME\n",
        );
        for (const host of ["a.example:8080", "http://a.example/", "a.example/x", "a..example"]) {
          expect(await wrong("push", rule(), "--host", host), host).to.equal(
            `sluice: scripts/${host}: "${host}" is not a host or *.domain: no scheme, no port, no path\n`,
          );
        }
        const upper = newHost();
        const { status, stdout } = await script("push", rule(), "--host", upper.toUpperCase());
        expect(status, stdout).to.equal(0);
        expect(stdout).to.contain(`scripts/${upper} is written`);
      });

      it("of what is not there", async () => {
        const host = newHost();
        expect(await wrong("remove", host)).to.equal(`sluice: there is no scripts/${host}\n`);
        expect(await wrong("rollback", host)).to.contain("has no earlier version that was good");
        await push(host, says("one"));
        expect(await wrong("rollback", host)).to.contain("has no earlier version that was good");
        expect(await wrong("rollback", host, "abcd1234")).to.contain("has no version abcd1234");
        expect(await wrong("rollback", host, "latest")).to.contain(
          '"latest" is no version: 4 to 64',
        );
      });

      it("of modules", async () => {
        const lacks = file("module.js", 'import "modules/nobody";\nexport const a = 1;');
        expect(await wrong("push", lacks, "--module", "lacks")).to.equal(
          'refused: modules/lacks:1:8: import "modules/nobody": there is no such key\n',
        );
        const self = file("self.js", '\nimport "modules/self";');
        expect(await wrong("push", self, "--module", "self")).to.equal(
          "refused: modules/self:2:8: the imports make a cycle: modules/self -> modules/self\n",
        );
        await scene.writes.put("modules/ring1", 'import "modules/ring2";');
        await scene.writes.put("modules/ring2", 'import "modules/ring1";');
        scene.later(() => scene.writes.remove("modules/ring1"));
        scene.later(() => scene.writes.remove("modules/ring2"));
        const uses = file("uses.js", `import "modules/ring1";\n${says("x")}`);
        expect(await wrong("push", uses, "--host", newHost())).to.contain(
          "the imports make a cycle: modules/ring1 -> modules/ring2 -> modules/ring1",
        );
        for (const gateway of gateways) {
          const { refused } = await gateway.statusWhen("it says so too", (now) =>
            ["ring1", "ring2"].every((name) =>
              now.refused.some(
                ({ key, error }) =>
                  key === `sluice/modules/${name}` && error.includes("the imports make a cycle"),
              ),
            ),
          );
          expect(refused.map(({ key }) => key)).to.include("sluice/modules/ring1");
        }
        const host = newHost();
        await scene.writes.put(`scripts/${host}`, `import "modules/ring1";\n${says("x")}`);
        scene.later(() => scene.writes.remove(`scripts/${host}`));
        for (const gateway of gateways) {
          const { refused } = await gateway.statusWhen("the script is refused", (now) =>
            now.refused.some(({ key }) => key === `sluice/scripts/${host}`),
          );
          const found = refused.find(({ key }) => key === `sluice/scripts/${host}`);
          expect(found?.error).to.match(/; modules\/ring[12] is refused itself$/);
        }
      });

      it("of a module that lacks another, until that one comes", async () => {
        const isRefused = (now: Status) =>
          now.refused.some(({ key }) => key === "sluice/modules/early");
        await scene.writes.put("modules/early", 'export { word } from "modules/later";');
        for (const gateway of gateways) await gateway.statusWhen("it is refused", isRefused);
        await scene.writes.put("modules/later", 'export const word = "x";');
        for (const gateway of gateways) {
          await gateway.statusWhen("both are live", (now) =>
            ["early", "later"].every((name) => now.modules.some((one) => one.name === name)),
          );
          expect(isRefused(await gateway.status())).to.equal(false);
        }
      });

      it("of a Consul that does not answer", async () => {
        for (const args of [["push", rule(), "--host", "a.example"], ["status"], ["list"]]) {
          const { status, stdout, stderr } = await runSluice([
            "script",
            ...args,
            "--consul",
            "127.0.0.1:1",
          ]);
          expect(status).to.equal(1);
          expect(stdout).to.equal("");
          expect(stderr).to.match(/^sluice: http:\/\/127\.0\.0\.1:1\/.*ECONNREFUSED.*\n$/);
        }
      });
    });

    it("a file that begins with a byte order mark is the one that it would be without", async () => {
      const host = newHost();
      const { status, stdout } = await push(host, `\uFEFF${says("one")}`);
      expect(status, stdout).to.equal(0);
      expect((await script("show", host)).stdout).to.equal(says("one"));
    });

    it("a second rollback goes back to where the first one came from", async () => {
      const host = newHost();
      for (const text of ["one", "two"]) await push(host, says(text));
      for (const text of ["one", "two", "one"]) {
        expect((await script("rollback", host)).status).to.equal(0);
        await answers(host, text);
      }
    });

    it("two pushes at once: none is lost without a word", async () => {
      const host = newHost();
      const texts = ["left", "right"];
      const pushes = await Promise.all(texts.map((text) => push(host, says(text), `${text}.js`)));
      const shown = (await script("show", host)).stdout;
      const { versions } = JSON.parse(
        await (await fetch(`${scene.consul.url}/v1/kv/sluice/history/scripts/${host}?raw`)).text(),
      ) as { versions: { outcome: string }[] };
      const good = texts.filter(
        (_, at) => !pushes[at]?.stderr.includes("changed by somebody else"),
      );
      expect(good.map(says)).to.include(shown);
      expect(versions.filter(({ outcome }) => outcome === "live")).to.have.lengthOf(1);
      expect(versions).to.have.lengthOf(good.length);
    });

    it("history says who and how it ended, rollback brings back, remove takes away", async () => {
      const host = newHost();
      for (const text of ["one", "two", "three"]) await push(host, says(text));
      const before = (await script("history", host)).stdout.trim().split("\n").slice(1);
      expect(before.map((line) => /ada +(\w+)/.exec(line)?.[1])).to.deep.equal([
        "live",
        "replaced",
        "replaced",
      ]);
      const back = await script("rollback", host);
      expect(back.status, back.stderr).to.equal(0);
      await answers(host, "two");
      const first = before[2]?.slice(0, 12) ?? "";
      expect((await script("show", host, "--version", first)).stdout).to.equal(says("one"));
      await script("rollback", host, first);
      await answers(host, "one");
      expect((await script("rollback", host, "abcdef")).stderr).to.equal(
        `sluice: scripts/${host} has no version abcdef in its history\n`,
      );
      expect((await script("show", host)).stdout).to.equal(says("one"));
      const removed = await script("remove", host);
      expect(removed.stdout.match(/^ok .* gone in 2 workers$/gm)).to.have.lengthOf(2);
      for (const gateway of gateways) {
        expect((await gateway.request({ host })).status).to.equal(404);
      }
      const after = await script("history", host);
      expect(after.stdout.split("\n")[1]).to.contain("removed");
      await script("rollback", host);
      await answers(host, "one");
    });

    it("status shows rollouts, and a version that gateways refused with its case", async () => {
      const host = newHost();
      await push(host, says("one"));
      const rollout = `export const rollout = { percent: 5, steps: ["10m", "10m"] };`;
      const rolled = await push(host, says("two") + rollout);
      expect(rolled.stdout.match(/^ok .* live for 5 % in 2 workers$/gm)).to.have.lengthOf(2);
      const other = newHost();
      await scene.writes.put(`scripts/${other}`, tested("one", "two"));
      await eventually("both gateways refuse it", async () => {
        const { stdout } = await script("status");
        expect(stdout.match(/^ {4}test {6}says it$/gm)).to.have.lengthOf(2);
        expect(stdout.match(/^ {4}expected {2}\{"respond":\{"body":"two"\}\}$/gm)).to.have.lengthOf(
          2,
        );
        expect(stdout.match(/^ {4}actual {4}\{"respond":.*"body":"one".*$/gm)).to.have.lengthOf(2);
        expect(stdout.match(/ has 5 % until /g)).to.have.lengthOf(2);
        expect(stdout).to.match(new RegExp(`refused: sluice/scripts/${other}:\\d+:\\d+ since`));
      });
      await scene.writes.remove(`scripts/${other}`);
    });

    describe("the admin API", () => {
      async function ask(method: string, path: string, body?: string | Uint8Array, headers = {}) {
        const [gateway] = gateways;
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
        const host = newHost();
        const at = `/scripts/${host}`;
        const put = await ask("PUT", at, tested("one", "one"), { "sluice-by": "ada" });
        expect(put.status).to.equal(200);
        expect(put.body).to.deep.include({ name: host, isNew: true, tests: 1 });
        await eventually("it is live", () => answers(host, "one"));
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
        await eventually("the second is live", () => answers(host, "two"));
        expect((await ask("POST", `${at}/rollback`)).body.version).to.equal(put.body.version);
        await eventually("the first is back", () => answers(host, "one"));
        const history = (await ask("GET", `${at}/history`)).body.versions as { by: string }[];
        expect(history.at(-1)?.by).to.equal("ada");
        expect((await ask("DELETE", at)).body).to.deep.equal({ name: host, removed: true });
        expect((await ask("GET", at)).status).to.equal(404);
      });

      it("answers errors as JSON with line and column, and writes nothing", async () => {
        const host = newHost();
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
        const host = newHost();
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
        await eventually("as large as Consul takes", () => answers(host, "x"));
        const upper = await ask("PUT", `/scripts/${host.toUpperCase()}`, says("y"));
        expect(upper.body).to.include({ name: host });
        await eventually("it is the same host", () => answers(host, "y"));
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
        await answers(host, "y");
      });

      it("does the same for modules, whose importers must go on working", async () => {
        const name = `lib/words${hosts}`;
        const host = newHost();
        const module = (word: string) => `export const word = "${word}";`;
        expect((await ask("PUT", `/modules/${name}`, module("a"))).status).to.equal(200);
        const rule = `import { word } from "modules/${name}"; export default () => respond({ body: word });`;
        expect((await ask("PUT", `/scripts/${host}`, rule)).status).to.equal(200);
        await eventually("it is live", () => answers(host, "a"));
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
        await eventually("the next one is live", () => answers(host, "b"));
        await eventually("its history says so", async () => {
          const { versions } = (await ask("GET", `/modules/${name}/history`)).body;
          const outcomes = (versions as { outcome: string }[]).map(({ outcome }) => outcome);
          expect(outcomes).to.deep.equal(["live", "replaced"]);
        });
        expect((await ask("POST", `/modules/${name}/rollback`)).status).to.equal(200);
        await eventually("the first one is back", () => answers(host, "a"));
      });
    });
  });
