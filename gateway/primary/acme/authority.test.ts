/** Orders at an authority that does not behave: how they end, what they say, and how much the authority is asked. */
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { AcmeServer, type Temper } from "../../../test/support/acme/server.ts";
import { until } from "../../../test/support/conditions.ts";
import type { AcmeMaterials } from "../../acme-materials.ts";
import { orderCertificate } from "./authority.ts";

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const accountKey = privateKey.export({ type: "pkcs8", format: "pem" }).toString();

describe("an order at an authority", function () {
  this.timeout(180_000);
  let authority: AcmeServer;
  let door: Server;
  let said: string;

  before(async () => {
    door = createServer((_asked, answer) => answer.end(said)).listen(0, "127.0.0.1");
    await once(door, "listening");
  });
  beforeEach(async () => {
    authority = await AcmeServer.start();
    authority.asksAt({ http: (door.address() as AddressInfo).port, https: 0 });
  });
  afterEach(() => authority.stop());
  after(() => door?.close());

  function order(signal = new AbortController().signal, host = "one.example") {
    const settings = {
      ...{ directory: authority.directory, hosts: [host], email: null, agreesToTerms: true },
      ...{ challenge: "http-01" as const, caFile: null, externalAccount: null, isClear: true },
    };
    const materials: AcmeMaterials = { settings, ca: authority.ca, externalAccount: null };
    return orderCertificate({
      ...{ materials, host, signal, now: () => Date.now() },
      account: { key: accountKey, url: null },
      onAccount: async () => {},
      publish: async (_token, challenge) => {
        if (challenge.type === "http-01") said = challenge.keyAuthorization;
      },
      withdraw: async () => {},
    });
  }
  const reasonOf = (ordering: Promise<unknown>) =>
    ordering.then(
      () => "it was issued",
      (error: Error) => error.message,
    );

  it("is done when it behaves", async () => {
    expect((await order()).chain).to.include("BEGIN CERTIFICATE");
  });

  const faults: readonly (readonly [Temper, RegExp])[] = [
    ["forgetful", /^badNonce: not one of mine$/],
    ["ill", /^serverInternal: it is ill$/],
    ["huge", /maxContentLength/],
    ["demanding", /^the authority wants 1000 authorizations for one host$/],
  ];
  for (const [temper, reason] of faults)
    it(`ends by itself, and says why, where the authority is ${temper}`, async () => {
      authority.temper = temper;
      expect(await reasonOf(order())).to.match(reason);
      expect(authority.asked.length).to.be.below(30);
    });

  it("that is never done is given up at a word, and the authority then has its peace", async () => {
    const looksAt = (id: number) =>
      authority.asked.filter(({ path }) => path === `/order/${id}`).length;
    authority.temper = "endless";
    const late = new AbortController();
    const ordering = reasonOf(order(late.signal));
    await until("it is looked at", () => looksAt(0) > 1);
    late.abort(new Error("it did not finish in time"));
    expect(await ordering).to.equal("it did not finish in time");
    const later = new AbortController();
    const next = reasonOf(order(later.signal, "two.example"));
    // By then, what was under way has arrived.
    await until("the next one is", () => looksAt(1) > 0);
    const before = looksAt(0);
    // The library still waits for that order, and would look again before it looks so often at a later one.
    await until("the next one is, often", () => looksAt(1) > before + 1);
    later.abort(new Error("enough"));
    expect(await next).to.equal("enough");
    expect(looksAt(0)).to.equal(before);
    authority.temper = "well";
    expect((await order(undefined, "three.example")).chain).to.include("BEGIN CERTIFICATE");
  });
});
