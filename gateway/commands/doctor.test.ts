/** Each finding of `sluice doctor`, with the fault that it names really there. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { AcmeServer } from "../../test/support/acme/server.ts";
import {
  findRealConsul,
  startEmbeddedAgent,
  startRealConsul,
  type TestConsul,
} from "../../test/support/consul.ts";
import { writesTo } from "../../test/support/consul-writes.ts";
import { type DockerEngine, findDocker, startDocker } from "../../test/support/docker.ts";
import { cleanEnvironment, runSluice, TestGateway } from "../../test/support/gateway.ts";
import { freePort } from "../../test/support/ports.ts";
import { eventually, viewOf } from "../../test/support/registered.ts";
import type { Finding } from "./doctor-finding.ts";

const root = join(import.meta.dirname, "..", "..");
const free = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

interface Examination {
  readonly status: number | null;
  /** The findings of one check. */
  of(check: string): readonly Finding[];
}

async function examine(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Examination> {
  const none = { DOCKER_HOST: "unix:///nonexistent/docker.sock" };
  const { status, stdout, stderr } = await runSluice(["doctor", "--json", ...args], {
    ...none,
    ...env,
  });
  expect(stderr).to.equal("");
  return read(status, stdout);
}

function read(status: number | null, stdout: string): Examination {
  const { problems, findings } = JSON.parse(stdout) as { problems: number; findings: Finding[] };
  expect(findings.filter(({ level }) => level === "problem")).to.have.length(problems);
  expect(status).to.equal(problems === 0 ? 0 : 1);
  for (const { level, todo } of findings) expect(todo === null).to.equal(level === "ok");
  return { status, of: (check) => findings.filter((finding) => finding.check === check) };
}

function only(examination: Examination, check: string): Finding {
  const [finding, ...others] = examination.of(check);
  expect(others).to.deep.equal([]);
  if (finding === undefined) throw new Error(`nothing is said of ${check}`);
  return finding;
}

describe("sluice doctor", function () {
  this.timeout(180_000);
  let consul: TestConsul;

  before(async () => {
    consul = await startEmbeddedAgent();
  });
  after(async () => {
    await consul?.stop();
  });
  afterEach(async () => {
    const view = viewOf(consul.url);
    for (const id of await view.ids()) await view.deregister(id);
  });

  const exposed = () =>
    viewOf(consul.url).register({ Name: "shop", Port: 1, Tags: ["sluice"], Check: passing });
  const passing = { TTL: "1h", Status: "passing" };
  const healthy = () => ["--consul", consul.url, ...free, "--max-connections", "100"];

  it("finds nothing where nothing is wrong, and ends with 0", async () => {
    await exposed();
    const all = await examine(healthy());
    expect(all.status).to.equal(0);
    for (const check of [
      "consul",
      "token",
      "clock",
      "services",
      "exposure",
      "registrator",
      "files",
    ])
      expect(only(all, check), check).to.include({ level: "ok" });
    expect(all.of("ports").map(({ level }) => level)).to.deep.equal(["ok", "ok"]);
  });

  it("prints lines for people: what is wrong, and what to do below it", async () => {
    const { status, stdout } = await runSluice(["doctor", ...healthy()]);
    expect(status).to.equal(1);
    expect(stdout).to.match(/^ok +consul +answers at http:/m);
    expect(stdout).to.match(
      /^PROBLEM +services +Consul has no service but its own\n +-> register/m,
    );
  });

  it("finds what keeps an authority from issuing certificates: its directory, or a listener to ask", async () => {
    const directory = mkdtempSync(join(tmpdir(), "sluice-doctor-"));
    const authority = await AcmeServer.start();
    const { directory: url } = authority;
    try {
      const file = join(directory, "ca.pem");
      writeFileSync(file, authority.ca);
      const at = (where: string, ...more: readonly string[]) =>
        examine([...healthy(), "--acme-directory", where, "--acme-ca-file", file, ...more], {
          SLUICE_CERTIFICATE_KEY: Buffer.alloc(32, 5).toString("base64"),
        });
      const levels = ({ of }: Examination) => of("acme").map(({ level }) => level);
      const fine = await at(url);
      expect(levels(fine)).to.deep.equal(["warning", "ok"]);
      expect(fine.of("acme")[0]?.todo).to.match(/--http 0\.0\.0\.0:80, or lead port 80 .* to 127/);
      const unasked = await at(url, "--acme-challenge", "tls-alpn-01");
      expect(levels(unasked)).to.deep.equal(["problem", "ok"]);
      expect(unasked.of("acme")[0]?.what).to.match(/no listener with TLS/);
      const lost = await at(url.replace(/directory$/, "nowhere"));
      expect(levels(lost)).to.deep.equal(["warning", "problem"]);
      expect(lost.of("acme")[1]?.what).to.match(/does not answer at .*nowhere: it answers [45]/);
      const unsealed = await examine([...healthy(), "--acme-directory", url]);
      expect(only(unsealed, "acme").what).to.match(/needs --certificate-key-file/);
      await authority.stop();
      const gone = await at(url);
      expect(gone.of("acme")[1]?.what).to.match(/ECONNREFUSED/);
    } finally {
      await authority.stop();
      rmSync(directory, { recursive: true });
    }
  });

  it("finds a Consul that does not answer, and says nothing of what is in it", async () => {
    const all = await examine(["--consul", "http://127.0.0.1:9", ...free]);
    const finding = only(all, "consul");
    expect(finding).to.include({ level: "problem" });
    expect(finding.what).to.include("ECONNREFUSED");
    expect(finding.todo).to.match(/--consul or CONSUL_HTTP_ADDR/);
    expect(all.of("services")).to.deep.equal([]);
    expect(all.of("ports")).to.have.length(2);
  });

  it("finds something that is no Consul at its address", async () => {
    const server = createHttpServer((_, response) => response.writeHead(404).end("not here"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const all = await examine(["--consul", `http://127.0.0.1:${port}`, ...free]);
    server.close();
    expect(only(all, "consul")).to.include({ level: "problem" });
    expect(only(all, "consul").todo).to.match(/without a path/);
  });

  it("finds a service without a passing instance, and why", async () => {
    await exposed();
    const check = { TTL: "1h", Status: "critical", Notes: "x" };
    await viewOf(consul.url).register({ Name: "sick", Port: 2, Check: check });
    const finding = only(await examine(healthy()), "services");
    expect(finding).to.include({ level: "warning" });
    expect(finding.what).to.match(/1 of 2 services no instance passes: sick \(.* is critical/);
    await viewOf(consul.url).deregister("shop");
    const none = only(await examine(healthy()), "services");
    expect(none).to.include({ level: "problem" });
    expect(none.what).to.match(/of 1 services none can be used/);
  });

  it("finds that no service is exposed, until a document or --expose says so", async () => {
    await viewOf(consul.url).register({ Name: "inner", Port: 1, Check: passing });
    const finding = only(await examine(healthy()), "exposure");
    expect(finding).to.include({ level: "warning" });
    expect(finding.what).to.match(/--expose tagged: none of the 1 services/);
    const all = await examine([...healthy(), "--expose", "all"]);
    expect(only(all, "exposure")).to.include({ level: "ok" });
    const { put } = writesTo(consul.url);
    await put("hosts/shop.example", { upstream: "inner" });
    expect(only(await examine(healthy()), "exposure")).to.include({ level: "ok" });
  });

  it("finds a clock that is not Consul's", async () => {
    await exposed();
    // Consul's own answers, with the date of a machine whose clock is an hour ahead.
    const proxy = createHttpServer((incoming, outgoing) => {
      const { method, headers, url } = incoming;
      const forwarded = request(new URL(url ?? "/", consul.url), { method, headers }, (answer) => {
        const date = new Date(Date.now() + 3_600_000).toUTCString();
        outgoing.writeHead(answer.statusCode ?? 500, { ...answer.headers, date });
        answer.pipe(outgoing);
      });
      incoming.pipe(forwarded);
    });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const { port } = proxy.address() as AddressInfo;
    const all = await examine(["--consul", `http://127.0.0.1:${port}`, ...free]);
    proxy.close();
    expect(only(all, "clock")).to.include({ level: "warning" });
    expect(only(all, "clock").what).to.match(/is 3[56]\d\d s behind Consul's/);
  });

  it("finds addresses that are taken, and such that this machine does not have", async () => {
    await exposed();
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const args = ["--consul", consul.url, "--http", `127.0.0.1:${port}`];
    const all = await examine([
      ...args,
      ...["--internal", "192.0.2.1:8081", "--admin", "127.0.0.1:0"],
    ]);
    server.close();
    const [http, internal, admin] = all.of("ports");
    expect(http).to.include({ level: "problem" });
    expect(http?.what).to.equal(`--http 127.0.0.1:${port} is taken by another process`);
    expect(http?.todo).to.include(`sport = :${port}`);
    expect(internal?.what).to.match(/--internal 192\.0\.2\.1:8081: this machine does not have/);
    expect(admin).to.include({ level: "ok" });
  });

  it("takes the addresses of a gateway that runs for its own", async () => {
    await exposed();
    const gateway = await TestGateway.start({ consul: consul.url, workers: 1 });
    try {
      const ports = { http: gateway.httpPort, admin: gateway.adminPort };
      const all = await examine([
        ...["--consul", consul.url, "--max-connections", "100"],
        ...["--http", `127.0.0.1:${ports.http}`, "--admin", `127.0.0.1:${ports.admin}`],
      ]);
      expect(all.of("ports").map(({ level }) => level)).to.deep.equal(["ok", "ok"]);
      const elsewhere = await examine([
        ...["--consul", consul.url, "--http", "127.0.0.1:0"],
        ...["--admin", `127.0.0.1:${ports.admin}`],
      ]);
      expect(elsewhere.of("ports")[0]).to.include({ level: "warning" });
    } finally {
      await gateway.stop();
    }
  });

  it("finds a limit of open files that is too low", async () => {
    await exposed();
    const limited = async (files: number) => {
      const cli = join(root, "gateway", "cli.ts");
      const child = spawn(
        "sh",
        [
          ...["-c", `ulimit -n ${files}; exec "$0" "$@"`, process.execPath, cli, "doctor"],
          ...["--json", "--consul", consul.url, ...free, "--docker", "unix:///nonexistent"],
        ],
        { env: cleanEnvironment, stdio: ["ignore", "pipe", "inherit"] },
      );
      let stdout = "";
      child.stdout.on("data", (chunk) => {
        stdout += chunk;
      });
      await once(child, "close");
      return only(read(child.exitCode, stdout), "files");
    };
    expect(await limited(256)).to.include({ level: "problem" });
    const finding = await limited(4096);
    expect(finding).to.include({ level: "warning" });
    expect(finding.what).to.match(/stops accepting at about \d+ clients/);
    expect(finding.todo).to.include("ulimit -n");
  });

  if (findDocker() !== null)
    it("finds containers that nobody has registered", async () => {
      await exposed();
      const docker: DockerEngine = await startDocker();
      try {
        const engine = [...healthy(), "--docker", docker.host];
        const before = only(await examine(engine), "registrator");
        expect(before.what).to.match(/no container with a published port/);
        await docker.run({ name: "forgotten" });
        await docker.run({ name: "unpublished", publish: false });
        const finding = only(await examine(engine), "registrator");
        expect(finding).to.include({ level: "warning" });
        expect(finding.what).to.match(/not registered: forgotten$/);
        expect(finding.todo).to.include("npx sluice registrator");
        const registrator = spawn(
          process.execPath,
          [join(root, "gateway", "cli.ts"), "registrator", "--consul", consul.url],
          { env: { ...cleanEnvironment, DOCKER_HOST: docker.host }, stdio: "ignore" },
        );
        const ended = once(registrator, "exit");
        await eventually("the registrator has registered it", async () => {
          expect(only(await examine(engine), "registrator")).to.include({ level: "ok" });
        });
        registrator.kill();
        await ended;
      } finally {
        await docker.stop();
      }
    });

  const binary = findRealConsul();
  if (binary === null) return;

  describe("with a real Consul", () => {
    const master = "6d2c2f4e-0000-4000-8000-00000000dddd";
    let guarded: TestConsul;

    before(async () => {
      const acl = { enabled: true, default_policy: "deny", tokens: { master, agent: master } };
      guarded = await startRealConsul({
        config: { primary_datacenter: "dc1", acl },
        token: master,
      });
    });
    after(async () => {
      await guarded?.stop();
    });

    async function tokenWith(name: string, rules: string): Promise<string> {
      const put = async (path: string, body: object) => {
        const answer = await fetch(`${guarded.url}/v1/acl/${path}`, {
          ...{ method: "PUT", headers: { "x-consul-token": master } },
          body: JSON.stringify(body),
        });
        return (await answer.json()) as { SecretID: string };
      };
      await put("policy", { Name: name, Rules: rules });
      return (await put("token", { Policies: [{ Name: name }] })).SecretID;
    }

    const withToken = (token: string) =>
      examine(["--consul", guarded.url, ...free], token === "" ? {} : { CONSUL_HTTP_TOKEN: token });

    it("finds a token that is missing, unknown or without rights", async () => {
      const none = only(await withToken(""), "token");
      expect(none).to.include({ level: "problem" });
      expect(none.what).to.match(/^without a token .*session_prefix "" write/);
      const unknown = only(await withToken("6d2c2f4e-0000-4000-8000-00000000eeee"), "token");
      expect(unknown.what).to.equal("Consul does not know the token");
      const reader = await tokenWith("reader", 'key_prefix "sluice/" { policy = "read" }');
      const weak = only(await withToken(reader), "token");
      expect(weak.what).to.match(/^the token has no right to key_prefix "sluice\/live\/" write/);
      expect(weak.what).to.include('service_prefix "" read');
      expect(weak.what).to.not.include('"sluice/" read');
      expect(weak.todo).to.include("deploy/consul/gateway.hcl");
    });

    it("finds that the gateway may not register itself, unless it is not to", async () => {
      const rules = readFileSync(join(root, "deploy", "consul", "gateway.hcl"), "utf8");
      const token = await tokenWith(
        "unregistered",
        rules.replace('service "sluice"', 'service "x"'),
      );
      const weak = only(await withToken(token), "token");
      expect(weak.what).to.equal('the token has no right to service "sluice" write');
      const env = { CONSUL_HTTP_TOKEN: token };
      for (const name of ["x", "off"]) {
        const args = ["--consul", guarded.url, ...free, "--service-name", name];
        expect(only(await examine(args, env), "token")).to.include({ level: "ok" });
      }
    });

    it("finds nothing to say of the gateway's own policy, and leaves nothing behind", async () => {
      const rules = readFileSync(join(root, "deploy", "consul", "gateway.hcl"), "utf8");
      const token = await tokenWith("gateway", rules);
      const all = await withToken(token);
      expect(only(all, "token")).to.include({ level: "ok" });
      expect(only(all, "registrator")).to.include({ level: "ok" });
      const headers = { "x-consul-token": master };
      for (const path of ["kv/?keys", "session/list"]) {
        const answer = await fetch(`${guarded.url}/v1/${path}`, { headers });
        expect(["[]", ""]).to.include(await answer.text());
      }
      const services = await fetch(`${guarded.url}/v1/catalog/services`, { headers });
      expect(Object.keys((await services.json()) as object)).to.deep.equal(["consul"]);
    });

    it("finds an agent that reaches no server", async () => {
      const directory = mkdtempSync(join(tmpdir(), "sluice-lonely-"));
      const [http, server, serf_lan] = [await freePort(), await freePort(), await freePort()];
      const ports = { http, server, serf_lan, dns: -1, grpc: -1 };
      const config = JSON.stringify({ ports, bind_addr: "127.0.0.1", data_dir: directory });
      const agent = spawn(binary, ["agent", "-hcl", config], {
        stdio: "ignore",
      });
      const ended = once(agent, "exit");
      try {
        await eventually("the agent answers", async () => {
          const all = await examine(["--consul", `http://127.0.0.1:${http}`, ...free]);
          const finding = only(all, "consul");
          expect(finding).to.include({ level: "problem" });
          expect(finding.what).to.include("No known Consul servers");
          expect(finding.todo).to.match(/retry_join/);
        });
      } finally {
        agent.kill();
        await ended;
        rmSync(directory, { recursive: true, force: true });
      }
    });
  });
});
