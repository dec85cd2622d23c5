/** Who may use the admin API of a whole gateway, and how the commands of its operator get in. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { runSluice, send, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const fixtures = join(import.meta.dirname, "..", "fixtures", "admin-tls");
const pem = (name: string) => join(fixtures, `test-only-${name}.pem`);
const token = "a-token-that-the-operator-gave";

for (const kind of consulKinds().slice(0, 1))
  describe(`the admin API of a gateway with ${kind.name}`, function () {
    this.timeout(180_000);
    let scene: Scene;
    let folder: string;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), "sluice-admin-"));
      scene = await Scene.open(kind);
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await scene?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const start = (flags: readonly string[] = [], env: Readonly<Record<string, string>> = {}) =>
      scene.start({ workers: 1, flags, env });

    /** Commands find a gateway by what Consul has of it, which comes after its admin API. */
    const isRegistered = ({ adminPort }: TestGateway) =>
      eventually("Consul names the gateway", async () => {
        const answer = await fetch(`${scene.consul.url}/v1/kv/sluice/gateways/?recurse`);
        const entries = (await answer.json()) as { readonly Value: string }[];
        const texts = entries.map(({ Value }) => Buffer.from(Value, "base64").toString());
        expect(texts.some((text) => text.includes(`:${adminPort}"`))).to.equal(true);
      });

    it("keeps the token that it makes in the data directory, over a restart, and logs it nowhere", async () => {
      const dataDir = join(folder, "data");
      const first = await start(["--data-dir", dataDir]);
      const path = join(dataDir, "admin-token");
      const kept = readFileSync(path, "utf8").trim();
      expect(statSync(path).mode & 0o777).to.equal(0o600);
      expect(await first.credentials()).to.deep.equal({ authorization: `Bearer ${kept}` });
      const host = "localhost";
      const without = await send(first.adminPort, { host, path: "/resync", method: "POST" });
      expect(without.status).to.equal(401);
      expect((await first.admin("/resync", "POST")).status).to.equal(200);
      const logged = () => first.records.map((record) => JSON.stringify(record)).join("\n");
      const line = (status: number) => `admin API: POST /resync by 127.0.0.1: ${status}`;
      await until("both writes are logged", () =>
        [200, 401].every((status) => logged().includes(line(status))),
      );
      const log = logged();
      expect(log + first.errors).to.not.include(kept);
      // As another user's commands: they see neither where it was left nor the data directory.
      const admin = ["resync", "--admin", `127.0.0.1:${first.adminPort}`];
      const elsewhere = { XDG_RUNTIME_DIR: join(folder, "elsewhere") };
      const refused = await runSluice(admin, elsewhere);
      expect([refused.status, refused.stdout]).to.deep.equal([1, ""]);
      const at = `http://127.0.0.1:${first.adminPort}/resync answers 401`;
      const place = join(folder, "elsewhere", "sluice", `admin-token-${first.adminPort}`);
      expect(refused.stderr).to.equal(
        `sluice: ${at}: it needs the gateway's token, and this user finds none in ${place}; run the command as the gateway's user, or give it with --admin-token-file or SLUICE_ADMIN_TOKEN\n`,
      );
      const wrong = { ...elsewhere, SLUICE_ADMIN_TOKEN: "a-token-of-another-gateway" };
      expect((await runSluice(admin, wrong)).stderr).to.equal(
        `sluice: ${at}: the token that was given is not this gateway's; give it with --admin-token-file or SLUICE_ADMIN_TOKEN\n`,
      );
      const own: readonly (readonly [flags: readonly string[], env: Record<string, string>])[] = [
        [[], { XDG_RUNTIME_DIR: first.runtimeDir }],
        [["--data-dir", dataDir], elsewhere],
        [[], { ...elsewhere, SLUICE_DATA_DIR: dataDir }],
        [["--admin-token-file", path], elsewhere],
        [[], { ...elsewhere, SLUICE_ADMIN_TOKEN: kept }],
      ];
      for (const [more, env] of own) {
        const { status, stdout, stderr } = await runSluice([...admin, ...more], env);
        expect({ status, stdout, stderr }).to.deep.equal({
          status: 0,
          stdout: "let go of 0 entries\n",
          stderr: "",
        });
      }
      const second = await start(["--data-dir", dataDir]);
      expect(await second.credentials()).to.deep.equal({ authorization: `Bearer ${kept}` });
    });

    it("starts without a place for the token, says so, and lets nobody write", async () => {
      const gateway = await start([], { XDG_RUNTIME_DIR: "/dev/null" });
      const says = (text: string) => gateway.records.some(({ msg }) => msg.includes(text));
      await until("it says so", () => says("nobody can write to the admin API"));
      const asked = { host: "localhost", path: "/resync", method: "POST" };
      expect((await send(gateway.adminPort, asked)).status).to.equal(401);
    });

    it("is not reached through the gateway itself", async () => {
      const gateway = await start();
      const server = { host: "127.0.0.1", port: gateway.adminPort };
      await scene.writes.put("upstreams/inward", { servers: [server] });
      await scene.writes.put("hosts/localhost", { paths: { "/": "inward" } });
      scene.later(async () => {
        await scene.writes.remove("hosts/localhost");
        await scene.writes.remove("upstreams/inward");
      });
      await gateway.caughtUp();
      const headers = await gateway.credentials();
      for (const method of ["GET", "POST"]) {
        const asked = { host: "localhost", path: "/status", method, headers };
        const { status, body } = await gateway.request(asked);
        expect([403, 404, 502, 503], body).to.include(status);
        expect(body).to.not.include("workers");
      }
    });

    it("does not start on another address than loopback without a token or client certificates", async () => {
      const args = ["start", "--consul", scene.consul.url, "--http", "127.0.0.1:0"];
      for (const admin of ["0.0.0.0:0", "[::]:0", ":0"]) {
        const { status, stderr } = await runSluice([...args, "--admin", admin]);
        expect(status).to.equal(1);
        expect(stderr).to.match(/^sluice: --admin [^\n]*--admin-token-file[^\n]*\n$/);
      }
      const half = await runSluice([...args, "--admin-cert", pem("server-certificate")]);
      expect(half.stderr).to.match(/^sluice: --admin-key: is missing/);
      const wrong = ["--admin-cert", pem("server-certificate"), "--admin-key", pem("client-key")];
      expect((await runSluice([...args, ...wrong])).stderr).to.match(
        /^sluice: --admin-cert, .*\n$/,
      );
    });

    it("lets commands in with the token that was given, and shows it to no address that only Consul names", async () => {
      const gateway = TestGateway.launch({
        consul: scene.consul.url,
        workers: 1,
        flags: ["--admin", "0.0.0.0:0"],
        env: { SLUICE_ADMIN_TOKEN: token },
      });
      scene.later(() => gateway.stop());
      await gateway.adminUp();
      await eventually("it is ready", async () => {
        expect((await gateway.admin("/readyz")).status).to.equal(200);
      });
      const seen: string[] = [];
      const thief = createServer((request, response) => {
        seen.push(String(request.headers.authorization));
        response.writeHead(401, { "content-type": "application/json" }).end("{}");
      });
      await new Promise<void>((resolve) => thief.listen(0, "127.0.0.1", resolve));
      scene.later(() => thief.close());
      const host = "localhost";
      const at = gateway.adminPort;
      expect((await send(at, { host, path: "/status" })).status).to.equal(401);
      expect((await send(at, { host, path: "/healthz" })).status).to.equal(200);

      const file = join(folder, "token");
      writeFileSync(file, `${token}\n`);
      const admin = ["--admin", `127.0.0.1:${at}`];
      const none = await runSluice(["status", ...admin]);
      expect(none.status).to.equal(1);
      expect(none.stderr).to.match(
        /^sluice: http:\S+\/status answers 401: it needs the gateway's token, [^\n]+ SLUICE_ADMIN_TOKEN\n$/,
      );
      const given = await runSluice(["status", ...admin, "--admin-token-file", file]);
      expect(JSON.parse(given.stdout)).to.include({ notReady: null });

      await isRegistered(gateway);
      const { port } = thief.address() as AddressInfo;
      await scene.writes.hold("gateways/thief", { name: "thief", admin: `127.0.0.1:${port}` });
      scene.later(() => scene.writes.remove("gateways/thief"));
      const env = { SLUICE_ADMIN_TOKEN: token };
      const status = ["script", "status", "--consul", scene.consul.url];
      const all = await runSluice(status, env);
      expect(all.status).to.equal(1);
      expect(all.stdout).to.match(
        /gateway thief: .*which only Consul names: list it in --admin-hosts/,
      );
      expect(seen).to.deep.equal(["undefined"]);
      const names = all.stdout.match(/which only Consul names/g);
      expect(names, "nor to the gateway, which nobody has listed").to.have.length(2);
      await scene.writes.remove("gateways/thief");
      const listed = await runSluice([...status, "--admin-hosts", hostname()], env);
      expect(listed.stdout, listed.stderr).to.match(/^gateway .*\(/m);
      expect(listed.status).to.equal(0);
    });

    it("asks for certificates, which commands show", async () => {
      const tls = ["--admin-cert", pem("server-certificate"), "--admin-key", pem("server-key")];
      const gateway = TestGateway.launch({
        consul: scene.consul.url,
        workers: 1,
        flags: [...tls, "--admin-client-ca", pem("ca")],
      });
      scene.later(() => gateway.stop());
      await gateway.adminUp();
      const admin = ["status", "--admin", `127.0.0.1:${gateway.adminPort}`];
      expect((await runSluice(admin)).status).to.equal(1);
      expect((await runSluice(admin, { SLUICE_ADMIN_CA: pem("ca") })).status).to.equal(1);
      const shown = await runSluice(admin, {
        SLUICE_ADMIN_CA: pem("ca"),
        SLUICE_ADMIN_CLIENT_CERT: pem("client-certificate"),
        SLUICE_ADMIN_CLIENT_KEY: pem("client-key"),
      });
      expect(JSON.parse(shown.stdout)).to.have.property("boot");
      await isRegistered(gateway);
      const registered = await runSluice(["script", "status", "--consul", scene.consul.url], {
        SLUICE_ADMIN_CA: pem("ca"),
        SLUICE_ADMIN_CLIENT_CERT: pem("client-certificate"),
        SLUICE_ADMIN_CLIENT_KEY: pem("client-key"),
      });
      expect(registered.stdout).to.match(
        new RegExp(`^gateway .*\\(127\\.0\\.0\\.1:${gateway.adminPort}\\)`, "m"),
      );
    });
  });
