/** Bad values in Consul, bad flags and taken ports: one clear line each, and what worked goes on. */
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { expect } from "chai";
import type { Status } from "../../gateway/primary/index.ts";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import { type GatewayAnswer, runSluice } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const from = (name: string) => (answer: GatewayAnswer) =>
  expect(echoOf(answer).origin).to.equal(name);

/** A value that is refused, and what the one line about it says. */
interface Bad {
  readonly key: string;
  readonly value: string;
  readonly says: readonly string[];
}

const bads: readonly Bad[] = [
  {
    key: "hosts/bad.example",
    value: '{"paths": {"/": "home"},\n}',
    says: ["line 2", "field name"],
  },
  {
    key: "hosts/bad.example",
    value: '{"paths": {"/": "home"}, "pahts": {}}',
    says: ['unknown field "pahts"'],
  },
  { key: "hosts/bad.example", value: "", says: ["sluice/hosts/bad.example"] },
  {
    key: "upstreams/bad",
    value: '{"servers": [{"host": "127.0.0.1", "port": 70000}]}',
    says: ["servers[0].port", "70000"],
  },
  { key: "upstreams/bad", value: '{"servers": []}', says: ["servers"] },
  { key: "settings/bad", value: "{", says: ["sluice/settings/bad"] },
];

for (const kind of consulKinds())
  describe(`bad values in ${kind.name}`, function () {
    this.timeout(180_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
      await scene.writes.put("upstreams/bad", { servers: [scene.home.server] });
      await scene.writes.put("hosts/bad.example", { paths: { "/": "bad" } });
      await scene.writes.put("settings/bad", { word: "fine" });
      await scene.writes.put(
        "scripts/setting.example",
        "export default () => respond({ body: settings.bad.word })",
      );
      // A machine that is busy is no reason for a script to fail.
      await scene.start({ flags: ["--script-timeout", "1s"] });
      // A gateway on a busy machine opens before every script is examined, and its workers learn of that one by one.
      await everyWorkerHas("home", "fine");
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    async function allGoesOn(): Promise<void> {
      const { gateway } = scene;
      from("home")(await gateway.request({ host: "bad.example" }));
      expect((await gateway.request({ host: "setting.example" })).body).to.equal("fine");
    }

    /** From then on each request has these answers, whichever worker gets it. */
    async function everyWorkerHas(origin: string, word: string): Promise<void> {
      await scene.everyWorker(`${origin} answers`, { host: "bad.example" }, from(origin));
      await scene.everyWorker(`the word is ${word}`, { host: "setting.example" }, ({ body }) =>
        expect(body).to.equal(word),
      );
    }

    for (const { key, value, says } of bads)
      it(`${key} with ${JSON.stringify(value)} is refused by its key, and the last good value stays`, async () => {
        const whole = `sluice/${key}`;
        const { gateway } = scene;
        const linesBefore = gateway.records.filter((record) => record.key === whole).length;
        await scene.writes.put(key, value);
        const { refused } = await gateway.statusWhen("the value is refused", (status) =>
          status.refused.some(
            (one) => one.key === whole && says.every((text) => one.error.includes(text)),
          ),
        );
        const error = refused.find((one) => one.key === whole)?.error ?? "";
        expect(error)
          .to.match(/^[^\n]+$/)
          .and.contain(whole);
        await eventually("the log says so", async () => {
          const lines = gateway.records.filter((record) => record.key === whole);
          expect(lines.map(({ msg }) => msg).slice(linesBefore)).to.deep.equal([error]);
        });
        await allGoesOn();
      });

    it("good values after the bad ones are taken", async () => {
      const { gateway, writes } = scene;
      const other = await scene.origin("other");
      await writes.put("upstreams/bad", { servers: [other.server] });
      await writes.put("hosts/bad.example", { paths: { "/": "bad" } });
      await writes.put("settings/bad", { word: "good" });
      const { refused } = await gateway.statusWhen(
        "nothing is refused any more",
        (status) => status.refused.length === 0,
      );
      expect(refused).to.deep.equal([]);
      await everyWorkerHas("other", "good");
      await writes.put("upstreams/bad", { servers: [scene.home.server] });
      await writes.put("settings/bad", { word: "fine" });
      await everyWorkerHas("home", "fine");
    });

    it("keys that name no host, and keys in no folder, disturb nothing", async () => {
      const { gateway, writes } = scene;
      await writes.put("hosts/not a host", { paths: { "/": "home" } });
      await writes.put("nowhere/x", "whatever");
      await writes.put("hosts/", "");
      const { refused } = await gateway.statusWhen("it is refused", (status) =>
        status.refused.some(({ key }) => key === "sluice/hosts/not a host"),
      );
      expect(refused.map(({ key }) => key)).to.not.include("sluice/nowhere/x");
      await writes.remove("hosts/not%20a%20host");
      await gateway.statusWhen("a key that is gone is not refused", (status) =>
        status.refused.every(({ key }) => key !== "sluice/hosts/not a host"),
      );
    });

    it("a value above 512 KiB is refused by Consul, and what was there stays", async () => {
      const { gateway, writes } = scene;
      const versionOf = ({ scripts }: Status) =>
        scripts.find(({ host }) => host === "setting.example")?.version;
      const before = versionOf(await gateway.status());
      const script = `export default () => deny(500) // ${"x".repeat(512 * 1024)}`;
      const refusal = await writes.put("scripts/setting.example", script).then(
        () => "taken",
        (error: Error) => error.message,
      );
      expect(refusal).to.contain("413");
      await writes.put("hosts/after-large.example", { paths: { "/": "home" } });
      const after = await gateway.caughtUp();
      expect(versionOf(after)).to.be.a("string").and.to.equal(before);
      const refused = after.refused.map(({ key }) => key);
      expect(refused).to.not.include("sluice/scripts/setting.example");
      expect((await gateway.request({ host: "after-large.example" })).status).to.equal(200);
      expect((await gateway.request({ host: "setting.example" })).body).to.equal("fine");
    });

    it("a value just under 512 KiB arrives whole", async () => {
      const { gateway, writes } = scene;
      const script = `export default () => respond({ body: String(text.length) });
        const text = "${"x".repeat(500_000)}";`;
      await writes.put("scripts/large.example", script);
      await gateway.statusWhen("the script is live", (status) =>
        status.scripts.some(({ host }) => host === "large.example"),
      );
      await eventually("it runs", async () => {
        expect((await gateway.request({ host: "large.example" })).body).to.equal("500000");
      });
    });

    it("an address that is in use is named with its flag, and the start fails with status 1", async () => {
      const { gateway } = scene;
      const taken = createServer();
      const port = await listen(taken);
      scene.later(() => taken.close());
      const start = ["start", "--consul", scene.consul.url, "--workers", "1"];
      const free = "127.0.0.1:0";
      for (const [flag, args] of [
        ["--admin", ["--http", free, "--admin", `127.0.0.1:${port}`]],
        ["--http", ["--http", `127.0.0.1:${port}`, "--admin", free]],
        ["--http", ["--http", `127.0.0.1:${gateway.httpPort}`, "--admin", free]],
        ["--internal", ["--http", free, "--internal", `127.0.0.1:${port}`, "--admin", free]],
        ["--http", null],
      ] as const) {
        const agent = ["agent", "--http", `127.0.0.1:${port}`];
        const { status, stderr } = await runSluice(args === null ? agent : [...start, ...args]);
        expect(status).to.equal(1);
        expect(stderr).to.match(/^sluice: [^\n]+\n$/);
        expect(stderr).to.match(
          new RegExp(`${flag} 127\\.0\\.0\\.1:\\d+: another process listens`),
        );
      }
      await allGoesOn();
    });
  });

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a TCP address");
  return address.port;
}

