/** A gateway that starts with scripts that take long to examine, or are broken: who serves meanwhile, and who does not. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { Scene } from "./scene.ts";

const good = 'export default () => respond({ body: "good" });';
const cases = (count: number, work: string) =>
  `export default () => { ${work} return respond({ body: "slow" }); };
  export const tests = Array.from({ length: ${count} }, () => ({ expect: { respond: 200 } }));`;
/** Refused when its budget is over, or because one of its calls ran too long. */
const slow = cases(200, "for (let at = 0; at < 5e7; at += 1);");
/** More than a first try has, less than its budget. */
const ponderous = cases(10, "for (const end = Date.now() + 30; Date.now() < end; );");
const later = "not examined yet";
const broken = "export default () => deny(40)\nconst;";

for (const kind of consulKinds())
  describe(`a cold start with slow and broken scripts and ${kind.name}`, function () {
    this.timeout(240_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    it("serves every good host while slow ones are examined, and nobody without the script that is in Consul", async () => {
      const texts = { good, slow, ponderous, broken };
      const counts = { good: 12, slow: 2, ponderous: 1, broken: 3 };
      const hosts: string[] = [];
      for (const [name, text] of Object.entries(texts)) {
        for (let at = 0; at < counts[name as keyof typeof counts]; at += 1) {
          const host = `${name}${at}.example`;
          hosts.push(host);
          await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
          await scene.writes.put(`scripts/${host}`, text);
        }
      }
      const gateway = await scene.start({ flags: ["--script-timeout", "100ms"] });
      const answers = new Map<string, string[]>(hosts.map((host) => [host, []]));
      /** Asks every host once and remembers each answer that is another than the one before. */
      const askAll = async () => {
        for (const host of hosts) {
          const { status, body } = await gateway.request({ host });
          if (body.includes("script_not_examined")) expect(status).to.equal(503);
          const text = body.includes("script_not_examined")
            ? later
            : `${status} ${body.slice(0, 4)}`;
          const known = answers.get(host);
          if (known?.at(-1) !== text) known?.push(text);
        }
      };
      let rounds = 0;
      let whenGood = 0;
      for (let isOver = false; !isOver; rounds += 1) {
        await askAll();
        const isGood = hosts.every(
          (host) => !host.startsWith("good") || answers.get(host)?.at(-1) === "200 good",
        );
        if (isGood && whenGood === 0) whenGood = rounds + 1;
        const { refused } = await gateway.status();
        isOver = refused.length === counts.slow + counts.broken;
      }
      await askAll();
      const seen = (name: string) =>
        hosts.filter((host) => host.startsWith(name)).map((host) => answers.get(host) ?? []);
      for (const each of seen("good")) {
        expect(each.filter((answer) => answer !== later)).to.deep.equal(["200 good"]);
      }
      for (const each of seen("ponderous")) {
        expect(each.filter((answer) => answer !== later)).to.deep.equal(["200 slow"]);
      }
      // A busy machine may refuse one before the gateway opens, as its calls run too long.
      const waited = seen("slow").filter(([first]) => first === later);
      expect(waited.length, "hosts without their script are not served").to.be.above(0);
      for (const each of [...seen("slow"), ...seen("broken")]) {
        expect(each.filter((answer) => answer !== later)).to.have.lengthOf(1);
        expect(each.at(-1), "no script is what is left").to.match(/^200 /);
      }
      expect(whenGood, "good hosts did not wait for slow ones").to.be.below(rounds);
      const { refused } = await gateway.status();
      const reasons = refused
        .map(({ error }) => error)
        .filter((error) => /takes more|ran longer/.test(error));
      expect(reasons).to.have.lengthOf(counts.slow);
    });
  });
