/** A whole gateway over TLS: where its certificates come from, whom it serves with them, and what it keeps to itself. */
import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { seal } from "../../gateway/sealing.ts";
import { TestAuthority, type TestCertificate } from "../support/certificates.ts";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import { runSluice, send, type TestGateway } from "../support/gateway.ts";
import { sendTls, shakeHands, ticketOf } from "../support/https.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const [embedded] = consulKinds();
if (embedded === undefined) throw new Error("there is no Consul to test with");
const dayMs = 86_400_000;
const authority = new TestAuthority();
const ca = authority.cert;
const fingerprintOf = ({ cert }: TestCertificate) => new X509Certificate(cert).fingerprint256;

const dateOf = Buffer.from([0x18, 15, 0x32, 0x30]);
const curveOf = Buffer.from("06082a8648ce3d030107", "hex");
const pointOf = Buffer.from("03420004", "hex");

/** The certificate with `byte` at `offset` behind where `part` begins. */
function spoiled({ cert }: TestCertificate, part: Buffer, offset: number, byte: number): string {
  const { raw } = new X509Certificate(cert);
  raw[raw.indexOf(part) + offset] = byte;
  const lines = raw.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

describe("a gateway over TLS", function () {
  this.timeout(600_000);
  let scene: Scene;
  let directory: string;
  const files: string[] = [];

  before(async () => {
    scene = await Scene.open(embedded);
    directory = await mkdtemp(join(tmpdir(), "sluice-certificates-"));
  });
  afterEach(async () => {
    await scene.endTest();
    for (const file of files.splice(0)) await rm(join(directory, file), { force: true });
  });
  after(async () => {
    await scene?.close();
    await rm(directory, { recursive: true });
  });

  const write = async (name: string, text: string) => {
    files.push(name);
    await writeFile(join(directory, name), text);
  };
  const writePair = async (name: string, { cert, key }: TestCertificate) => {
    await write(`${name}.crt`, cert);
    await write(`${name}.key`, key);
  };
  const put = async (key: string, value: object) => {
    await scene.writes.put(key, value);
    scene.later(() => scene.writes.remove(key));
  };
  const start = (flags: readonly string[] = [], env: Readonly<Record<string, string>> = {}) =>
    scene.start({
      flags: ["--https", "127.0.0.1:0", "--certificates", directory, ...flags],
      env,
    });
  const portOf = (gateway: TestGateway) => gateway.portAt(1);
  /** The fingerprint that every worker serves for a name, once it does. */
  const serves = (port: number, servername: string, wanted: TestCertificate, sigalgs?: string) =>
    eventually(`${servername} has its certificate`, async () => {
      for (let time = 0; time < 6; time += 1) {
        const options = sigalgs === undefined ? {} : { sigalgs };
        const { fingerprint } = await shakeHands({ port, servername, ca, ...options });
        expect(fingerprint).to.equal(fingerprintOf(wanted));
      }
      // Not every worker need have been among those.
      await scene.gateway.caughtUp();
    });

  it("serves hosts over HTTP/1.1 and HTTP/2 with certificates from files, the origin told so", async () => {
    await writePair("home", authority.issue({ names: [homeHost] }));
    const gateway = await start();
    const port = portOf(gateway);
    const echo = echoOf(await sendTls({ port, ca, host: homeHost }));
    expect(echo.headers["x-forwarded-proto"]).to.equal("https");
    const offers = { port, ca, servername: homeHost };
    expect((await shakeHands({ ...offers, ALPNProtocols: ["h2", "http/1.1"] })).alpn).to.equal(
      "h2",
    );
    expect((await shakeHands({ ...offers, ALPNProtocols: ["http/1.1"] })).alpn).to.equal(
      "http/1.1",
    );
  });

  it("chooses by name: wildcards of one label, RSA beside ECDSA, the default for others, or none", async () => {
    const exact = authority.issue({ names: ["a.example"] });
    const rsa = authority.issue({ names: ["a.example"], type: "rsa" });
    const wildcard = authority.issue({ names: ["*.example"] });
    const standby = authority.issue({ names: ["standby.test"] });
    await writePair("exact", exact);
    await writePair("rsa", rsa);
    await writePair("wildcard", wildcard);
    await writePair("standby", standby);
    const withDefault = await start(["--default-certificate", "standby"]);
    const port = portOf(withDefault);
    await serves(port, "a.example", exact);
    await serves(port, "a.example", rsa, "rsa_pss_rsae_sha256:ecdsa_secp521r1_sha512");
    await serves(port, "b.example", wildcard);
    await serves(port, "x.b.example", standby);
    expect((await shakeHands({ port, ca })).fingerprint).to.equal(fingerprintOf(standby));
    const without = await start();
    const outcome = await shakeHands({ port: portOf(without), ca, servername: "x.b.example" }).then(
      () => "shook hands",
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect(outcome).to.equal("ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
  });

  it("reads files again when they change, and half a pair not before it is whole", async () => {
    const first = authority.issue({ names: [homeHost] });
    const second = authority.issue({ names: [homeHost] });
    await writePair("home", first);
    const gateway = await start();
    const port = portOf(gateway);
    await serves(port, homeHost, first);
    await writeFile(join(directory, "home.crt"), second.cert);
    await gateway.statusWhen("half of it is refused by name", ({ refused }) =>
      refused.some(({ key, error }) => key.endsWith("home.crt") && /is not the cert/.test(error)),
    );
    await serves(port, homeHost, first);
    await writeFile(join(directory, "home.key"), second.key);
    await serves(port, homeHost, second);
    await gateway.statusWhen("nothing is refused", ({ refused }) => refused.length === 0);
  });

  it("takes certificates from KV, with keys in clear or sealed, and lets go of them again", async () => {
    const key = Buffer.alloc(32, 7);
    const clear = authority.issue({ names: ["clear.example"] });
    const sealed = authority.issue({ names: ["sealed.example"] });
    const gateway = await start([], { SLUICE_CERTIFICATE_KEY: key.toString("base64") });
    const port = portOf(gateway);
    await put("certificates/clear", { chain: clear.cert, key: clear.key });
    await scene.writes.put("certificates/sealed", {
      chain: sealed.cert,
      sealed_key: seal(key, "sealed", sealed.key),
    });
    await serves(port, "clear.example", clear);
    await serves(port, "sealed.example", sealed);
    await scene.writes.remove("certificates/sealed");
    await eventually("it is gone", async () => {
      const outcome = await shakeHands({ port, ca, servername: "sealed.example" }).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      expect(outcome).to.equal("ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
    });
  });

  it("is pushed to with a command that seals keys, and that refuses what no gateway would serve", async () => {
    const pushed = authority.issue({ names: ["pushed.example"] });
    const other = authority.issue({ names: ["pushed.example"] });
    await write("sealing", Buffer.alloc(32, 9).toString("base64"));
    const sealing = ["--certificate-key-file", join(directory, "sealing")];
    await write("pushed.chain", pushed.cert);
    await write("pushed.secret", pushed.key);
    await write("other.secret", other.key);
    const gateway = await start(sealing);
    const push = (key: string, more = sealing) =>
      runSluice([
        ...["certificate", "push", "pushed", "--consul", scene.consul.url, ...more],
        ...["--chain", join(directory, "pushed.chain"), "--key", join(directory, key)],
      ]);
    expect((await push("other.secret")).stderr).to.include("not the certificate's");
    expect((await push("pushed.secret", [])).stderr).to.include("--certificate-key-file");
    const { status, stdout, stderr } = await push("pushed.secret");
    expect([status, stderr]).to.deep.equal([0, ""]);
    expect(stdout).to.include("its key sealed: for pushed.example");
    scene.later(() => scene.writes.remove("certificates/pushed"));
    await serves(portOf(gateway), "pushed.example", pushed);
  });

  it("warns, by what gave the listener, that nobody can be served there, until a certificate comes", async () => {
    const gateway = await start(["--default-certificate", "usual"]);
    const warned = (text: string) =>
      gateway.statusWhen(`it says: ${text}`, ({ warnings }) =>
        warnings.some(({ key, warning }) => key === "--https" && warning.includes(text)),
      );
    await warned("there is no certificate, so every handshake ends");
    const { cert: chain, key } = authority.issue({ names: [homeHost] });
    await put("certificates/authority", { authorities: ca });
    await put("certificates/home", { chain, key });
    await warned("there is no certificate usual, its default");
    await eventually("the other one is served", async () => {
      expect((await sendTls({ port: portOf(gateway), ca, host: homeHost })).status).to.equal(200);
    });
    await put("certificates/usual", { chain, key });
    await gateway.statusWhen("all is well", ({ warnings }) =>
      warnings.every((one) => one.key !== "--https"),
    );
  });

  it("refuses by name what cannot be served, warns of what expires soon, and serves the rest", async () => {
    const good = authority.issue({ names: [homeHost], until: Date.now() + 20 * dayMs });
    const other = authority.issue({ names: ["other.example"] });
    const wish = { names: ["late.example"] };
    const past = authority.issue({
      ...wish,
      from: Date.now() - 2 * dayMs,
      until: Date.now() - dayMs,
    });
    const future = authority.issue({ ...wish, from: Date.now() + dayMs });
    await writePair("good", good);
    const gateway = await start();
    await put("certificates/mixed", { chain: good.cert, key: other.key });
    await put("certificates/past", { chain: past.cert, key: past.key });
    await put("certificates/future", { chain: future.cert, key: future.key });
    await put("certificates/closed", { chain: good.cert, sealed_key: "sluice-sealed-1:AAAA" });
    const status = await gateway.statusWhen(
      "all four are refused",
      ({ refused }) => refused.length === 4,
    );
    const told = Object.fromEntries(status.refused.map(({ key, error = "" }) => [key, error]));
    expect(told["sluice/certificates/mixed"]).to.include("not the certificate's");
    expect(told["sluice/certificates/past"]).to.include("expired on");
    expect(told["sluice/certificates/future"]).to.include("not valid before");
    expect(told["sluice/certificates/closed"]).to.include("--certificate-key-file");
    expect(status.warnings.map(({ warning }) => warning).join()).to.include("expires on");
    const metrics = (await gateway.admin("/metrics")).body;
    expect(metrics).to.match(/^sluice_certificate_expiry_timestamp_seconds\{.*good\.crt.*\} \d+/m);
    expect((await sendTls({ port: portOf(gateway), ca, host: homeHost })).status).to.equal(200);
  });

  it("refuses what OpenSSL reads only in part, serves authorities without a name, and goes on", async () => {
    const good = authority.issue({ names: [homeHost] });
    const nameless = new TestAuthority("").issue({ names: ["nameless.example"], isNameless: true });
    const modulus = Buffer.alloc(2_048, 0xab).toString("base64url");
    const publicKey = createPublicKey({
      format: "jwk",
      key: { kty: "RSA", n: modulus, e: "AQAB" },
    });
    const large = authority.certify({ names: ["large.example"] }, publicKey);
    const gateway = await start();
    await put("certificates/dates", { chain: spoiled(good, dateOf, 0, 0x17), key: good.key });
    await put("certificates/curve", { chain: spoiled(good, curveOf, 9, 0x77), key: good.key });
    await put("certificates/point", { authorities: spoiled(good, pointOf, 3, 0x09) });
    await put("certificates/large", { chain: large, key: good.key });
    await put("certificates/good", { chain: good.cert, key: good.key });
    await put("certificates/nameless", { chain: nameless.cert, key: nameless.key });
    const { refused } = await gateway.statusWhen("all are looked at", (status) => {
      return status.refused.length === 4;
    });
    const told = Object.fromEntries(refused.map(({ key, error = "" }) => [key, error]));
    expect(told["sluice/certificates/dates"]).to.include("dates cannot be read");
    expect(told["sluice/certificates/curve"]).to.include("public key cannot be read");
    expect(told["sluice/certificates/large"]).to.include("8192 bits");
    expect(told["sluice/certificates/point"]).to.include("public key cannot be read");
    const port = portOf(gateway);
    await serves(port, homeHost, good);
    await eventually("the nameless authority's certificate is served", async () => {
      // A client cannot tell an issuer without a name from the certificate itself.
      const asked = { port, servername: "nameless.example", rejectUnauthorized: false };
      expect((await shakeHands(asked)).fingerprint).to.equal(fingerprintOf(nameless));
    });
  });

  it("tells no private key to anybody", async () => {
    const data = await mkdtemp(join(tmpdir(), "sluice-data-"));
    scene.later(() => rm(data, { recursive: true }));
    // Not before the gateway writes there no more.
    scene.later(() => scene.gateway.stop());
    const sealing = createHash("sha256").update("a test").digest();
    const served = [1, 2, 3].map((n) => authority.issue({ names: [`k${n}.example`] }));
    const [file, clear, hidden] = served as [TestCertificate, TestCertificate, TestCertificate];
    const wrong = authority.issue({ names: ["wrong.example"] });
    await writePair("k1", file);
    const gateway = await start(["--data-dir", data, "--log-level", "trace"], {
      SLUICE_CERTIFICATE_KEY: sealing.toString("hex"),
    });
    await put("certificates/k2", { chain: clear.cert, key: clear.key });
    await put("certificates/k3", {
      chain: hidden.cert,
      sealed_key: seal(sealing, "k3", hidden.key),
    });
    await put("certificates/wrong", { chain: file.cert, key: wrong.key });
    await scene.writes.put(
      "certificates/broken",
      `{"chain": 1, "key": ${JSON.stringify(wrong.key)}, }`,
    );
    scene.later(() => scene.writes.remove("certificates/broken"));
    await gateway.statusWhen("both are refused", ({ refused }) => refused.length === 2);
    await serves(portOf(gateway), "k2.example", clear);
    await serves(portOf(gateway), "k3.example", hidden);
    const shown = await Promise.all(
      ["/status", "/metrics", "/explain?url=https://k1.example/", "/fleet", "/openapi.json"].map(
        async (path) => (await gateway.admin(path)).body,
      ),
    );
    // A file that is being written has another name for a while.
    const kept = await eventually("the state is on disk", async () => {
      const names = await readdir(data);
      expect(names.join()).to.include("snapshot");
      return Promise.all(names.map((name) => readFile(join(data, name), "utf8")));
    });
    const all = [
      ...shown,
      ...kept,
      ...gateway.records.map((one) => JSON.stringify(one)),
      gateway.errors,
    ];
    const secrets = [...served, wrong].flatMap(({ key }) => key.split("\n").slice(1, -2));
    secrets.push(sealing.toString("hex"), sealing.toString("base64"));
    expect(secrets.length).to.be.above(8);
    for (const text of all)
      for (const secret of secrets)
        expect(text.includes(secret), text.slice(0, 80)).to.equal(false);
  });

  it("answers 421 where the certificate is another host's, and serves all of its own on one connection", async () => {
    await writePair("two", authority.issue({ names: [homeHost, "*.two.example"] }));
    await put("hosts/x.two.example", { paths: { "/": "home" } });
    await put("hosts/elsewhere.example", { paths: { "/": "home" } });
    const gateway = await start();
    const port = portOf(gateway);
    await gateway.caughtUp();
    const ask = (host: string) => sendTls({ port, ca, host, servername: homeHost });
    expect((await ask("x.two.example")).status).to.equal(200);
    const wrong = await ask("elsewhere.example");
    expect([wrong.status, wrong.body]).to.match(/^421,.*misdirected_request/);
  });

  it("serves an address that its certificate is for to clients that ask for no name", async () => {
    await writePair("address", authority.issue({ names: ["127.0.0.1", "2001:db8::1"] }));
    for (const host of ["127.0.0.1", "[2001:db8::1]"])
      await put(`hosts/${host}`, { paths: { "/": "home" } });
    const gateway = await start(["--default-certificate", "address"]);
    const port = portOf(gateway);
    const statusOf = async (host: string) =>
      (await sendTls({ port, ca, host, servername: "" })).status;
    for (const host of ["127.0.0.1", "[2001:db8::1]", "[2001:DB8:0::1]"])
      await eventually(`${host} is served`, async () => expect(await statusOf(host)).to.equal(200));
    expect(await statusOf(homeHost)).to.equal(421);
  });

  it("sends requests in clear to https and has browsers remember it, where a document says so", async () => {
    await writePair("home", authority.issue({ names: ["moved.example"] }));
    await put("hosts/moved.example", {
      paths: { "/": "home" },
      redirect: "https",
      hsts: { max_age: 60, include_subdomains: true },
    });
    const gateway = await start();
    await gateway.caughtUp();
    const host = "moved.example";
    const plain = await send(gateway.httpPort, { host, path: "/a?b=c" });
    expect([plain.status, plain.headers.location]).to.deep.equal([
      308,
      "https://moved.example/a?b=c",
    ]);
    for (const [odd, path, location] of [
      ["MOVED.example.:8080", "//elsewhere.example/", "https://moved.example/elsewhere.example/"],
      [host, "*", "https://moved.example/"],
    ] as const) {
      const { headers } = await send(gateway.httpPort, { host: odd, path, method: "OPTIONS" });
      expect(headers.location).to.equal(location);
    }
    const answer = await sendTls({ port: portOf(gateway), ca, host });
    expect(answer.headers["strict-transport-security"]).to.equal("max-age=60; includeSubDomains");
    expect(plain.headers["strict-transport-security"]).to.equal(undefined);
  });

  it("asks for client certificates by host; tells upstreams whose they are, and nobody else can", async () => {
    const clients = new TestAuthority("Clients");
    const strangers = new TestAuthority("Strangers");
    await writePair("home", authority.issue({ names: [homeHost, "must.example", "may.example"] }));
    await put("certificates/clients", { authorities: clients.cert });
    for (const [host, mode] of [
      ["must.example", "required"],
      ["may.example", "optional"],
    ] as const)
      await put(`hosts/${host}`, {
        paths: { "/": "home" },
        client_certificate: { mode, ca: "clients" },
      });
    const gateway = await start();
    await gateway.caughtUp();
    const port = portOf(gateway);
    const client = clients.issue({ names: ["alice"], organization: "Wonder, Land" });
    const stranger = strangers.issue({ names: ["bob"] });
    const forged = { "x-client-cert-subject": "CN=root", "x-client-cert-fingerprint": "00" };
    const ask = (host: string, shown?: TestCertificate, servername = host) =>
      sendTls({ port, ca, host, servername, headers: forged, ...shown });
    const fieldsOf = async (host: string, shown?: TestCertificate) => {
      const { headers } = echoOf(await ask(host, shown));
      return [headers["x-client-cert-subject"], headers["x-client-cert-fingerprint"]];
    };
    const fingerprint = fingerprintOf(client).replaceAll(":", "").toLowerCase();
    const told = ["CN=alice,O=Wonder\\, Land", fingerprint];
    expect(await fieldsOf("must.example", client)).to.deep.equal(told);
    expect(await fieldsOf("may.example", client)).to.deep.equal(told);
    expect(await fieldsOf("may.example")).to.deep.equal([undefined, undefined]);
    expect(await fieldsOf("may.example", stranger)).to.deep.equal([undefined, undefined]);
    expect(await fieldsOf(homeHost, client)).to.deep.equal([undefined, undefined]);
    for (const shown of [undefined, stranger])
      expect(
        await ask("must.example", shown).then(
          () => "answered",
          () => "refused",
        ),
      ).to.equal("refused");
    // Neither by another host's connection nor in clear is there a way around.
    expect((await ask("must.example", undefined, homeHost)).status).to.equal(421);
    expect((await ask("must.example", client, "may.example")).status).to.equal(421);
    const plain = await send(gateway.httpPort, { host: "must.example", headers: forged });
    expect([plain.status, plain.body]).to.match(/^403,.*client_certificate_required/);
  });

  it("takes a client's certificate whose subject is empty, and tells upstreams its fingerprint", async () => {
    const clients = new TestAuthority("Clients");
    await writePair("home", authority.issue({ names: ["must.example"] }));
    await put("certificates/clients", { authorities: clients.cert });
    await put("hosts/must.example", {
      paths: { "/": "home" },
      client_certificate: { mode: "required", ca: "clients" },
    });
    const gateway = await start();
    await gateway.caughtUp();
    const client = clients.issue({ names: ["alice.example"], isNameless: true });
    const answer = await sendTls({ port: portOf(gateway), ca, host: "must.example", ...client });
    const { headers } = echoOf(answer);
    expect(headers["x-client-cert-subject"] ?? "").to.equal("");
    expect(headers["x-client-cert-fingerprint"]).to.equal(
      fingerprintOf(client).replaceAll(":", "").toLowerCase(),
    );
  });

  it("resumes no session whose client certificate other authorities verified", async () => {
    const before = new TestAuthority("Before");
    const after = new TestAuthority("After");
    await writePair("home", authority.issue({ names: ["must.example"] }));
    await put("certificates/clients", { authorities: before.cert });
    await put("hosts/must.example", {
      paths: { "/": "home" },
      client_certificate: { mode: "required", ca: "clients" },
    });
    const gateway = await start();
    await gateway.caughtUp();
    const host = "must.example";
    const port = portOf(gateway);
    const known = before.issue({ names: ["alice"] });
    const session = await ticketOf({ port, ca, servername: host, ...known });
    expect((await sendTls({ port, ca, host, session })).isResumed).to.equal(true);
    await put("certificates/clients", { authorities: after.cert });
    const fresh = after.issue({ names: ["alice"] });
    await eventually("every worker believes the others", async () => {
      for (let time = 0; time < 6; time += 1)
        expect((await sendTls({ port, ca, host, ...fresh })).status).to.equal(200);
    });
    await gateway.caughtUp();
    const outcome = await sendTls({ port, ca, host, session }).then(
      () => "answered",
      () => "refused",
    );
    expect(outcome).to.equal("refused");
  });
});
