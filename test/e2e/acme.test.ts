/** Gateways that order certificates by ACME: from the first order to renewal, with whatever goes wrong on the way. */
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { AcmeHostStatus } from "../../gateway/primary/acme/acme.ts";
import { AcmeServer } from "../support/acme/server.ts";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { send, TestGateway } from "../support/gateway.ts";
import { shakeHands } from "../support/https.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const kind = consulKinds().at(-1);
if (kind === undefined) throw new Error("there is no Consul to test with");
const sealing = Buffer.alloc(32, 5).toString("base64");

describe("certificates by ACME", function () {
  this.timeout(120_000);
  let scene: Scene;
  let directory: string;
  const names = ["one.example"];

  before(async () => {
    scene = await Scene.open(kind);
    directory = await mkdtemp(join(tmpdir(), "sluice-acme-"));
  });
  afterEach(async () => {
    await scene.endTest();
    await forget();
  });
  after(async () => {
    await scene?.close();
    await rm(directory, { recursive: true });
  });

  /** What the gateways of a test have kept. */
  const forget = async () => {
    for (const folder of ["acme", "certificates", "hosts/sub"])
      await fetch(`${scene.consul.url}/v1/kv/sluice/${folder}?recurse`, { method: "DELETE" });
  };
  const authority = async (options: Parameters<typeof AcmeServer.start>[0] = {}) => {
    const server = await AcmeServer.start(options);
    scene.later(() => server.stop());
    await writeFile(join(directory, "ca.pem"), server.ca);
    return server;
  };
  const flagsFor = (server: AcmeServer, more: readonly string[] = []) => [
    ...["--https", "127.0.0.1:0", "--acme-directory", server.directory, "--acme-agree-terms"],
    ...["--acme-ca-file", join(directory, "ca.pem"), "--acme-email", "ops@example.com", ...more],
  ];
  const env = { SLUICE_CERTIFICATE_KEY: sealing };
  const start = async (server: AcmeServer, more: readonly string[] = []) => {
    const flags = flagsFor(server, more);
    const gateway = await scene.start({ flags, env });
    server.asksAt({ http: gateway.httpPort, https: gateway.portAt(1) });
    return gateway;
  };
  const another = async (server: AcmeServer, more: readonly string[] = []) => {
    const options = { consul: scene.consul.url, flags: flagsFor(server, more), env };
    const gateway = await TestGateway.start(options);
    scene.later(() => gateway.stop());
    return gateway;
  };
  const hostOf = (gateway: TestGateway, host: string, holds: (one: AcmeHostStatus) => boolean) =>
    gateway
      .statusWhen(`${host} is as wanted`, ({ acme }) =>
        (acme?.hosts ?? []).some((one) => one.host === host && holds(one)),
      )
      .then(({ acme }) => acme?.hosts.find((one) => one.host === host) as AcmeHostStatus);
  const issued = (gateway: TestGateway, host: string) =>
    hostOf(gateway, host, ({ state, expires }) => state === "issued" && expires !== null);
  const keys = async (folder: string): Promise<readonly string[]> => {
    const answer = await fetch(`${scene.consul.url}/v1/kv/sluice/${folder}?keys`);
    return answer.status === 404 ? [] : ((await answer.json()) as readonly string[]);
  };
  const textAt = async (key: string) => {
    const answer = await fetch(`${scene.consul.url}/v1/kv/sluice/${key}?raw`);
    return answer.ok ? await answer.text() : null;
  };
  const shake = (port: number, servername: string) =>
    shakeHands({ port, servername, rejectUnauthorized: false });

  for (const challenge of ["http-01", "tls-alpn-01"])
    it(`are ordered with ${challenge}, sealed, served at once, and leave nothing behind`, async () => {
      const server = await authority();
      const list = `One.example.,two.example,one.example`;
      const gateway = await start(server, ["--acme-hosts", list, "--acme-challenge", challenge]);
      for (const host of ["one.example", "two.example"]) {
        const { certificate, next, expires } = await issued(gateway, host);
        expect(certificate).to.equal(`sluice/certificates/acme-${host}`);
        expect(Date.parse(next ?? "")).to.be.below(Date.parse(expires ?? ""));
        await eventually("it is served", async () => {
          const { names } = await shake(gateway.portAt(1), host);
          expect(names).to.equal(`DNS:${host}`);
        });
      }
      expect([...server.ordered].sort()).to.deep.equal(["one.example", "two.example"]);
      expect(server.accounts).to.equal(1);
      expect(await keys("acme/challenges/")).to.deep.equal([]);
      const [account = ""] = await keys("acme/accounts/");
      const texts = [await textAt(account.slice("sluice/".length))];
      for (const host of ["one.example", "two.example"])
        texts.push(await textAt(`certificates/acme-${host}`));
      for (const text of texts) {
        expect(text).to.include("sluice-sealed-1:");
        expect(text).to.not.include("PRIVATE KEY");
      }
      const { warnings, held, refused } = await gateway.statusWhen(
        "no challenge is left",
        ({ held }) => held.length === 0,
      );
      expect([warnings, held, refused]).to.deep.equal([[], [], []]);
    });

  it("are ordered for hosts whose document says so, and answered before redirects and sites", async () => {
    const server = await authority();
    const gateway = await start(server);
    await scene.writes.put("hosts/sub.example", {
      paths: { "/": "home" },
      certificate: "acme",
      redirect: "https",
    });
    await issued(gateway, "sub.example");
    const path = "/.well-known/acme-challenge/unknown-token-of-nobody";
    const { status } = await send(gateway.httpPort, { host: "sub.example", path });
    expect(status, "a token that nobody knows is a request like any other").to.equal(308);
    await scene.writes.put("hosts/sub.example", { paths: { "/": "home" } });
    await gateway.statusWhen("nobody wants it", ({ acme }) => acme?.hosts.length === 0);
  });

  it("are ordered by one gateway, while any other one answers; both serve them", async () => {
    const server = await authority();
    const wanted = ["--acme-hosts", names.join()];
    const silent = await start(server, wanted);
    const gateways = [silent, await another(server, wanted), await another(server, wanted)];
    for (const [at, gateway] of gateways.entries()) {
      // The authority asks a gateway that has not ordered, as often as not.
      server.asksAt({ http: gateway.httpPort, https: gateway.portAt(1) });
      await scene.writes.remove("acme/hosts/one.example");
      await until("it is ordered again", () => server.ordered.length > at);
      await eventually("it is there", () => issued(gateway, "one.example"));
    }
    const before = server.ordered.length;
    const print = await eventually("all serve the same", async () => {
      const prints = await Promise.all(
        gateways.map((one) => shake(one.portAt(1), "one.example").then((hand) => hand.fingerprint)),
      );
      expect(new Set(prints).size).to.equal(1);
      return prints[0];
    });
    const text = JSON.parse((await textAt("certificates/acme-one.example")) ?? "{}");
    expect(new X509Certificate(text.chain).fingerprint256).to.equal(print);
    expect(server.ordered.length).to.equal(before);
  });
});
