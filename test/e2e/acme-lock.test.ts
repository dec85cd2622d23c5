/** Certificates by ACME when the gateway that orders lives on and loses its lock: nobody orders at the same time. */
import { expect } from "chai";
import { IllProxy } from "../../consul/fixtures/ill-proxy.ts";
import { AcmeServer } from "../support/acme/server.ts";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import type { TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { AcmeScene } from "./acme-scene.ts";

const host = "one.example";
const wanted = ["--acme-agree-terms", "--acme-hosts", host];

const kind = consulKinds().at(-1);
if (kind === undefined) throw new Error("there is no Consul to test with");

describe("certificates by ACME, when the lock is lost", function () {
  this.timeout(500_000);
  let acme: AcmeScene;
  let server: AcmeServer;
  let patience: PromiseWithResolvers<void>;

  before(async () => {
    acme = await AcmeScene.open(kind);
  });
  beforeEach(async () => {
    server = await AcmeServer.start();
    patience = Promise.withResolvers();
    server.patience = patience.promise;
  });
  afterEach(async () => {
    patience.resolve();
    await acme.endTest();
    await server.stop();
  });
  after(() => acme?.close());

  /** Until the first order waits for the authority, which has not asked anybody yet. */
  async function isUnderWay(): Promise<void> {
    await until("it is ordered", () => server.ordered.length === 1, { deadlineMs: 60_000 });
    await eventually("the authority is to look", async () => {
      expect(await acme.keys("acme/challenges/")).to.have.lengthOf(1);
      expect(server.asked.some(({ path }) => path.startsWith("/challenge/0/"))).to.equal(true);
    });
  }

  async function destroySession(): Promise<void> {
    const api = `${acme.scene.consul.url}/v1`;
    const answer = await fetch(`${api}/kv/sluice/acme/lock`);
    const [lock] = (await answer.json()) as { Session: string }[];
    await fetch(`${api}/session/destroy/${lock?.Session}`, { method: "PUT" });
  }

  /** When a gateway said that it gives its order up. */
  const gaveUpAt = ({ records }: TestGateway) => {
    const record = records.find(({ msg }) => msg.includes("the lock in Consul is lost"));
    return record === undefined ? null : Date.parse(String(record.time));
  };

  /** The certificate comes by a second order, which began after the first one was given up and nothing more came of that. */
  async function onlyTheSecondCame(gateways: readonly TestGateway[]): Promise<void> {
    await until("it is ordered again", () => server.ordered.length > 1, { deadlineMs: 150_000 });
    const [, second] = server.asked.filter(({ path }) => path === "/new-order");
    patience.resolve();
    const fingerprints = [];
    for (const gateway of gateways) {
      await acme.issued(gateway, host);
      fingerprints.push(
        await eventually("it is served", async () => (await acme.shake(gateway, host)).fingerprint),
      );
    }
    expect(new Set(fingerprints).size).to.equal(1);
    await until("the loser has said so", () => gateways.some((one) => gaveUpAt(one) !== null), {
      deadlineMs: 60_000,
    });
    const losers = gateways.flatMap((gateway) => gaveUpAt(gateway) ?? []);
    expect(losers).to.have.lengthOf(1);
    expect(losers[0]).to.be.most(second?.atMs ?? 0);
    expect(server.ordered).to.have.lengthOf(2);
    const late = server.asked.filter(
      ({ path, atMs }) => /^\/[a-z]+\/0(?:\/|$)/.test(path) && atMs > (second?.atMs ?? 0),
    );
    expect(late).to.deep.equal([]);
    expect(JSON.parse((await acme.textAt(`acme/hosts/${host}`)) ?? "{}")).to.include({
      ...{ state: "issued", failures: 0, error: null },
    });
    expect(await acme.keys("acme/challenges/")).to.deep.equal([]);
  }

  it("goes on where its session is destroyed in the middle of an order", async () => {
    const gateways = [await acme.start(server, wanted), await acme.start(server, wanted)];
    await isUnderWay();
    await destroySession();
    // Otherwise the record alone would keep others from ordering for a while.
    await acme.scene.writes.remove(`acme/hosts/${host}`);
    await onlyTheSecondCame(gateways);
  });

  it("goes on at another gateway where Consul is gone for the one that orders", async () => {
    const proxy = await IllProxy.start(Number(new URL(acme.scene.consul.url).port));
    acme.scene.later(() => proxy.stop());
    const cutOff = await acme.start(server, wanted, { consul: proxy.url });
    await isUnderWay();
    const other = await acme.start(server, wanted);
    proxy.become("frozen");
    await until("it gives up", () => gaveUpAt(cutOff) !== null, { deadlineMs: 60_000 });
    // As Consul does when the session has not been renewed for twice its time.
    await destroySession();
    await until("the other one orders", () => server.ordered.length > 1, { deadlineMs: 150_000 });
    proxy.become("cut");
    proxy.heal();
    await onlyTheSecondCame([cutOff, other]);
    await eventually("it has counted that", async () =>
      expect((await cutOff.status()).acme?.orders).to.include({ issued: 0, given_up: 1 }),
    );
  });
});
