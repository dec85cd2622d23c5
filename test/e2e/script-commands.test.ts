/** The script commands, on two gateways with one Consul. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { runSluice } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { ScriptScene } from "./script-scene.ts";

const says = (text: string) => `export default () => respond({ body: "${text}" });\n`;
const tested = (text: string, expected: string) =>
  `${says(text)}export const tests = [{ name: "says it", expect: { respond: { body: "${expected}" } } }];\n`;

for (const kind of consulKinds())
  describe(`script commands with ${kind.name}`, function () {
    this.timeout(600_000);
    const desk = new ScriptScene(kind);

    it("push tests a script, writes it, and returns when every worker has it", async () => {
      const host = desk.newHost();
      const { status, stdout, stderr } = await desk.push(host, tested("one", "one"));
      expect(stderr).to.equal("");
      expect(status).to.equal(0);
      expect(stdout).to.match(
        /^scripts\/s\d+\.example is written as version \w{12}, 1 test passes$/m,
      );
      expect(stdout.match(/^ok .* live in 2 workers$/gm)).to.have.lengthOf(2);
      await desk.answers(host, "one");
      const again = await desk.push(host, tested("one", "one"));
      expect(again.stdout).to.contain("is already at version");
      expect(again.status).to.equal(0);
    });

    it("take a service by any of its names: the script is one, wherever its key is", async () => {
      const site = "cmdsite";
      const long = `${site}.service.consul`;
      const own = `${site}.service.dc1.consul`;
      const pushed = await desk.push(own, says("one"));
      expect(pushed.stdout).to.contain(`scripts/${site} is written as version`);
      expect(pushed.status).to.equal(0);
      for (const host of [site, long, own]) await desk.answers(host, "one");
      for (const name of [site, long, own, `_${site}._tcp.service.consul`])
        expect((await desk.script("show", name)).stdout).to.contain("one");
      const tagged = await desk.push(`v1.${long}`, says("two"));
      expect(tagged.stderr).to.contain("has a tag of a service");
      expect((await desk.script("remove", long)).status).to.equal(0);
      // An operator who wrote the key himself spelt it otherwise.
      await desk.scene.writes.put(`scripts/${long}`, says("curl"));
      const again = await desk.push(site, says("two"));
      expect(again.status).to.equal(0);
      for (const host of [site, long, own]) await desk.answers(host, "two");
      const { stdout } = await desk.script("list");
      expect(stdout.split("\n").filter((line) => line.includes(site))).to.have.lengthOf(1);
      const removed = await desk.script("remove", own);
      expect(removed.status).to.equal(0);
      for (const gateway of desk.gateways)
        expect((await gateway.request({ host: site })).status).to.equal(404);
    });

    it("push refuses a script whose tests fail, and writes nothing", async () => {
      const host = desk.newHost();
      const { status, stdout } = await desk.push(host, tested("one", "two"));
      expect(status).to.equal(1);
      expect(stdout).to.contain(`refused: scripts/${host}:2:`);
      expect(stdout).to.contain('expected  {"respond":{"body":"two"}}');
      expect(stdout).to.contain('actual    {"respond":{"status":200,"body":"one","headers":{}}}');
      const { stdout: list } = await desk.script("list");
      expect(list).to.not.contain(host);
      const shown = await desk.script("show", host);
      expect(shown.status).to.equal(1);
      expect(shown.stderr).to.equal(`sluice: there is no scripts/${host}\n`);
    });

    it("push says which gateway has not got it", async () => {
      const host = desk.newHost();
      await desk.scene.writes.hold("gateways/lost", { name: "lost", admin: "127.0.0.1:1" });
      desk.scene.later(() => desk.scene.writes.remove("gateways/lost"));
      const path = desk.file("rule.js", says("one"));
      const { status, stdout } = await desk.script("push", path, "--host", host);
      expect(status).to.equal(1);
      expect(stdout).to.match(/^NOT {2}lost +127\.0\.0\.1:1 +no gateway answers/m);
      expect(stdout.match(/^ok /gm)).to.have.lengthOf(2);
    });

    it("push says which worker has not got it", async () => {
      const [gateway] = desk.gateways;
      if (gateway === undefined) throw new Error("there is no gateway");
      const path = desk.file("rule.js", says("one"));
      /** `null`: the worker was replaced before the push had asked, as it says nothing. */
      const pushBeside = async (host: string) => {
        const pid = (await gateway.caughtUp()).workers[1]?.pid ?? 0;
        process.kill(pid, "SIGSTOP");
        const pushed = await desk.script("push", path, "--host", host, "--timeout", "1s");
        const isThere = (await gateway.status()).workers.some((worker) => worker.pid === pid);
        if (isThere) process.kill(pid, "SIGCONT");
        return isThere ? { ...pushed, pid } : null;
      };
      await eventually("the push asks in time", async () => {
        const pushed = await pushBeside(desk.newHost());
        if (pushed === null) throw new Error("the worker was replaced");
        const { status, stdout, pid } = pushed;
        expect(status).to.equal(1);
        expect(stdout).to.match(new RegExp(`^NOT .* but not yet in the workers ${pid}$`, "m"));
        // The other gateway may need longer than the push had.
        expect(stdout.match(/^ok .* live in 2 workers$/gm)).to.have.lengthOf(1);
      });
      await gateway.caughtUp();
    });

    it("every command does the same for modules", async () => {
      const name = "words/of";
      const pushed = [];
      for (const word of ["one", "two"]) {
        const path = desk.file("words.js", `export const word = "${word}";\n`);
        pushed.push(await desk.script("push", path, "--module", name, "--by", "ada"));
      }
      for (const { status, stdout } of pushed) {
        expect(status, stdout).to.equal(0);
        expect(stdout.match(/^ok .* live in 2 workers$/gm)).to.have.lengthOf(2);
      }
      expect((await desk.script("list", "--modules")).stdout).to.contain(name);
      const shown = async () => (await desk.script("show", name, "--module")).stdout;
      expect(await shown()).to.equal('export const word = "two";\n');
      await desk.moduleComesTo(name, "live", "replaced");
      expect((await desk.script("rollback", name, "--module")).status).to.equal(0);
      expect(await shown()).to.equal('export const word = "one";\n');
      await desk.moduleComesTo(name, "live", "replaced", "replaced");
      const removed = await desk.script("remove", name, "--module");
      expect(removed.stdout.match(/^ok .* gone in 2 workers$/gm)).to.have.lengthOf(2);
      expect((await desk.script("list", "--modules")).stdout).to.not.contain(name);
    });

    it("TypeScript is pushed without its types, and its faults have their place", async () => {
      const host = desk.newHost();
      const rule = `interface Named { readonly name: string }
        const who: Named = { name: "typed" };
        export default (request: SluiceRequest) => respond({ body: who.name });`;
      const pushed = await desk.push(host, rule, "rule.ts");
      expect(pushed.stderr).to.equal("");
      expect(pushed.status, pushed.stdout).to.equal(0);
      await desk.answers(host, "typed");
      const broken = await desk.push(host, "\n  enum A { B }\nexport default () => {};", "rule.ts");
      expect(broken.status).to.equal(1);
      expect(broken.stdout).to.contain(`scripts/${host}:2:3: not TypeScript`);
    });

    it("test runs a file's tests against the modules and settings in Consul", async () => {
      await desk.scene.writes.put("modules/words", "export const word = () => settings.word;");
      await desk.scene.writes.put("settings/word", JSON.stringify("hello"));
      const rule = `import { word } from "modules/words";
        export default () => respond({ body: word() });
        export const tests = [
          { expect: { respond: { body: "hello" } } },
          { settings: { word: "bye" }, expect: { respond: { body: "bye" } } },
        ];`;
      const good = await desk.script("test", desk.file("rule.js", rule));
      expect(good.stdout).to.equal("it loads; 2 tests pass\n");
      const bad = await desk.script("test", desk.file("rule.js", "export default () => {"));
      expect(bad.status).to.equal(1);
      expect(bad.stdout).to.match(/^refused: scripts\/test\.example:1:\d+: SyntaxError/);
    });

    it("test does without a Consul where none answers, and says so", async () => {
      const path = desk.file("rule.js", tested("one", "one"));
      const { status, stdout } = await runSluice([
        "script",
        "test",
        path,
        "--consul",
        "127.0.0.1:1",
      ]);
      expect(stdout).to.match(/^warning: without modules and settings, .*ECONNREFUSED/);
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
        const path = desk.file("endless.js", text);
        const tried = await desk.script("test", path, "--script-timeout", "5ms");
        expect(tried.status, what).to.equal(1);
        expect(tried.stdout, what).to.match(/^refused: scripts\/test\.example:/);
      }
      const host = desk.newHost();
      const pushed = await desk.push(host, endless["what no time limit ends"]);
      expect(pushed.status).to.equal(1);
      expect(pushed.stdout).to.match(/^refused: scripts\//);
      expect((await desk.script("show", host)).stderr).to.contain("there is no scripts/");
    });

    it("a source is held to the limits of the gateway's settings", async () => {
      // Loading may take ten times as long as a call.
      const slow = desk.file(
        "slow.js",
        `const end = Date.now() + 400; while (Date.now() < end); ${says("x")}`,
      );
      const byDefault = await desk.script("test", slow);
      expect(byDefault.status).to.equal(1);
      expect(byDefault.stdout).to.contain("100 ms");
      const byFlag = await desk.script("test", slow, "--script-timeout", "1s");
      expect(byFlag.stdout).to.equal("it loads; it has no tests\n");
      const args = ["script", "test", slow, "--consul", desk.scene.consul.url];
      const byVariable = await runSluice(args, { SLUICE_SCRIPT_TIMEOUT: "1s" });
      expect(byVariable.stdout).to.equal("it loads; it has no tests\n");
      const config = desk.file("sluice.json", JSON.stringify({ scriptTimeout: "1s" }));
      const byFile = await desk.script("test", slow, "--config", config);
      expect(byFile.stdout).to.equal("it loads; it has no tests\n");
      const heap =
        "const all = []; for (let at = 0; at < 500; at += 1) all.push(new Array(1e4).fill(at + 0.5));";
      const large = desk.file("large.js", `${heap} ${says("x")}`);
      // On a busy machine the time must not be over before the memory is.
      const patient = ["test", large, "--script-timeout", "1s"] as const;
      expect((await desk.script(...patient)).stdout).to.match(/^refused: .*memory/);
      const more = await desk.script(...patient, "--script-memory", "128");
      expect(more.stdout).to.equal("it loads; it has no tests\n");
      const wrong = await desk.script("test", slow, "--script-timeout", "soon");
      expect(wrong.stderr).to.match(/^sluice: --script-timeout: /);
      expect(wrong.status).to.equal(2);
    });

    it("a file that begins with a byte order mark is the one that it would be without", async () => {
      const host = desk.newHost();
      const { status, stdout } = await desk.push(host, `\uFEFF${says("one")}`);
      expect(status, stdout).to.equal(0);
      expect((await desk.script("show", host)).stdout).to.equal(says("one"));
    });

    it("a second rollback goes back to where the first one came from", async () => {
      const host = desk.newHost();
      for (const text of ["one", "two"]) await desk.push(host, says(text));
      await desk.comesTo(host, "live", "replaced");
      for (const text of ["one", "two", "one"]) {
        expect((await desk.script("rollback", host)).status).to.equal(0);
        await desk.answers(host, text);
      }
    });

    it("two pushes at once: none is lost without a word", async () => {
      const host = desk.newHost();
      const texts = ["left", "right"];
      const pushes = await Promise.all(
        texts.map((text) => desk.push(host, says(text), `${text}.js`)),
      );
      const shown = (await desk.script("show", host)).stdout;
      const good = texts.filter(
        (_, at) => !pushes[at]?.stderr.includes("changed by somebody else"),
      );
      expect(good.map(says)).to.include(shown);
      await eventually("the history has one that is live", async () => {
        const outcomes = await desk.outcomes(host);
        expect(outcomes.filter((outcome) => outcome === "live")).to.have.lengthOf(1);
        expect(outcomes).to.have.lengthOf(good.length);
      });
    });

    it("history says who and how it ended, rollback brings back, remove takes away", async () => {
      const host = desk.newHost();
      const replaced: string[] = [];
      for (const text of ["one", "two", "three"]) {
        await desk.push(host, says(text));
        await desk.comesTo(host, "live", ...replaced);
        replaced.push("replaced");
      }
      const before = (await desk.script("history", host)).stdout.trim().split("\n").slice(1);
      expect(before.map((line) => /ada +(\w+)/.exec(line)?.[1])).to.deep.equal([
        "live",
        "replaced",
        "replaced",
      ]);
      const back = await desk.script("rollback", host);
      expect(back.status, back.stderr).to.equal(0);
      await desk.answers(host, "two");
      const first = before[2]?.slice(0, 12) ?? "";
      expect((await desk.script("show", host, "--version", first)).stdout).to.equal(says("one"));
      await desk.script("rollback", host, first);
      await desk.answers(host, "one");
      expect((await desk.script("rollback", host, "abcdef")).stderr).to.equal(
        `sluice: scripts/${host} has no version abcdef in its history\n`,
      );
      expect((await desk.script("show", host)).stdout).to.equal(says("one"));
      const removed = await desk.script("remove", host);
      expect(removed.stdout.match(/^ok .* gone in 2 workers$/gm)).to.have.lengthOf(2);
      for (const gateway of desk.gateways) {
        expect((await gateway.request({ host })).status).to.equal(404);
      }
      await eventually("the history says so", async () => {
        const after = await desk.script("history", host);
        expect(after.stdout.split("\n")[1]).to.contain("removed");
      });
      await desk.script("rollback", host);
      await desk.answers(host, "one");
    });

    it("status shows rollouts, and a version that gateways refused with its case", async () => {
      const host = desk.newHost();
      await desk.push(host, says("one"));
      const rollout = `export const rollout = { percent: 5, steps: ["10m", "10m"] };`;
      const rolled = await desk.push(host, says("two") + rollout);
      expect(rolled.stdout.match(/^ok .* live for 5 % in 2 workers$/gm)).to.have.lengthOf(2);
      const other = desk.newHost();
      await desk.scene.writes.put(`scripts/${other}`, tested("one", "two"));
      await eventually("both gateways refuse it", async () => {
        const { stdout } = await desk.script("status");
        expect(stdout.match(/^ {4}test {6}says it$/gm)).to.have.lengthOf(2);
        expect(stdout.match(/^ {4}expected {2}\{"respond":\{"body":"two"\}\}$/gm)).to.have.lengthOf(
          2,
        );
        expect(stdout.match(/^ {4}actual {4}\{"respond":.*"body":"one".*$/gm)).to.have.lengthOf(2);
        expect(stdout.match(/ has 5 % until /g)).to.have.lengthOf(2);
        expect(stdout).to.match(new RegExp(`refused: sluice/scripts/${other}:\\d+:\\d+ since`));
      });
      await desk.scene.writes.remove(`scripts/${other}`);
    });
  });
