/**
 * Gateways that order certificates by ACME: of the tests' own authority, and of pebble where it is on the machine
 * (`tools/pebble.mjs`).
 */
import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import type { AuthorityUnderTest } from "../support/acme/authority.ts";
import { findPebble, Pebble } from "../support/acme/pebble.ts";
import { AcmeServer } from "../support/acme/server.ts";
import { consulKinds } from "../support/consul.ts";
import { send } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { AcmeScene } from "./acme-scene.ts";

const kind = consulKinds().at(-1);
if (kind === undefined) throw new Error("there is no Consul to test with");
const binaries = findPebble();
const authorities: readonly (readonly [string, () => Promise<AuthorityUnderTest>])[] = [
  ["an authority of the tests", () => AcmeServer.start()],
  ...(binaries === null ? [] : [["pebble", () => Pebble.start(binaries)] as const]),
];

for (const [name, startAuthority] of authorities)
  describe(`certificates by ACME from ${name}`, function () {
    this.timeout(400_000);
    let acme: AcmeScene;
    let authority: AuthorityUnderTest;

    before(async () => {
      acme = await AcmeScene.open(kind);
      authority = await startAuthority();
    });
    afterEach(() => acme.endTest());
    after(async () => {
      await acme?.close();
      await authority?.stop();
    });

    const start = (flags: readonly string[] = []) =>
      acme.start(authority, ["--acme-agree-terms", ...flags]);

    for (const challenge of ["http-01", "tls-alpn-01"])
      it(`are ordered with ${challenge}, sealed, served at once, and leave nothing behind`, async () => {
        const list = "One.example.,two.example,one.example";
        const gateway = await start(["--acme-hosts", list, "--acme-challenge", challenge]);
        const hosts = ["one.example", "two.example"];
        for (const host of hosts) {
          const { certificate, next, expires } = await acme.issued(gateway, host);
          expect(certificate).to.equal(`sluice/certificates/acme-${host}`);
          expect(Date.parse(next ?? "")).to.be.below(Date.parse(expires ?? ""));
          await eventually("every worker serves it", async () => {
            for (let time = 0; time < 6; time += 1)
              expect((await acme.shake(gateway, host)).names).to.equal(`DNS:${host}`);
          });
        }
        expect(await acme.keys("acme/challenges/")).to.deep.equal([]);
        const accounts = await acme.keys("acme/accounts/");
        expect(accounts).to.have.lengthOf(1);
        const kept = [...accounts, ...hosts.map((host) => `sluice/certificates/acme-${host}`)];
        for (const key of kept) {
          const text = await acme.textAt(key.slice("sluice/".length));
          expect(text).to.include("sluice-sealed-1:");
          expect(text).to.not.include("PRIVATE KEY");
        }
        await eventually("no challenge is left, and nothing is wrong", async () => {
          const { warnings, held, refused } = await gateway.status();
          expect([warnings, held, refused]).to.deep.equal([[], [], []]);
        });
      });

    it("are ordered for hosts whose document says so, and answered before redirects", async () => {
      const gateway = await start();
      await acme.scene.writes.put("hosts/sub.example", {
        paths: { "/": "home" },
        certificate: "acme",
        redirect: "https",
      });
      await acme.issued(gateway, "sub.example");
      const path = "/.well-known/acme-challenge/unknown-token-of-nobody";
      await gateway.caughtUp();
      const { status } = await send(gateway.httpPort, { host: "sub.example", path });
      expect(status, "a token that nobody knows is a request like any other").to.equal(308);
      await acme.scene.writes.put("hosts/sub.example", { paths: { "/": "home" } });
      await gateway.statusWhen("nobody wants it", ({ acme }) => acme?.hosts.length === 0);
    });

    for (const challenge of ["http-01", "tls-alpn-01"])
      it(`are ordered by one gateway, while others answer ${challenge}; all serve the same`, async () => {
        const flags = ["--acme-challenge", challenge];
        const [second, third] = [await start(flags), await start(flags)];
        // The only one that knows of the host: the authority asks one of the others at each order.
        const first = await start([...flags, "--acme-hosts", "one.example"]);
        // It may have answered the authority itself.
        await acme.issued(first, "one.example");
        let before = (await acme.textAt("certificates/acme-one.example")) ?? "";
        for (const asked of [second, third]) {
          authority.asksAt({ http: asked.httpPort, https: asked.portAt(1) });
          await acme.scene.writes.remove("acme/hosts/one.example");
          before = await eventually("there is another certificate", async () => {
            // Both are written at once, so that the certificate is that of the record or a later one.
            const record = JSON.parse((await acme.textAt("acme/hosts/one.example")) ?? "{}");
            expect(record.state).to.equal("issued");
            const text = (await acme.textAt("certificates/acme-one.example")) ?? "{}";
            expect(text).to.not.equal(before);
            return text;
          });
        }
        const { fingerprint256 } = new X509Certificate(JSON.parse(before).chain);
        for (const gateway of [first, second, third])
          await eventually("it is served", async () => {
            expect((await acme.shake(gateway, "one.example")).fingerprint).to.equal(fingerprint256);
          });
        for (const gateway of [second, third])
          expect((await gateway.status()).acme?.orders.issued).to.equal(0);
      });
  });
