/** Whoever may write to KV writes much, again and again, or garbage: other hosts go on, and the last word counts. */
import { createHash } from "node:crypto";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const [kind] = consulKinds();
if (kind === undefined) throw new Error("there is no Consul of any kind");

const versionOf = (text: string) => createHash("sha256").update(text).digest("hex");
const names = (count: number, prefix: string) =>
  Array.from({ length: count }, (_, at) => `${prefix}${at}`);
const rounds = [1, 2, 3];

describe("floods of writes", function () {
  this.timeout(600_000);
  let scene: Scene;
  // A machine that is busy is no reason for a script to fail.
  const flags = ["--script-timeout", "1s"];
  before(async () => {
    scene = await Scene.open(kind);
    await scene.start({ flags });
    await scene.writes.put("scripts/good.example", "export default () => deny(418);");
    await scene.gateway.statusWhen("the good script is live", ({ scripts }) =>
      scripts.some(({ host, version }) => host === "good.example" && version !== null),
    );
    await scene.gateway.caughtUp();
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  /** A host without a script, and one with a script that nobody touches, beside whatever is written. */
  async function othersAnswer(): Promise<void> {
    expect((await scene.gateway.request({ host: homeHost })).status).to.equal(200);
    expect((await scene.gateway.request({ host: "good.example" })).status).to.equal(418);
  }

  /** Others answer until all of it is written. */
  async function beside(writes: Promise<unknown>): Promise<void> {
    let isOver = false;
    const written = writes.finally(() => {
      isOver = true;
    });
    while (!isOver) await othersAnswer();
    await written;
    await othersAnswer();
  }

  it("of 300 scripts, each rewritten again and again, end with the last of each", async () => {
    const hosts = names(300, "flood").map((name) => `${name}.example`);
    const text = (host: string, round: number) =>
      `// ${host}\nexport default () => deny(${400 + round});`;
    const writeAll = async () => {
      for (const round of rounds) {
        await scene.writes.putAll(hosts.map((host) => [`scripts/${host}`, text(host, round)]));
      }
    };
    await beside(writeAll());
    const wanted = new Map(hosts.map((host) => [host, versionOf(text(host, rounds.length))]));
    // A busy machine examines a few in a second.
    for (let at = 0; at < hosts.length; at += 20)
      await scene.gateway.statusWhen("the last of the next 20 is live", ({ scripts }) => {
        const live = new Map(scripts.map(({ host, version }) => [host, version]));
        return hosts.slice(at, at + 20).every((host) => live.get(host) === wanted.get(host));
      });
    await scene.gateway.caughtUp();
    expect((await scene.gateway.request({ host: hosts[7] ?? "" })).status).to.equal(403);
    await othersAnswer();
  });

  it("of settings that scripts read end with the last of each", async () => {
    const settings = names(200, "number");
    const text = "export default () => respond({ body: String(settings.number7) });";
    await scene.writes.put("scripts/reads.example", text);
    const writeAll = async () => {
      for (const round of rounds) {
        await scene.writes.putAll(settings.map((name) => [`settings/${name}`, String(round)]));
      }
    };
    await beside(writeAll());
    await eventually("the script reads the last", async () => {
      const { body } = await scene.gateway.request({ host: "reads.example" });
      expect(body).to.equal(String(rounds.length));
    });
  });

  it("of garbage where gateways keep what is theirs change nothing, nor does a start among it", async () => {
    const folders = ["live/", "history/scripts/", "history/modules/", "versions/", "gateways/"];
    const garbage = [
      "",
      "{",
      "[]",
      "null",
      '{"index":1e999}',
      "\u0000\u001b[2J",
      "x".repeat(10_000),
    ];
    const keys = folders.flatMap((folder) =>
      ["good.example", "none.example", "*.example", "a/b/c", "%2e%2e", "\u00fc"].map(
        (name) => folder + name,
      ),
    );
    const writeAll = async () => {
      for (const value of garbage) {
        await scene.writes.putAll(keys.map((key) => [key, value]));
      }
    };
    await beside(writeAll());
    await scene.gateway.caughtUp();
    await scene.start({ flags });
    await eventually("the script serves again", othersAnswer);
    await scene.writes.put("scripts/good.example", "export default () => deny(451);");
    await eventually("the next version is live", async () =>
      expect((await scene.gateway.request({ host: "good.example" })).status).to.equal(451),
    );
  });
});
