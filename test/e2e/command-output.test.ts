/** What commands print: JSON for programs, in a pipe and with `--json`, and text for people, on a terminal and with `--text`. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { TestAuthority } from "../support/certificates.ts";
import { consulKinds } from "../support/consul.ts";
import { runInPipe } from "../support/gateway.ts";
import { onTerminal } from "../support/terminal.ts";
import { Scene } from "./scene.ts";

const [embedded] = consulKinds();
if (embedded === undefined) throw new Error("there is no Consul to test with");

/** Commands that run until a signal ends them, and print their log. */
const serving = ["start", "agent", "registrator", "demo"];
/** One of each way to an answer, since each form costs a process. */
const inEveryForm = [
  ...["status", "explain", "doctor", "resync", "upstream"],
  ...["upstream drain", "host list", "script status", "certificate push"],
];
/** What these print is a document or a source, the same for everybody. */
const documents = ["schema", "certificate seal", "script show", "host show", "upstream show"];

/** The names of the commands that `sluice NAME --help` lists. */
async function commandsOf(...group: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await runInPipe([...group, "--help"]);
  const [, list = ""] = stdout.split("\nCommands:\n");
  const names = [...list.matchAll(/^ {2}([a-z]+)\b/gm)].map(([, name]) => name ?? "");
  return names.filter((name) => name !== "help").map((name) => [...group, name].join(" "));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("what commands print", function () {
  this.timeout(600_000);
  let scene: Scene;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "sluice-output-"));
    scene = await Scene.open(embedded);
    await scene.start({ workers: 1 });
  });
  after(async () => {
    await scene?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  it("is JSON in a pipe for every command, and with --json, and text on a terminal and with --text", async () => {
    const admin = ["--admin", `127.0.0.1:${scene.gateway.adminPort}`];
    const consul = ["--consul", scene.consul.url];
    const env = { XDG_RUNTIME_DIR: scene.gateway.runtimeDir };
    const rule = file("rule.js", 'export default () => respond({ body: "x" });');
    const { host: address, port } = scene.home.server;
    const server = `${address}:${port}`;
    const shop = file("shop.json", JSON.stringify({ servers: [{ host: address, port }] }));
    const site = file("site.json", JSON.stringify({ paths: { "/": "shop" } }));
    const { cert, key } = new TestAuthority().issue({ names: ["shop.example"] });
    const pair = ["--chain", file("chain.pem", cert), "--key", file("key.pem", key)];
    const at = [rule, "--host", "s.example"];
    /** In this order each has what it needs; each may be given again. */
    const commands: readonly (readonly [name: string, ...args: string[]])[] = [
      ["upstream push", "shop", shop, ...consul],
      ["upstream test", "shop", shop, ...consul],
      ["upstream list", ...consul],
      ["upstream history", "shop", ...consul],
      ["upstream", ...admin],
      ["upstream drain", "shop", server, ...admin],
      ["upstream enable", "shop", server, ...admin],
      ["upstream weight", "shop", server, "5", ...admin],
      ["host push", "h.example", site, ...consul],
      ["host test", "h.example", ...consul],
      ["host list", ...consul],
      ["host history", "h.example", ...consul],
      ["host", ...admin],
      ["script push", ...at, ...consul],
      ["script test", ...at, ...consul],
      ["script list", ...consul],
      ["script history", "s.example", ...consul],
      ["script status", ...consul],
      ["certificate push", "shop", ...pair, "--clear", ...consul],
      ["status", ...admin],
      ["explain", "GET", "http://h.example/", ...admin],
      ["doctor", ...consul, ...admin, "--http", `127.0.0.1:${scene.gateway.httpPort}`],
      ["resync", ...admin],
      ["script rollback", "s.example", "VERSION", ...consul],
      ["host rollback", "h.example", "VERSION", ...consul],
      ["upstream rollback", "shop", "VERSION", ...consul],
      ["script remove", "s.example", ...consul],
      ["host remove", "h.example", ...consul],
      ["upstream remove", "shop", ...consul],
    ];
    const groups = ["script", "host", "upstream", "certificate"];
    const all = [
      ...(await commandsOf()).filter((name) => name !== "script" && name !== "certificate"),
      ...(await Promise.all(groups.map((group) => commandsOf(group)))).flat(),
    ].filter((name) => !serving.includes(name) && !documents.includes(name));
    expect(commands.map(([name]) => name)).to.have.members(all);

    /** Of the source that the key has now. */
    const versionOf = async (name: string, subject = "") => {
      const group = name.split(" ")[0] ?? "";
      const { stdout } = await runInPipe([group, "history", subject, ...consul]);
      const { versions } = JSON.parse(stdout) as { versions: { version: string }[] };
      return versions[0]?.version ?? "";
    };
    for (const [name, ...given] of commands) {
      // So that each form of a command is answered alike.
      await scene.gateway.caughtUp();
      const version = given.includes("VERSION") ? await versionOf(name, given[0]) : "";
      const args = [...name.split(" "), ...given.map((one) => (one === "VERSION" ? version : one))];
      const piped = await runInPipe(args, env);
      expect(isJson(piped.stdout), `${name} in a pipe: ${piped.stdout}${piped.stderr}`).to.equal(
        true,
      );
      if (!inEveryForm.includes(name)) continue;
      const [asked, text, { shown }] = await Promise.all([
        runInPipe([...args, "--json"], env),
        runInPipe([...args, "--text"], env),
        onTerminal(args, env),
      ]);
      expect(isJson(asked.stdout), `${name} --json: ${asked.stdout}${asked.stderr}`).to.equal(true);
      expect([text.status, text.stderr], name).to.deep.equal([piped.status, ""]);
      expect(text.stdout, name).to.not.equal("");
      for (const [how, words] of Object.entries({ "--text": text.stdout, terminal: shown }))
        expect(isJson(words), `${name} ${how}: ${words}`).to.equal(false);
    }
  });

  it("has one form at a time", async () => {
    const { status, stdout, stderr } = await runInPipe(["resync", "--json", "--text"]);
    expect([status, stdout]).to.deep.equal([2, ""]);
    expect(stderr).to.contain("--json");
  });

  for (const [group, source] of [
    ["script", 'export default () => respond({ body: "y" });\n'],
    ["host", '{ "paths":  { "/": "home" } }\n'],
    ["upstream", '{ "service":  "shop" }\n'],
  ] as const)
    it(`is the text itself for ${group} show, in a pipe as well, and JSON with --json`, async () => {
      await scene.writes.put(`${group}s/shown.example`, source);
      const args = [group, "show", "shown.example", "--consul", scene.consul.url];
      expect((await runInPipe(args)).stdout).to.equal(source);
      expect(JSON.parse((await runInPipe([...args, "--json"])).stdout)).to.include({ source });
    });
});
