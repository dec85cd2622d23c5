import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { defaultLimits } from "./engine/engine.ts";
import { defaultStreamTerms, noListenerLimits } from "./model/index.ts";
import { loadSettings, type Settings, SettingsError } from "./settings.ts";
import { settingsPage } from "./settings-page.ts";

describe("settings", () => {
  let directory = "";
  let file = "";

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-settings-"));
    file = join(directory, "sluice.json");
  });
  after(() => rm(directory, { recursive: true }));

  const errorOf = async (
    flags: Record<string, unknown>,
    env: Record<string, string> = {},
  ): Promise<string> => {
    const outcome = await loadSettings(flags, env).catch((error: unknown) => error);
    expect(outcome).to.be.instanceOf(SettingsError);
    return (outcome as SettingsError).message;
  };

  it("have the defaults that the design gives", async () => {
    const settings = await loadSettings({}, {});
    expect(settings).to.deep.equal({
      consul: { url: null, namespace: null, partition: null, named: false },
      listeners: [
        {
          name: "http",
          flag: "--http",
          address: { host: "0.0.0.0", port: 8080 },
          protocol: "http",
          exposes: "tagged",
          upstream: null,
          tls: null,
          proxyProtocol: [],
          limits: noListenerLimits,
          stream: defaultStreamTerms,
        },
      ],
      acme: null,
      certificates: { paths: [], sealingKey: { file: null, text: null } },
      kvListenerPorts: [],
      expose: "tagged",
      admin: { host: "127.0.0.1", port: 1995 },
      adminAccess: {
        tokenFile: null,
        token: null,
        hosts: [],
        metrics: "token",
        isOpen: false,
        cert: null,
        key: null,
        clientCa: null,
      },
      workers: availableParallelism(),
      dataDir: null,
      prefix: "sluice/",
      serviceName: "sluice",
      engine: "http1",
      logLevel: "info",
      accessLog: null,
      trustedProxies: [],
      drainTimeoutMs: 30_000,
      forwardedPath: "normal",
      watchTimeoutMs: 2000,
      maxServiceWatches: 100,
      consulReads: "stale",
      forgetServicesAfterMs: 3_600_000,
      guard: { share: 0.5, forMs: 10_000 },
      script: { memoryMb: 16, callTimeoutMs: 10, maxIsolates: 200 },
      health: { maxChecks: 256, zone: null },
      tenants: null,
      limits: defaultLimits,
      warnings: [],
    });
  });

  it("say what was set and has no effect, by the name that it was set with", async () => {
    const none = { maxConnectionsPerPeer: "0" };
    const keys = async (flags: object, env: Record<string, string> = {}) =>
      (await loadSettings({ ...flags }, env)).warnings.map(({ key }) => key);
    expect(await keys(none)).to.deep.equal([]);
    expect(await keys({ queueTimeout: "1s" })).to.deep.equal([]);
    expect(await keys({ ...none, queueTimeout: "1s" })).to.deep.equal(["--queue-timeout"]);
    expect(await keys(none, { SLUICE_MAX_WAITING_PER_PEER: "5" })).to.deep.equal([
      "SLUICE_MAX_WAITING_PER_PEER",
    ]);
    expect(await keys({ acmeHosts: "a.example" })).to.deep.equal(["--acme-hosts"]);
    const acme = { acmeDirectory: "https://acme.example/directory" };
    expect(await keys(acme)).to.deep.equal([]);
    const challenge = { ...acme, acmeChallenge: "tls-alpn-01" };
    expect(await keys(challenge)).to.deep.equal(["--acme-challenge"]);
    expect(await keys({ ...challenge, https: "127.0.0.1:8443" })).to.deep.equal([]);
  });

  it("come from the file, over it the environment, over that the flag", async () => {
    await writeFile(file, '{"workers": 2, "http": "1.2.3.4:1", "prefix": "p", "maxTries": "3"}');
    const env = { SLUICE_HTTP: "1.2.3.4:2", SLUICE_PREFIX: "q/r/", SLUICE_CONFIG: file };
    const settings = await loadSettings({ prefix: "s" }, env);
    expect(settings.workers).to.equal(2);
    expect(settings.limits.maxTries).to.equal(3);
    expect(settings.listeners[0]?.address.port).to.equal(2);
    expect(settings.prefix).to.equal("s/");
    expect((await loadSettings({}, env)).prefix).to.equal("q/r/");
  });

  it("say of each listener what gave it", async () => {
    const file = join(directory, "listeners.json");
    await writeFile(file, JSON.stringify({ http: ":1", tcp: ["2=db"] }));
    const { listeners } = await loadSettings(
      { config: file, internal: ":4" },
      { SLUICE_HTTPS: ":3" },
    );
    expect(listeners.map(({ name, flag }) => `${name} ${flag}`)).to.deep.equal([
      `http ${file}: field "http"`,
      "https SLUICE_HTTPS",
      "internal --internal",
      `tcp-2 ${file}: field "tcp"`,
    ]);
  });

  it("know whether a Consul was named, and by whom", async () => {
    await writeFile(file, '{"consul": "http://file:1"}');
    const env = { CONSUL_HTTP_ADDR: "env:2" };
    const pick = ({ url, named }: Settings["consul"]) => ({ url, named });
    const consul = async (flags: Record<string, string>, variables: Record<string, string>) =>
      pick((await loadSettings(flags, variables)).consul);
    expect(await consul({ config: file }, {})).to.deep.equal({ url: "http://file:1", named: true });
    // Consul's own variable is the environment: it stands above the file and is left to Consul's rules.
    expect(await consul({ config: file }, env)).to.deep.equal({ url: null, named: true });
    expect(await consul({ consul: "http://flag:3" }, env)).to.deep.equal({
      url: "http://flag:3",
      named: true,
    });
  });

  it("take durations, sizes, addresses and lists as they are commonly written", async () => {
    const settings = await loadSettings(
      {
        drainTimeout: "1m",
        headTimeout: "500ms",
        idleTimeout: "1.5s",
        maxBodyBytes: "8m",
        http: "[::1]:80",
        admin: ":81",
        trustedProxies: "10.0.0.0/8, ::1",
      },
      {},
    );
    expect(settings.drainTimeoutMs).to.equal(60_000);
    expect(settings.limits.headTimeoutMs).to.equal(500);
    expect(settings.limits.idleTimeoutMs).to.equal(1500);
    expect(settings.limits.maxBodyBytes).to.equal(8 * 1024 ** 2);
    expect(settings.listeners[0]?.address).to.deep.equal({ host: "::1", port: 80 });
    expect(settings.admin).to.deep.equal({ host: "0.0.0.0", port: 81 });
    expect(settings.trustedProxies).to.deep.equal(["10.0.0.0/8", "::1"]);
  });

  it("count an empty variable as not set", async () => {
    const { listeners } = await loadSettings({}, { SLUICE_HTTP: "", SLUICE_CONSUL: "" });
    expect(listeners[0]?.address.port).to.equal(8080);
  });

  it("make listeners of flags and of the list, each with a name of its own", async () => {
    const list = [
      { address: ":8443", protocol: "https", expose: "all", name: "edge" },
      { address: "127.0.0.1:53", protocol: "udp", upstream: "dns" },
      { address: ":9000", proxyProtocol: ["10.0.0.0/8"], limits: { maxConnections: 5 } },
    ];
    const { listeners } = await loadSettings(
      { listeners: JSON.stringify(list), internal: ":81", tcp: "5432=postgres,127.0.0.1:1=a.b" },
      {},
    );
    const shown = listeners.map(({ name, flag, protocol, exposes, upstream, address }) =>
      [name, flag, protocol, upstream ?? exposes, address.port].join(" "),
    );
    expect(shown).to.deep.equal([
      "internal --internal http all 81",
      "tcp-5432 --tcp tcp postgres 5432",
      "tcp-1 --tcp tcp a.b 1",
      "edge listeners[0] https all 8443",
      "listener-1 listeners[1] udp dns 53",
      "listener-2 listeners[2] http tagged 9000",
    ]);
    expect(listeners.at(-1)?.proxyProtocol).to.deep.equal(["10.0.0.0/8"]);
    expect(listeners.at(-1)?.limits.maxConnections).to.equal(5);
  });

  it("refuse listeners by what is wrong with them", async () => {
    const of = (...list: readonly object[]) => errorOf({ listeners: JSON.stringify(list) });
    const address = ":1";
    expect(await of({ address, protocol: "tcp" })).to.include("--listeners: [0].upstream");
    expect(await of({ address, protocol: "quic" })).to.include("--listeners: [0].protocol");
    expect(await of({ address: "1" })).to.include('"1" is not ADDRESS:PORT');
    expect(await of({ address, upstream: "a" })).to.include("upstream");
    expect(await of({ address, name: "a" }, { address, name: "a" })).to.equal(
      "listeners[0] and listeners[1]: two listeners have the name a",
    );
    expect(await errorOf({ tcp: "5432" })).to.include('--tcp: "5432" is not PORT=UPSTREAM');
  });

  const wrong: readonly (readonly [flags: Record<string, unknown>, message: string])[] = [
    [
      { http: "8080" },
      '--http: "8080" is not ADDRESS:PORT, for example 127.0.0.1:8080 or [::1]:8080',
    ],
    [{ http: "1.2.3.4:70000" }, '--http: "1.2.3.4:70000" has a port above 65535'],
    [{ http: "1.2.3:80" }, '--http: "1.2.3:80" has no valid address before the port'],
    [{ admin: "[1.2.3.4]:80" }, '--admin: "[1.2.3.4]:80" has no valid address before the port'],
    [{ workers: "0" }, '--workers: "0" is not a whole number from 1 to 256'],
    [{ workers: "2.5" }, '--workers: "2.5" is not a whole number from 1 to 256'],
    [{ drainTimeout: "30" }, '--drain-timeout: "30" is not a duration such as 500ms, 10s or 1m'],
    [{ headTimeout: "0s" }, '--head-timeout: "0s" is shorter than 1ms'],
    [{ bodyTimeout: "25h" }, '--body-timeout: "25h" is longer than 24h'],
    [{ scriptIsolates: "0" }, '--script-isolates: "0" is not a whole number from 1 to 100000'],
    [{ scriptMemory: "4" }, '--script-memory: "4" is not a whole number from 8 to 4096'],
    [{ engine: "nginx" }, '--engine: "nginx" is not one of: http1, reference'],
    [
      { trustedProxies: "10.0.0.0/33" },
      '--trusted-proxies: "10.0.0.0/33" is neither an address nor a block such as 10.0.0.0/8',
    ],
    [{ dataDir: "" }, '--data-dir: "" is empty'],
    [{ prefix: "a b" }, '--prefix: "a b" is not a key prefix such as sluice/'],
    [
      { maxHeadBytes: "1x" },
      '--max-head-bytes: "1x" is not a size in bytes such as 32768, 32k or 1m',
    ],
  ];
  for (const [flags, message] of wrong) {
    it(`say ${message}`, async () => {
      expect(await errorOf(flags)).to.equal(message);
    });
  }

  it("never repeat an address of Consul's that may carry a password", async () => {
    const message = await errorOf({ consul: "ftp://user:hunter2@consul:8500" });
    expect(message).to.equal("--consul: the value is not a URL such as http://127.0.0.1:8500");
  });

  it("name the variable, or the file and its field", async () => {
    expect(await errorOf({}, { SLUICE_WORKERS: "x" })).to.match(/^SLUICE_WORKERS: "x"/);
    expect(await errorOf({}, { SLUICE_WORKER: "1" })).to.match(/^SLUICE_WORKER: no setting/);
    await writeFile(file, '{"workers": [1]}');
    expect(await errorOf({ config: file })).to.equal(
      `${file}: field "workers": is neither a text nor a number`,
    );
    await writeFile(file, '{"worker": 1}');
    expect(await errorOf({ config: file })).to.equal(
      `${file}: field "worker": unknown; did you mean "workers"?`,
    );
    await writeFile(file, '{"drain-timeout": 1}');
    expect(await errorOf({ config: file })).to.match(/unknown; did you mean "drainTimeout"\?$/);
    await writeFile(file, '{"colour": 1}');
    expect(await errorOf({ config: file })).to.equal(`${file}: field "colour": unknown`);
    await writeFile(file, "[]");
    expect(await errorOf({ config: file })).to.equal(`${file}: is not a JSON object`);
    await writeFile(file, "{\n");
    expect(await errorOf({ config: file })).to.match(/: is not JSON: [^\n]+$/);
    const missing = join(directory, "missing.json");
    expect(await errorOf({ config: missing })).to.equal(
      `--config: ${missing} cannot be read: there is no such file or directory (ENOENT)`,
    );
  });

  it("are on the page of settings as they are in the table", async () => {
    const page = await readFile(join(import.meta.dirname, "..", "docs", "settings.md"), "utf8");
    expect(page).to.equal(settingsPage());
  });
});
