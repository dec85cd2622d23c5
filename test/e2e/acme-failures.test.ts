/** Certificates by ACME when something goes wrong: the authority, a gateway, or what operators have put there. */
import { expect } from "chai";
import { unseal } from "../../gateway/sealing.ts";
import { AcmeServer, type ServerOptions, type Temper } from "../support/acme/server.ts";
import { TestAuthority } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { runSluice, type TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { AcmeScene, sealingKey } from "./acme-scene.ts";

const kind = consulKinds().at(-1);
if (kind === undefined) throw new Error("there is no Consul to test with");
const host = "one.example";
const wanted = ["--acme-agree-terms", "--acme-hosts", host];
const hourMs = 3_600_000;

describe("certificates by ACME, when something goes wrong", function () {
  this.timeout(400_000);
  let acme: AcmeScene;

  before(async () => {
    acme = await AcmeScene.open(kind);
  });
  afterEach(() => acme.endTest());
  after(() => acme?.close());

  const authority = async (options: ServerOptions = {}) => {
    const server = await AcmeServer.start(options);
    acme.scene.later(() => server.stop());
    return server;
  };
  const servedBy = async (gateway: TestGateway) => (await acme.shake(gateway, host)).fingerprint;
  /** What every worker serves once there is a certificate. */
  const issuedBy = async (gateway: TestGateway) => {
    await acme.issued(gateway, host);
    await gateway.caughtUp();
    return eventually("it is served", () => servedBy(gateway));
  };
  let changes = 0;
  /** As an operator does it; the changed document has the gateways look at once. */
  const orderAgain = async () => {
    changes += 1;
    await acme.scene.writes.remove(`acme/hosts/${host}`);
    await acme.scene.writes.put("hosts/sub.example", { paths: { [`/${changes}`]: "home" } });
  };
  const failed = (gateway: TestGateway, error: RegExp) =>
    acme.hostWhen(
      gateway,
      host,
      ({ state, error: text }) => state === "failed" && error.test(text ?? ""),
    );

  it("keep what worked, say what is wrong, and wait as long as they are told to", async () => {
    const server = await authority();
    const gateway = await acme.start(server, wanted);
    const good = await issuedBy(gateway);
    const faults: readonly (readonly [Temper, RegExp, number])[] = [
      ["ill", /serverInternal: it is ill/, 0],
      ["busy", /rateLimited: too many certificates/, 23 * hourMs],
      ["garbled", /./, 0],
      ["confused", /the private key is not the certificate's/, 0],
      ["silent", /timeout/, 0],
    ];
    for (const [temper, error, pauseMs] of faults) {
      server.temper = temper;
      const before = server.ordered.length;
      const askedAt = Date.now();
      await orderAgain();
      await until("there is an order", () => server.ordered.length > before, {
        deadlineMs: 60_000,
      });
      const { next, failures } = await failed(gateway, error);
      expect(Date.parse(next ?? "") - askedAt, temper).to.be.above(pauseMs);
      expect(failures).to.equal(1);
      expect(await servedBy(gateway), temper).to.equal(good);
      await gateway.statusWhen("it is a warning", ({ warnings }) =>
        warnings.some(({ key }) => key === `sluice/acme/hosts/${host}`),
      );
    }
    server.temper = "well";
    await orderAgain();
    await eventually("there is a new one", async () => {
      expect(await servedBy(gateway)).to.not.equal(good);
    });
    await eventually("every order is counted", async () => {
      const metrics = (await gateway.admin("/metrics")).body;
      for (const [outcome, count] of [
        ["issued", 2],
        ["failed", faults.length],
        ["given_up", 0],
      ])
        expect(metrics).to.include(`sluice_acme_orders_total{outcome="${outcome}"} ${count}\n`);
    });
  });

  it("are kept when the authority's clock is ahead, and ordered though a gateway's clock was", async () => {
    const server = await authority();
    server.temper = "early";
    const later = new Date(Date.now() + 10_000 * hourMs).toISOString();
    await acme.scene.writes.put(`acme/hosts/${host}`, {
      ...{ directory: server.directory, state: "failed", by: "elsewhere", failures: 1 },
      ...{ started: later, next: later, error: "its clock was ahead" },
    });
    const gateway = await acme.start(server, wanted);
    const { error } = await acme.hostWhen(gateway, host, ({ state }) => state === "issued");
    expect(error).to.equal(null);
    expect(await acme.keys("certificates/")).to.deep.equal([`sluice/certificates/acme-${host}`]);
    expect(server.ordered).to.deep.equal([host]);
  });

  it("are replaced in time, and no handshake fails meanwhile", async () => {
    const server = await authority();
    const gateway = await acme.start(server, wanted);
    const seen = new Set([await issuedBy(gateway)]);
    let isOver = false;
    acme.scene.later(() => {
      isOver = true;
    });
    let failures = 0;
    const clients = Array.from({ length: 4 }, async () => {
      while (!isOver)
        await servedBy(gateway).then(
          (print) => seen.add(print),
          () => {
            failures += 1;
          },
        );
    });
    for (let time = 0; time < 3; time += 1) {
      const before = seen.size;
      // As if the time had come that the record has.
      const key = `acme/hosts/${host}`;
      const record = JSON.parse((await acme.textAt(key)) ?? "{}");
      await acme.scene.writes.put(key, { ...record, next: new Date().toISOString() });
      await until("the next one is served", () => seen.size > before, { deadlineMs: 90_000 });
    }
    isOver = true;
    await Promise.all(clients);
    expect(failures).to.equal(0);
    expect(server.ordered.length).to.equal(4);
  });

  it("are ordered by another gateway when the one that orders is killed; its challenge is gone", async () => {
    const server = await authority();
    const patience = Promise.withResolvers<void>();
    server.patience = patience.promise;
    acme.scene.later(() => patience.resolve());
    const first = await acme.start(server, wanted);
    await until("it orders", () => server.ordered.length === 1, { deadlineMs: 60_000 });
    await eventually("the challenge is there", async () => {
      expect(await acme.keys("acme/challenges/")).to.have.lengthOf(1);
    });
    const [left] = await acme.keys("acme/challenges/");
    const second = await acme.start(server, wanted);
    first.signal("SIGKILL");
    await first.ended;
    await until("the other one orders", () => server.ordered.length > 1, { deadlineMs: 150_000 });
    patience.resolve();
    await acme.issued(second, host);
    expect(server.ordered.length).to.equal(2);
    expect(await acme.keys("acme/challenges/")).to.not.include(left);
  });

  it("need what the authority asks for: its terms, and an external account", async () => {
    const key = Buffer.from("a key that an authority gave to the operator");
    const server = await authority({ externalAccount: { kid: "kid-1", key } });
    const flags = ["--acme-hosts", host];
    const disagreeing = await acme.start(server, flags);
    const { next } = await failed(disagreeing, /userActionRequired: agree/);
    expect(Date.parse(next ?? "") - Date.now()).to.be.above(hourMs / 2);
    await disagreeing.stop();
    const unbound = await acme.start(server, wanted);
    await orderAgain();
    await failed(unbound, /externalAccountRequired/);
    await unbound.stop();
    const env = { SLUICE_ACME_EAB_KEY: key.toString("base64url") };
    const bound = await acme.start(server, [...wanted, "--acme-eab-kid", "kid-1"], { env });
    await orderAgain();
    await acme.issued(bound, host);
    const lines = bound.records.map((one) => JSON.stringify(one)).join();
    expect(lines).to.not.include(env.SLUICE_ACME_EAB_KEY);
  });

  it("never replace what an operator brought, under their name or for their host", async () => {
    const server = await authority();
    const own = new TestAuthority("Operator");
    const soon = own.issue({ names: [host], until: Date.now() + hourMs });
    const document = { chain: soon.cert, key: soon.key };
    await acme.scene.writes.put(`certificates/acme-${host}`, document);
    const wildcard = own.issue({ names: ["*.example.org"] });
    await acme.scene.writes.put("certificates/star", { chain: wildcard.cert, key: wildcard.key });
    const list = ["--acme-agree-terms", "--acme-hosts", `${host},www.example.org`];
    const gateway = await acme.start(server, list);
    await acme.hostWhen(gateway, host, ({ state }) => state === "kept");
    const { certificate } = await acme.hostWhen(
      gateway,
      "www.example.org",
      ({ state }) => state === "covered",
    );
    expect(certificate).to.equal("sluice/certificates/star");
    expect(server.ordered).to.deep.equal([]);
    expect(JSON.parse((await acme.textAt(`certificates/acme-${host}`)) ?? "")).to.deep.equal(
      document,
    );
  });

  it("have their keys in clear where an operator waives the seal, and are served and renewed so", async () => {
    const server = await authority();
    const unsealed = { SLUICE_CERTIFICATE_KEY: "" };
    const gateway = await acme.start(server, [...wanted, "--acme-clear-keys"], {
      env: unsealed,
    });
    const first = await issuedBy(gateway);
    const [account = ""] = await acme.keys("acme/accounts/");
    for (const key of [`certificates/acme-${host}`, account.slice("sluice/".length)]) {
      const { key: written, sealed_key: sealed } = JSON.parse((await acme.textAt(key)) ?? "{}");
      expect(written, key).to.include("PRIVATE KEY");
      expect(sealed, key).to.equal(undefined);
    }
    await orderAgain();
    await eventually("another one is served, of the same account", async () => {
      expect(await servedBy(gateway)).to.not.equal(first);
    });
    expect(server.accounts).to.equal(1);
    // Who has the key to the seal reads both.
    const sealing = await acme.start(server, wanted);
    await acme.issued(sealing, host);
    expect(await eventually("it is served there", () => servedBy(sealing))).to.be.a("string");
  });

  it("show no private key to anybody, the account's included", async () => {
    const server = await authority();
    const gateway = await acme.start(server, [...wanted, "--log-level", "trace"]);
    await acme.issued(gateway, host);
    server.temper = "ill";
    await orderAgain();
    await failed(gateway, /serverInternal/);
    const [account = ""] = await acme.keys("acme/accounts/");
    const name = account.slice("sluice/".length);
    const sealed = [name, `certificates/acme-${host}`].map(async (key) => {
      const { sealed_key: text } = JSON.parse((await acme.textAt(key)) ?? "{}");
      return unseal(sealingKey, key.replace("certificates/", ""), text);
    });
    const secrets = (await Promise.all(sealed)).flatMap((key) => {
      expect(key).to.include("PRIVATE KEY");
      return (key ?? "").trim().split("\n").slice(1, -1);
    });
    expect(secrets.length).to.be.above(4);
    const shown = await Promise.all(
      ["/status", "/metrics", "/fleet", "/gateways"].map(
        async (path) => (await gateway.admin(path)).body,
      ),
    );
    const lines = gateway.records.map((one) => JSON.stringify(one));
    for (const text of [...shown, ...lines, gateway.errors])
      for (const secret of secrets)
        expect(text.includes(secret), text.slice(0, 80)).to.equal(false);
  });

  it("are not begun with settings that contradict themselves", async () => {
    const begin = async (...flags: readonly string[]) => {
      const directory = ["--acme-directory", "https://acme.invalid/directory"];
      const { status, stderr } = await runSluice(["start", ...directory, ...flags]);
      expect(status).to.not.equal(0);
      return stderr;
    };
    expect(await begin("--acme-hosts", host)).to.include("--certificate-key-file");
    expect(await begin("--acme-clear-keys", "--acme-hosts", "*.example.org")).to.match(
      /--acme-hosts: .*wildcard.*DNS-01/,
    );
    expect(await begin("--acme-clear-keys", "--acme-eab-kid", "one")).to.include("--acme-eab-kid");
    expect(await begin("--acme-clear-keys", "--acme-ca-file", "/none")).to.include(
      "--acme-ca-file: /none cannot be read",
    );
  });
});