describe("a start that cannot be", function () {
  this.timeout(120_000);

  const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [["start", "--wrokers", "2"], /unknown option '--wrokers'/],
    [["begin"], /unknown command 'begin'/],
    [["start", "--consul", "ftp://127.0.0.1"], /--consul: .*is not a URL/],
    [["start", "--consul", "http://127.0.0.1:99999"], /--consul: .*is not a URL/],
    [["start", "--http", "127.0.0.1:70000"], /--http: .*port above 65535/],
    [["start", "--workers", "0"], /--workers: .*whole number from 1/],
    [["start", "--config", "/nonexistent/sluice.json"], /--config: \/nonexistent.*cannot be read/],
    [
      ["start", "--access-log", "/nonexistent/access.log"],
      /^sluice: --access-log: \/nonexistent\/access\.log cannot be written: there is no such file/,
    ],
    [["start", "--consul", "unix:///run/consul.sock"], /--consul: the value is a Unix socket/],
    [["start", "--access-log", "/"], /^sluice: --access-log: \/ cannot be .*: it is a directory/],
  ];
  for (const [args, says] of cases)
    it(`${args.join(" ")}: one line, status 2`, async () => {
      const { status, stdout, stderr } = await runSluice(args);
      expect({ status, stdout }).to.deep.equal({ status: 2, stdout: "" });
      expect(stderr)
        .to.match(/^sluice: [^\n]+\n$/)
        .and.match(says);
    });

  it("an agent's data directory that is a file: one line, status 1, since another time it may be none", async () => {
    const args = ["agent", "--http", "127.0.0.1:0", "--data-dir", import.meta.filename];
    const { status, stdout, stderr } = await runSluice(args);
    expect({ status, stdout }).to.deep.equal({ status: 1, stdout: "" });
    expect(stderr).to.match(
      /^sluice: --data-dir: \S+ cannot be used: something that is no directory is in its way[^\n]*\n$/,
    );
  });

  it("without a Consul: one line that says how to get one", async () => {
    // CONSUL_HTTP_ADDR names one; what nobody named is only ever on 127.0.0.1:8500.
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(8500, "127.0.0.1", () => resolve(true));
    });
    if (isFree) await new Promise((resolve) => probe.close(resolve));
    expect(isFree, "nothing may listen on 127.0.0.1:8500 for this test").to.equal(true);
    const args = ["start", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    const { status, stderr } = await runSluice(args);
    expect(status).to.equal(1);
    expect(stderr).to.match(/^sluice: [^\n]+\n$/);
    expect(stderr).to.contain("127.0.0.1:8500").and.contain("sluice demo").and.contain("--consul");
  });
});
