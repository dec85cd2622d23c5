/** What gateways keep in Consul for themselves, written by somebody else. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { runSluice } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const says = (text: string) => `export default () => respond({ body: "${text}" });\n`;
const digits = "0123456789abcdef".repeat(4);
const dayMs = 86_400_000;

/** A life document that is well-formed, but for what is laid over it. */
const life = (over: object) => ({
  ...{ revision: 1, index: 1, live: null, before: null, next: null, takenBack: [] },
  ...over,
});
const rollout = (over: object) =>
  life({
    next: {
      ...{ version: digits, startedAt: "2026-01-01T00:00:00.000Z", percent: 5, stepsMs: [1_000] },
      ...{ by: null, ...over },
    },
  });

const badLives: Readonly<Record<string, unknown>> = {
  "steps that no date can hold": rollout({ stepsMs: [Number.MAX_SAFE_INTEGER] }),
  "a thousand steps": rollout({ stepsMs: Array.from({ length: 1_000 }, () => dayMs) }),
  "a start that is no time": rollout({ startedAt: "tomorrow" }),
  "a header that is none": rollout({ by: "x\r\ny: z" }),
  "a version that is none": life({ live: "../../etc" }),
  "no object": [1, 2, 3],
  "no JSON": "{",
  nothing: "",
};

for (const kind of consulKinds())
  describe(`documents of the gateways' own with ${kind.name}`, function () {
    this.timeout(300_000);
    let scene: Scene;
    let folder: string;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), "sluice-own-"));
      scene = await Scene.open(kind);
      // A machine that is busy is no reason for a script to fail.
      await scene.start({ flags: ["--script-timeout", "1s"] });
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await scene?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const answers = (host: string, body: string) =>
      eventually(`${host} answers ${body}`, async () => {
        expect((await scene.gateway.request({ host })).body).to.equal(body);
      });
    const kv = async (key: string) => {
      const answer = await fetch(`${scene.consul.url}/v1/kv/sluice/${key}?raw`);
      return answer.status === 404 ? null : answer.text();
    };
    const push = (host: string, text: string) => {
      const path = join(folder, "rule.js");
      writeFileSync(path, text);
      const where = ["--consul", scene.consul.url, "--timeout", "60s"];
      return runSluice(["script", "push", path, "--host", host, ...where]);
    };

    for (const [at, [what, document]] of Object.entries(badLives).entries()) {
      it(`an agreement with ${what} is refused by key, and the next change writes it anew`, async () => {
        const host = `life${at}.example`;
        const key = `sluice/live/${host}`;
        await scene.writes.put(`live/${host}`, document as object);
        await eventually("the status names the key", async () => {
          const { refused } = await scene.gateway.status();
          expect(refused.map((one) => one.key)).to.include(key);
        });
        await scene.writes.put(`scripts/${host}`, says("one"));
        await answers(host, "one");
        await eventually("the agreement is whole", async () => {
          expect(JSON.parse((await kv(`live/${host}`)) ?? "")).to.include({ before: null });
          const { refused } = await scene.gateway.status();
          expect(refused.map((one) => one.key)).to.not.include(key);
        });
      });
    }

    it("a history that is garbage stops no agreement, and keeps what can be read of it", async () => {
      const host = "history.example";
      await scene.writes.put(`scripts/${host}`, says("one"));
      await answers(host, "one");
      const history = `history/scripts/${host}`;
      await eventually("there is a history", async () =>
        expect(await kv(history)).to.not.equal(null),
      );
      const { versions } = JSON.parse((await kv(history)) ?? "") as { versions: object[] };
      const [first] = versions;
      await scene.writes.put(history, { versions: [{ version: 7 }, ...versions, "x"] });
      await scene.writes.put(`scripts/${host}`, says("two"));
      await answers(host, "two");
      await eventually("the history is whole", async () => {
        const now = JSON.parse((await kv(history)) ?? "") as { versions: object[] };
        expect(now.versions).to.have.lengthOf(2);
        expect(now.versions[1]).to.include({
          ...(first as object),
          outcome: "replaced",
          since: (now.versions[1] as { since: string }).since,
        });
      });
      await scene.writes.put(history, "garbage");
      await scene.writes.put(`scripts/${host}`, says("three"));
      await answers(host, "three");
      await eventually("the history begins again", async () => {
        expect(JSON.parse((await kv(history)) ?? "").versions).to.not.be.empty;
      });
      await until("the log names the key", () =>
        scene.gateway.records.some(({ msg }) => msg.includes(`sluice/${history}`)),
      );
    });

    it("who wrote a version cannot steer the terminal of whoever reads its history", async () => {
      const host = "steered.example";
      const at = "2026-01-01T00:00:00.000Z";
      const by = "\u001b[2Jada\nok\u009b31m\u202e";
      const entry = { version: digits, at, by, outcome: "live", since: at, detail: by };
      await scene.writes.put(`history/scripts/${host}`, { versions: [entry] });
      const { consul } = scene;
      const shown = await runSluice(["script", "history", host, "--consul", consul.url]);
      expect(shown.status, shown.stderr).to.equal(0);
      expect(shown.stdout).to.contain("\\u001b[2Jada\\nok\\u009b31m\\u202e");
      expect(shown.stdout.trimEnd().split("\n")).to.have.lengthOf(2);
    });

    it("keys that are no gateways' are named by a push, which does not wait for them", async () => {
      await eventually("the gateway has its key", async () => {
        const answer = await fetch(`${scene.consul.url}/v1/kv/sluice/gateways/?keys`);
        const [running] = JSON.parse(await answer.text()) as string[];
        expect(running).to.match(/^sluice\/gateways\/./);
      });
      const put = async (name: string, value: string | object) => {
        await scene.writes.put(`gateways/${name}`, value);
        scene.later(() => scene.writes.remove(`gateways/${name}`));
      };
      await put("garbage", "{");
      await put("list", [1]);
      await put("unheld", { name: "unheld", admin: "127.0.0.1:1" });
      await scene.writes.hold("gateways/other", { name: "another", admin: "127.0.0.1:1" });
      scene.later(() => scene.writes.remove("gateways/other"));
      const { status, stdout, stderr } = await push("false.example", says("one"));
      expect(stderr).to.equal("");
      expect(status, stdout).to.equal(0);
      expect(stdout.match(/^ok /gm)).to.have.lengthOf(1);
      for (const name of ["garbage", "list", "unheld", "other"]) {
        expect(stdout).to.match(new RegExp(`^warning: sluice/gateways/${name}: `, "m"));
      }
      const shown = await runSluice(["script", "status", "--consul", scene.consul.url]);
      expect(shown.status, shown.stderr).to.equal(0);
      expect(shown.stdout).to.contain("warning: sluice/gateways/garbage: ");
    });
  });
