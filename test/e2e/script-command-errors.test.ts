/** What the script commands say in one line when something is wrong. */
import { join } from "node:path";
import { expect } from "chai";
import type { Status } from "../../gateway/primary/index.ts";
import { consulKinds } from "../support/consul.ts";
import { runSluice } from "../support/gateway.ts";
import { ScriptScene } from "./script-scene.ts";

const says = (text: string) => `export default () => respond({ body: "${text}" });\n`;
for (const kind of consulKinds())
  describe(`what is wrong with a script command is said with ${kind.name}`, function () {
    this.timeout(600_000);
    const desk = new ScriptScene(kind);

    const ends = async (expected: number, args: readonly string[]) => {
      const { status, stdout, stderr } = await desk.script(...args);
      expect(status).to.equal(expected);
      return stdout + stderr;
    };
    const wrong = (...args: readonly string[]) => ends(1, args);
    /** The command line itself. */
    const misused = (...args: readonly string[]) => ends(2, args);
    const rule = () => desk.file("rule.js", says("x"));

    it("of the file", async () => {
      const to = ["--host", "wrong.example"];
      const at = "refused: scripts/wrong.example";
      expect(await wrong("push", join(desk.folder, "none.js"), ...to)).to.match(
        /^sluice: .*none\.js cannot be read: there is no such file or directory \(ENOENT\)\n$/,
      );
      expect(await wrong("push", desk.file("empty.js", "\n"), ...to)).to.equal(
        `${at}: it is empty\n`,
      );
      const bytes = Buffer.concat([Buffer.from(says("x")), Buffer.from([0xff])]);
      expect(await wrong("push", desk.file("bytes.js", bytes), ...to)).to.equal(
        `${at}: it is not UTF-8\n`,
      );
      const large = desk.file("large.js", `${says("x")}//${"x".repeat(512 * 1024)}`);
      expect(await wrong("push", large, ...to)).to.match(/: 52\d{4} bytes are above 524288\n$/);
      const bad = "interface A {}\n\nexport default (r: A) => {\n  const x: string = ;\n};";
      expect(await wrong("push", desk.file("bad.ts", bad), ...to)).to.contain(`${at}:4:21: `);
      const js = "export default () => {\n  const x = ;\n};";
      expect(await wrong("push", desk.file("bad.js", js), ...to)).to.contain(
        `${at}:2:13: SyntaxError`,
      );
      const throws = `${"\n".repeat(3)}const y: number = 3;
        export default (r: SluiceRequest) => { (null as unknown as { x: 1 }).x; };
        export const tests = [{ expect: { pass: true } }];`;
      expect(await wrong("push", desk.file("throws.ts", throws), ...to)).to.contain(`${at}:5:78: `);
      expect((await desk.script("list")).stdout).to.not.contain("wrong.example");
    });

    it("of the host", async () => {
      expect(await misused("push", rule())).to.equal(
        "sluice: say what it is for: --host HOST, or --module NAME\n",
      );
      for (const host of ["a.example:8080", "http://a.example/", "a.example/x", "a..example"]) {
        expect(await wrong("push", rule(), "--host", host), host).to.equal(
          `sluice: scripts/${host}: "${host}" is not a host or *.domain: no scheme, no port, no path\n`,
        );
      }
      const upper = desk.newHost();
      const { status, stdout } = await desk.script("push", rule(), "--host", upper.toUpperCase());
      expect(status, stdout).to.equal(0);
      expect(stdout).to.contain(`scripts/${upper} is written`);
    });

    it("of what is not there", async () => {
      const host = desk.newHost();
      expect(await wrong("remove", host)).to.equal(`sluice: there is no scripts/${host}\n`);
      expect(await wrong("rollback", host)).to.contain("has no earlier version that was good");
      await desk.push(host, says("one"));
      expect(await wrong("rollback", host)).to.contain("has no earlier version that was good");
      expect(await wrong("rollback", host, "abcd1234")).to.contain("has no version abcd1234");
      expect(await wrong("rollback", host, "latest")).to.contain('"latest" is no version: 4 to 64');
    });

    it("of modules", async () => {
      const lacks = desk.file("module.js", 'import "modules/nobody";\nexport const a = 1;');
      expect(await wrong("push", lacks, "--module", "lacks")).to.equal(
        'refused: modules/lacks:1:8: import "modules/nobody": there is no such key\n',
      );
      const self = desk.file("self.js", '\nimport "modules/self";');
      expect(await wrong("push", self, "--module", "self")).to.equal(
        "refused: modules/self:2:8: the imports make a cycle: modules/self -> modules/self\n",
      );
      await desk.scene.writes.put("modules/ring1", 'import "modules/ring2";');
      await desk.scene.writes.put("modules/ring2", 'import "modules/ring1";');
      desk.scene.later(() => desk.scene.writes.remove("modules/ring1"));
      desk.scene.later(() => desk.scene.writes.remove("modules/ring2"));
      const uses = desk.file("uses.js", `import "modules/ring1";\n${says("x")}`);
      expect(await wrong("push", uses, "--host", desk.newHost())).to.contain(
        "the imports make a cycle: modules/ring1 -> modules/ring2 -> modules/ring1",
      );
      for (const gateway of desk.gateways) {
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
      const host = desk.newHost();
      await desk.scene.writes.put(`scripts/${host}`, `import "modules/ring1";\n${says("x")}`);
      desk.scene.later(() => desk.scene.writes.remove(`scripts/${host}`));
      for (const gateway of desk.gateways) {
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
      await desk.scene.writes.put("modules/early", 'export { word } from "modules/later";');
      for (const gateway of desk.gateways) await gateway.statusWhen("it is refused", isRefused);
      await desk.scene.writes.put("modules/later", 'export const word = "x";');
      for (const gateway of desk.gateways) {
        await gateway.statusWhen("both are live, and nothing is refused", (now) => {
          const names = now.modules.map(({ name }) => name);
          return names.includes("early") && names.includes("later") && !isRefused(now);
        });
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
