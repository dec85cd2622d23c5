/** A gateway that starts with scripts that take long to examine, or are broken: who serves meanwhile, and who does not. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { Scene } from "./scene.ts";

const good = 'export default () => respond({ body: "good" });';
const cases = (count: number, work: string) =>
  `export default () => { ${work} return respond({ body: "slow" }); };
  export const tests = Array.from({ length: ${count} }, () => ({ expect: { respond: 200 } }));`;
const spin = (ms: number) => `for (const end = Date.now() + ${ms}; Date.now() < end;);`;
/** Refused when its budget is over: a call has less than its limit of processor time, on a slow machine as well. */
const slow = cases(200, spin(60));
/** More than a first try has, less than its budget. */
const ponderous = cases(10, spin(30));
const later = "not examined yet";
const broken = "export default () => deny(40)\nconst;";

for (const kind of consulKinds())
  describe(`a cold start with slow and broken scripts and ${kind.name}`, function () {
    this.timeout(400_000);
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
      const isSound = (host: string) => /^(?:good|ponderous)/.test(host);
      await gateway.statusWhen("every sound script is live", ({ scripts }) =>
        hosts
          .filter(isSound)
          .every((host) => scripts.some((one) => one.host === host && one.outOfService === null)),
      );
      await gateway.caughtUp();
      await askAll();
      const seen = (name: string) =>
        hosts.filter((host) => host.startsWith(name)).map((host) => answers.get(host) ?? []);
      // One worker may hear of it before the other, so that answers alternate for a moment.
      const served = (each: readonly string[]) =>
        new Set(each.filter((answer) => answer !== later));
      for (const each of seen("good")) expect([...served(each)]).to.deep.equal(["200 good"]);
      for (const each of seen("ponderous")) expect([...served(each)]).to.deep.equal(["200 slow"]);
      const waited = seen("slow").filter(([first]) => first === later);
      expect(waited.length, "hosts without their script are not served").to.be.above(0);
      for (const each of [...seen("slow"), ...seen("broken")]) {
        expect([...served(each)]).to.have.lengthOf(1);
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
